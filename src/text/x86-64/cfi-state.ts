// What a kernel has decided about the checks of indirect calls: cfi_mode and what belongs to it.
import { readS32 } from '../../arch/x86-64/length.ts';
import type { Image } from '../../image/image.ts';
import { kernelOf, type TextSubject } from '../pass.ts';
import { rehash, type Template, templateOf } from './cfi-code.ts';
import { endbrSize, poisonOf } from './endbr-code.ts';
import { type Notes, readSites } from './sites.ts';
import type { X86State } from './state.ts';

export type CfiMode = 'off' | 'kcfi' | 'fineibt';

/** enum cfi_mode (arch/x86/include/asm/cfi.h): names, and their numbers in all kernels so far. */
const modes: readonly (readonly [CfiMode, string, number])[] = [
  ['off', 'CFI_OFF', 1],
  ['kcfi', 'CFI_KCFI', 2],
  ['fineibt', 'CFI_FINEIBT', 3],
];

export interface CfiState {
  readonly mode: CfiMode;
  /** Undefined where hashes stay as they are (cfi=norand). */
  readonly seed: number | undefined;
  readonly isParanoid: boolean;
  /** The number of arguments is told (FineIBT-BHI). */
  readonly tellsArity: boolean;
  /** cfi=warn */
  readonly warns: boolean;
  readonly preamble: Template;
  readonly caller: Template;
  readonly paranoid: Template | undefined;
  /** What is written over endbr. */
  readonly poison: Uint8Array;
  /** From where a hash stands to where its function begins. */
  readonly offset: number;
  /** Bytes of the FineIBT preamble that lie in front of the function. */
  readonly prefix: number;
}

/** Since 6.15 kernels ask first whether a function begins with endbr; they have the paranoid form, too. */
export const isCareful = ({ paranoid }: CfiState): boolean => paranoid !== undefined;

/** Kernels before 6.6 take away less: the hash in front of a sealed function stays, and with FineIBT the function's endbr. */
export function takesLess(kernel: Image): boolean {
  return kernel.symbols.addressOf('apply_ibt_endbr') !== undefined;
}

/** Undefined where the kernel has no FineIBT, so that it leaves the checks as they are. */
export function cfiStateOf(subject: TextSubject<X86State>, notes: Notes): CfiState | undefined {
  const { state } = subject;
  const kernel = kernelOf(subject);
  const preamble = templateOf(kernel, 'fineibt_preamble');
  const caller = templateOf(kernel, 'fineibt_caller');
  if (!preamble || !caller) return undefined;
  const number = state.bytes('cfi_mode', 4);
  const value = number && readS32(number, 0);
  const mode = modes.find(([, name, usual]) => value === (state.btf?.enumValue('cfi_mode', name) ?? usual));
  if (!mode) {
    const message = value === undefined ? 'cfi_mode is not known' : `cfi_mode is ${value}, which is no mode`;
    notes.add({ severity: value === undefined ? 'left' : 'wrong', message, input: 'cfi_mode' });
    return undefined;
  }
  const sites = readSites(subject.image, 'endbr') ?? new Float64Array(0);
  const poison = poisonOf(subject, sites);
  const paranoid = templateOf(kernel, 'fineibt_paranoid');
  const truthOf = (name: string) => {
    const held = state.bytes(name, 1)?.[0] ?? 0;
    if (held > 1)
      notes.add({ severity: 'wrong', message: `${name} is ${held}, which is no truth value`, input: name });
    return held;
  };
  const isOn = (name: string) => truthOf(name) === 1;
  // In all sources it is true until cfi= says otherwise. clang may keep the opposite of such a variable: what has not changed
  // is true.
  const isMixed = truthOf('cfi_rand') === (fileBytes(kernel, 'cfi_rand', 1)?.[0] ?? 1);
  const usual = valueInFile(kernel, 'cfi_mode');
  if (mode[0] === 'off' && isMixed && usual !== undefined && usual !== value) {
    const message = 'checks are off, and hashes have a seed: who turns checks off turns that off as well';
    notes.add({ severity: 'wrong', message, input: 'cfi_mode' });
  }
  return {
    mode: mode[0],
    seed: seedOf(subject, isMixed, poison, notes),
    isParanoid: isOn('cfi_paranoid'),
    tellsArity: isOn('cfi_bhi'),
    warns: isOn('cfi_warn'),
    ...{ preamble, caller, paranoid, poison },
    offset: offsetOf(subject),
    prefix: preamble.bytes.length - (endsInPoison(preamble.bytes, poison) ? endbrSize : 0),
  };
}

/** What a variable is before the kernel runs. */
function fileBytes(kernel: Image, name: string, size: number): Uint8Array | undefined {
  const at = kernel.symbols.addressOf(name);
  return at === undefined || kernel.fileOffset(at, size) === undefined ? undefined : kernel.read(at, size);
}

/** The same of one of 4 bytes. */
function valueInFile(kernel: Image, name: string): number | undefined {
  const bytes = fileBytes(kernel, name, 4);
  return bytes && readS32(bytes, 0);
}

/** Since 6.18 the preamble has the poisoned endbr of its function at its end. */
function endsInPoison(preamble: Uint8Array, poison: Uint8Array): boolean {
  return poison.every((byte, i) => byte === preamble[preamble.length - endbrSize + i]);
}

/** How many functions say how far a hash is from its function. */
const asked = 16;
/** CFI_OFFSET as most kernels have it (CONFIG_FUNCTION_PADDING_CFI and the instruction with the hash). */
const usualOffset = 16;

/** The place of a hash has a symbol of its own: __cfi_ and the name of the function. */
function offsetOf({ image }: TextSubject<X86State>): number {
  const prefix = '__cfi_';
  for (const address of (readSites(image, 'cfi') ?? new Float64Array(0)).subarray(0, asked)) {
    const name = image.symbolAt(address)?.name ?? '';
    const to = name.startsWith(prefix) ? image.symbols.addressesOf(name.slice(prefix.length)) : [];
    const distance = to.map((of) => of - address).find((of) => of >= 5 && of <= 128);
    if (distance !== undefined) return distance;
  }
  return usualOffset;
}

/** Hashes of programs of BPF, which start-up mixes with the seed like all others. */
const bpfHashes = ['cfi_bpf_hash', 'cfi_bpf_subprog_hash'];

/** The seed of hashes; undefined: they stay. The hashes of BPF programs must be what it makes of those in the file. */
function seedOf(
  subject: TextSubject<X86State>,
  isMixed: boolean,
  poison: Uint8Array,
  notes: Notes,
): number | undefined {
  const { state } = subject;
  const kernel = kernelOf(subject);
  const bytes = isMixed ? state.bytes('cfi_seed', 4) : undefined;
  const seed = bytes && readS32(bytes, 0);
  for (const name of bpfHashes) {
    const memory = state.bytes(name, 4);
    const before = valueInFile(kernel, name);
    if (!memory || before === undefined) continue;
    const expected = seed === undefined ? before : rehash(before, seed, poison);
    if (expected === readS32(memory, 0)) continue;
    const what = seed === undefined ? 'no seed' : 'cfi_seed';
    const message = `${what} does not make of ${name} in the file what memory has`;
    notes.add({ severity: 'wrong', message, input: 'cfi_seed' });
  }
  return seed;
}
