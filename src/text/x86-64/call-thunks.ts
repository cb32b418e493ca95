// .call_sites (since 6.2): call depth tracking (retbleed=stuff) counts calls by code in the padding in front of functions, and
// makes calls go there (arch/x86/kernel/callthunks.c).
//
// Order: kernels whose `struct callthunk_sites` has alternatives (6.8) or paravirt calls (6.2) as well patch calls behind
// alternatives, and with them what these made calls; later ones (6.18) patch them between returns and alternatives
// (`countsBehindAlternatives`). All come in front of the endbr seal. Static calls that are patched later go to the padding too.
import { moveCode } from '../../arch/x86-64/moved-code.ts';
import { sameBytes } from '../../bytes/integer.ts';
import { STT_FUNC } from '../../elf/constants.ts';
import type { Image } from '../../image/image.ts';
import type { ExpectedText } from '../expected.ts';
import { kernelOf, type PassResult, type TextPass, type TextSubject } from '../pass.ts';
import { branchAt, branchSize, branchTo, callOpcode } from './branches.ts';
import { Notes, readSites, TextFinder } from './sites.ts';
import type { X86State } from './state.ts';

const nop = 0x90;
/** Longer than the code that counts, with its debug counters. */
const longestCode = 64;
/** Bytes that a kernel copies for kexec, until 6.13 (KEXEC_CONTROL_CODE_MAX_SIZE). */
const kexecSize = 2048;
/** Until 6.12: the page of Xen's hypercalls. */
const xenPageSize = 4096;

/** Functions that are called without being counted (skip_addr). */
const uncounted = [
  'error_entry',
  'paranoid_entry',
  'xen_error_entry',
  '__switch_to_asm',
  'ret_from_fork',
  'start_cpu0',
  'soft_restart_cpu',
  '__fentry__',
] as const;

export const callThunks: TextPass<X86State> = {
  kind: 'call-thunk',
  name: 'call thunks',
  run(subject) {
    const sites = readSites(subject.image, 'call');
    if (!sites) return undefined;
    const number = subject.state.feature('CALL_DEPTH');
    if (number === undefined || !subject.state.has(number)) return { sites: sites.length, notes: [] };
    return patchCalls(subject, sites);
  },
};

/** Tables besides .call_sites that say where calls may stand: members of `struct callthunk_sites`. */
const besides = ['alt_start', 'pv_start'] as const;

/** Whether calls are patched behind alternatives, with what alternatives or paravirt calls made calls. */
export function countsBehindAlternatives(state: X86State): boolean {
  const { btf, version } = state;
  if (btf?.hasType('callthunk_sites')) return besides.some((name) => isBesides(state, name));
  return 1000 * version[0] + version[1] < 6016;
}

function isBesides({ btf }: X86State, name: (typeof besides)[number]): boolean {
  return btf?.member('callthunk_sites', name) !== undefined;
}

/**
 * Where the kernel makes a static call of a function go when it patches one (callthunks_translate_call_dest): the code in front
 * of the function, which is written then if it is not there. Undefined where calls are not counted.
 */
export function countedEntryOf(subject: TextSubject<X86State>): ((target: number) => number) | undefined {
  const number = subject.state.feature('CALL_DEPTH');
  if (number === undefined || !subject.state.has(number) || !readSites(subject.image, 'call'))
    return undefined;
  const pads = padsOf(subject, new Notes());
  const kernel = kernelOf(subject);
  const isKernelText = coreOf({ ...subject, image: kernel, kernel: undefined });
  // The text of any module counts as well (is_coretext without the one that is being loaded).
  const isCore = (address: number) => isKernelText(address) || !kernel.contains(address);
  const isSkipped = skippedOf(kernel);
  return (target) => (isSkipped(target) || !isCore(target) ? target : (pads?.of(target) ?? target));
}

function patchCalls(subject: TextSubject<X86State>, sites: Float64Array): PassResult {
  const notes = new Notes();
  const pads = padsOf(subject, notes);
  if (!pads) return { sites: sites.length, notes: notes.all };
  const finder = new TextFinder(subject);
  const isCore = coreOf(subject);
  const isSkipped = skippedOf(kernelOf(subject));
  const patch = (address: number) => {
    if (!isCore(address)) return;
    const text = finder.site(address, branchSize, notes);
    const branch = text && branchAt(text, address);
    // Alternatives may have left no call.
    if (!text || branch?.opcode !== callOpcode || branch.isConditional) return;
    if (isSkipped(branch.target) || !isCounted(subject, isCore, branch.target)) return;
    const pad = pads.of(branch.target);
    const bytes = pad === undefined ? undefined : branchTo(callOpcode, address, pad);
    if (bytes) text.write(address, bytes, 'call-thunk');
  };
  for (const address of sites) patch(address);
  if (countsBehindAlternatives(subject.state)) {
    for (const { address } of subject.state.alternatives?.listed ?? []) patch(address as number);
    for (const address of paravirtPlaces(subject.image)) patch(address);
  }
  pads.acceptOthers();
  return { sites: sites.length, notes: notes.all };
}

/** struct paravirt_patch_site: a pointer to the code, and 8 bytes. */
const paravirtSize = 16;

/** The places of .parainstructions, which kernels up to 6.7 have (arch/x86/include/asm/paravirt_types.h). */
function paravirtPlaces(image: Image): Float64Array {
  const table = image.file.sections.find(({ name, addr }) => name === '.parainstructions' && addr !== 0);
  const count = Math.floor((table?.size ?? 0) / paravirtSize);
  if (!table || image.fileOffset(table.addr, count * paravirtSize) === undefined) return new Float64Array(0);
  return Float64Array.from({ length: count }, (_, i) => image.readWord(table.addr + i * paravirtSize));
}

/** Whether a place lies in the text whose calls are counted: the kernel's up to _etext, a module's that is no init text. */
function coreOf({ image, kernel, texts }: TextSubject<X86State>): (address: number) => boolean {
  if (kernel) return (address) => isKept(texts.holding(address));
  const [start, end] = [image.symbols.addressOf('_text'), image.symbols.addressOf('_etext')];
  return (address) => start !== undefined && end !== undefined && address >= start && address < end;
}

const isKept = (text: ExpectedText | undefined) => text !== undefined && !text.name.startsWith('.init');

/** A call is counted that leads to the same text, to the kernel's, or to a module's. */
function isCounted(
  { kernel, image }: TextSubject<X86State>,
  isCore: (address: number) => boolean,
  target: number,
): boolean {
  if (isCore(target)) return true;
  if (!kernel) return image.codeAt(target) !== undefined && !image.segmentAt(target);
  return kernel.contains(target) ? kernel.codeAt(target) !== undefined && !kernel.isInitText(target) : true;
}

function skippedOf({ symbols }: Image): (target: number) => boolean {
  const skipped = new Set(uncounted.flatMap((name) => symbols.addressesOf(name)));
  const ranges: (readonly [start: number | undefined, size: number])[] = [
    [symbols.addressOf('hypercall_page'), xenPageSize],
    // In later kernels it is no text that is called.
    [symbols.addressOf('relocate_kernel'), kexecSize],
  ];
  return (target) =>
    skipped.has(target) ||
    ranges.some(([start, size]) => start !== undefined && target >= start && target < start + size);
}

/** The padding in front of functions, and the code that counts. */
interface Pads {
  /** Where calls of a function go; undefined: there is no room for the code, and they stay. */
  of(target: number): number | undefined;
  /** Accepts the code in front of functions that no site of the table calls, where memory has it. */
  acceptOthers(): void;
}

function padsOf(subject: TextSubject<X86State>, notes: Notes): Pads | undefined {
  const { texts, state, slide, image } = subject;
  const kernel = kernelOf(subject);
  const start = kernel.symbols.addressOf('skl_call_thunk_template');
  const end = kernel.symbols.addressOf('skl_call_thunk_tail');
  const size = start === undefined || end === undefined ? 0 : end - start;
  const template = start === undefined ? undefined : templateOf(subject, start, size, notes);
  if (start === undefined || !template) return undefined;
  const codeAt = (pad: number) => moveCode(template, start, pad);
  const isEmpty = (bytes: Uint8Array) => bytes.every((byte) => byte === nop);
  const write = (pad: number): boolean => {
    const text = texts.holding(pad, size);
    const code = codeAt(pad);
    if (!text) {
      if (kernel.contains(pad, size)) return isEmpty(kernel.read(pad, size));
      // Another module, whose own text is compared elsewhere: the kernel has written there if it could.
      const memory = state.reader.bytes(pad + slide, size);
      return memory !== undefined && code !== undefined && sameBytes(memory, code);
    }
    const found = text.at(pad, size);
    if (!code || sameBytes(found, code)) return code !== undefined;
    if (!isEmpty(found)) return false;
    text.write(pad, code, 'call-thunk');
    return true;
  };
  const known = new Map<number, boolean>();
  return {
    of(target) {
      const pad = target - size;
      const ready = known.get(pad) ?? write(pad);
      known.set(pad, ready);
      return ready ? pad : undefined;
    },
    acceptOthers() {
      const { table } = image.symbols;
      for (let i = 1; table && i < table.count; i++) {
        if (table.type(i) !== STT_FUNC) continue;
        const pad = (table.value[i] as number) - size;
        const text = known.has(pad) ? undefined : texts.holding(pad, size);
        if (!text || !isEmpty(text.at(pad, size))) continue;
        known.set(pad, false);
        const found = state.reader.bytes(pad + slide, size);
        const code = found && !isEmpty(found) ? codeAt(pad) : undefined;
        if (!found || !code || !sameBytes(found, code)) continue;
        const why = 'a static call or a call of a module went to this function at some time';
        text.accept({ address: pad, bytes: code, kind: 'call-thunk', why });
      }
    },
  };
}

/**
 * The code that counts, as the kernel copies it: the file's, whose distance to per-CPU data is shorter by the slide while
 * these lie at address 0 (until 6.14).
 */
function templateOf(
  subject: TextSubject<X86State>,
  start: number,
  size: number,
  notes: Notes,
): Uint8Array | undefined {
  const kernel = kernelOf(subject);
  const input = 'skl_call_thunk_template';
  if (!(size > 0 && size <= longestCode) || !kernel.contains(start, size)) {
    notes.add({
      severity: 'wrong',
      message: 'the code that counts calls has no size that a kernel has',
      input,
    });
    return undefined;
  }
  const file = kernel.read(start, size).slice();
  const memory = subject.state.bytes('skl_call_thunk_template', size);
  const moved = moveCode(file, start, start + subject.slide);
  const known = memory ? [file, moved].find((code) => code && sameBytes(code, memory)) : undefined;
  if (!known)
    notes.add({
      severity: memory ? 'wrong' : 'left',
      message: 'the code that counts calls is not the kernel’s',
      input,
    });
  return known ?? moved;
}
