// What the callbacks of alternatives make of their places (arch/arm64/kernel/proton-pack.c, arch/arm64/kvm/va_layout.c,
// arch/arm64/kvm/vgic/vgic-v3.c), by their names. What they decide by is read from memory (values.ts).
import type { Image } from '../../image/image.ts';
import type { ExpectedText } from '../expected.ts';
import type { PassNote, TextSubject } from '../pass.ts';
import type { Alternative } from './alternative-table.ts';
import type { Arm64State } from './state.ts';
import type { Value } from './values.ts';
import {
  addNumber,
  andLowBits,
  hvc,
  moveWords,
  nop,
  numberField,
  operandOf,
  registerOf,
  rotate,
  size,
  smc,
  wordAt,
  writeWord,
} from './words.ts';

/** What a callback is told. */
interface Place {
  readonly state: Arm64State;
  /** Where it runs. */
  readonly runs: number;
  /** What stands there before. */
  readonly words: readonly number[];
  /** What memory has there: asked for what is in a register of the processor alone. */
  readonly found: readonly number[] | undefined;
}

/** Words that it writes from the first one on; or what is not known, or cannot be. */
type Made =
  | readonly number[]
  | { readonly severity: PassNote['severity']; readonly message: string; readonly input: string };
type Callback = (place: Place) => Made;

const nothing: Made = [];
const unknown = (input: string): Made => ({
  severity: 'left',
  message: `${input} is not known, by which an alternative is made`,
  input,
});

/** Runs `make` with values that are known. */
function withValues({ state }: Place, names: readonly Value[], make: (...values: number[]) => Made): Made {
  const values: number[] = [];
  for (const name of names) {
    const value = state.values.number(name);
    if (value === undefined) return unknown(name);
    values.push(value);
  }
  return make(...values);
}

/** `nr_inst` movz and movk with a number of 64 bits. */
function moveNumber({ words, state }: Place, name: 'kimage_voffset' | 'ctr_el0'): Made {
  const parts = state.values.parts(name);
  return parts && words.length === 4 ? moveWords(registerOf(words[0] as number), parts) : unknown(name);
}

const bhb = { loop: 0, fw: 1, hw: 2, insn: 3 } as const;
const conduits: Readonly<Record<number, number>> = { 1: smc, 2: hvc };
/** ARM_SMCCC_VERSION_1_1. */
const version11 = 0x10001;
/** Bits of ICH_HCR_EL2 that trap: TC, TALL0, TALL1, TDIR. */
const trapBits = { common_trap: 10, group0_trap: 11, group1_trap: 12, dir_trap: 14 } as const;
/** orr wN, wzr, #ARM_SMCCC_ARCH_WORKAROUND_3 (0x80003fff). */
const workaround3 = 0x3201_3be0;
/** br x0 */
const branchX0 = 0xd61f_0000;
/** KVM_VECTOR_PREAMBLE. */
const preamble = 8;

/** movz of 16 bits into the register of the old instruction. */
const move16 = (word: number, number: number) => moveWords(registerOf(word), [number & 0xffff]);

const callbacks: Readonly<Record<string, Callback>> = {
  alt_cb_patch_nops: ({ words }) => words.map(() => nop),
  spectre_v4_patch_fw_mitigation_enable: (place) =>
    withValues(place, ['cpu_mitigations', '__spectre_v4_policy'], (mitigations, policy) => {
      if (mitigations === 0 || policy !== 0) return nothing;
      const ssbs = place.state.cap('ssbs');
      if (ssbs === undefined) return unknown('the number of the capability SSBS');
      return place.state.has(ssbs) ? nothing : [nop];
    }),
  smccc_patch_fw_mitigation_conduit: (place) =>
    withValues(place, ['smccc_version', 'smccc_conduit'], (version, conduit) => {
      const word = version < version11 ? undefined : conduits[conduit];
      return word === undefined ? nothing : [word];
    }),
  spectre_bhb_patch_loop_mitigation_enable: (place) => ifMitigated(place, bhb.loop, () => [nop]),
  spectre_bhb_patch_fw_mitigation_enabled: (place) => ifMitigated(place, bhb.fw, () => [nop]),
  spectre_bhb_patch_loop_iter: (place) =>
    withValues(place, ['max_bhb_k'], (count) => move16(place.words[0] as number, count)),
  spectre_bhb_patch_wa3: (place) =>
    ifMitigated(place, bhb.fw, () => [workaround3 | registerOf(place.words[0] as number)]),
  spectre_bhb_patch_clearbhb: (place) =>
    withValues(place, ['system_bhb_mitigations'], (bits) =>
      ((bits >>> bhb.insn) & 1) !== 0 ? nothing : [nop, nop],
    ),
  kvm_update_va_mask: (place) => hypAddress(place),
  kvm_patch_vector_branch: (place) => vectorBranch(place),
  kvm_get_kimage_voffset: (place) => moveNumber(place, 'kimage_voffset'),
  kvm_compute_final_ctr_el0: (place) => moveNumber(place, 'ctr_el0'),
  kvm_compute_ich_hcr_trap_bits: (place) => {
    const names = Object.keys(trapBits) as (keyof typeof trapBits)[];
    // Kernels before 5.18 have no dir_trap.
    const known = names.filter((name) => place.state.values.has(name));
    if (known.length < 3) return unknown('group0_trap');
    return withValues(place, known, (...set) =>
      move16(
        place.words[0] as number,
        known.reduce((bits, name, i) => bits | (((set[i] as number) & 1) << trapBits[name]), 0),
      ),
    );
  },
  kvm_patch_ich_vtr_el2: ({ words, found }) => {
    // A register of the processor: what is written is a number of 16 bits into the same register, or nothing.
    const [before = 0] = words;
    const now = found?.[0];
    if (now === undefined || now === before) return nothing;
    const isMove = ((now ^ (move16(before, 0)[0] as number)) & ~numberField) === 0;
    return isMove ? [now] : nothing;
  },
};

function ifMitigated(place: Place, bit: number, make: () => readonly number[]): Made {
  return withValues(place, ['system_bhb_mitigations'], (bits) =>
    ((bits >>> bit) & 1) !== 0 ? make() : nothing,
  );
}

/** kvm_update_va_mask: an address of the kernel becomes one of the hypervisor, by a mask and a random tag. */
function hypAddress({ state, words }: Place): Made {
  const vhe = state.cap('vhe');
  if (vhe === undefined) return unknown('the number of the capability VIRT_HOST_EXTN');
  if (state.has(vhe)) return words.map(() => nop);
  const layout = state.values.hypLayout;
  if (!layout) return unknown('va_mask');
  if (words.length !== 5)
    return { severity: 'wrong', message: 'kvm_update_va_mask has no five instructions', input: 'va_mask' };
  const { bits, tag } = layout;
  return words.map((word, i) => {
    const [to, from] = [registerOf(word), operandOf(word)];
    if (i === 0) return andLowBits(to, from, bits);
    if (tag === 0) return nop;
    if (i === 1) return rotate(to, from, bits);
    if (i === 2) return addNumber(to, from, tag & 0xfff);
    if (i === 3) return addNumber(to, from, tag & 0xfff000);
    return rotate(to, from, 64 - bits);
  });
}

/** kvm_patch_vector_branch: on processors with Spectre-v3a a vector leads to the hypervisor's own by its address. */
function vectorBranch({ state, words, runs }: Place): Made {
  const v3a = state.cap('v3a');
  if (v3a === undefined || !state.has(v3a)) return nothing;
  const vector = state.values.hypAddressOf('__kvm_nvhe___kvm_hyp_vector');
  if (vector === undefined || words.length !== 4) return unknown('tag_val');
  // Bits 10 to 7 say which vector it is. Each of them is well below 2^53.
  const address = vector + ((((runs % 0x800) + 0x800) % 0x800) & 0x780) + preamble;
  const parts = [0, 1, 2].map((i) => Math.floor(address / 2 ** (16 * i)) % 0x1_0000);
  return [...moveWords(0, parts), branchX0];
}

/** The callbacks of a kernel by where they lie. */
export function callbackNames({ symbols }: Image): ReadonlyMap<number, string> {
  return new Map(
    Object.keys(callbacks).flatMap((name) => symbols.addressesOf(name).map((at) => [at, name] as const)),
  );
}

/** Makes of a place what its callback makes of it; what is not known is noted, and the place stays as it is. */
export function runCallback(
  { image, state, slide }: TextSubject<Arm64State>,
  { address, length, replacement }: Alternative,
  text: ExpectedText,
  names: ReadonlyMap<number, string>,
  notes: PassNote[],
): void {
  const name = names.get(replacement);
  if (name === undefined) {
    const message = `the callback ${image.describe(replacement)} of alternatives is not replayed`;
    notes.push({ address, severity: 'left', message });
    return;
  }
  const words = Array.from({ length: length / size }, (_, i) => wordAt(text, address + i * size));
  const bytes = state.reader.bytes(address + slide, length);
  const view = bytes && new DataView(bytes.buffer, bytes.byteOffset, length);
  const found = view && words.map((_, i) => view.getUint32(i * size, true));
  const made = (callbacks[name] as Callback)({ state, runs: address + slide, words, found });
  if ('message' in made) notes.push({ address, ...made });
  else
    for (const [i, word] of made.entries())
      if (i < words.length) writeWord(text, address + i * size, word, 'alternative');
  if (name === 'kvm_patch_ich_vtr_el2' && !('message' in made) && made.length > 0) {
    const message = `a number of 16 bits that ${name} takes from a register of the processor`;
    notes.push({ address, severity: 'left', message, input: name });
  }
}
