// What a memory tells of a kernel's state, as it can be given to boot: for a machine like the one that the memory is of.
import { sameBytes } from '../../bytes/integer.ts';
import type { Image } from '../../image/image.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { textsOf } from '../texts.ts';
import { cfi } from './cfi.ts';
import { constantTables, constantValue } from './constants.ts';
import { type GivenX86, operationsOf, templateRange } from './given.ts';
import { retpolines } from './retpolines.ts';
import { readX86State, type X86State } from './state.ts';

/** Variables that decide about text, with the number of their bytes; all words that are pointers lead into the image. */
const decisive: readonly (readonly [name: string, size: number])[] = [
  ['x86_return_thunk', 8],
  ['ideal_nops', 8],
  ['uniproc_patched', 1],
  ['cfi_mode', 4],
  ['cfi_rand', 1],
  ['cfi_seed', 4],
  ['cfi_bpf_hash', 4],
  ['cfi_paranoid', 1],
  ['cfi_bhi', 1],
  ['cfi_warn', 1],
];
const wordSize = 8;

/** Undefined, with the reason, where the memory does not tell of features. Errors: `memory-malformed`, `table-malformed`. */
export function givenFromMemory(image: Image, running: RunningKernel): GivenX86 | string {
  const state = readX86State(image, running);
  if (state.unknown !== undefined) return state.unknown;
  const { slide } = running.place;
  const variables = new Map<string, Uint8Array>();
  for (const [name, size] of decisive) {
    const value = state.bytes(name, size);
    if (value) variables.set(name, size === wordSize ? linked(image, value, slide) : value);
  }
  for (const { name, size } of operationsOf(image)) {
    const held = state.bytes(name, size);
    if (held) variables.set(name, linked(image, held, slide));
  }
  const template = templateRange(image);
  const copied = template && state.bytes(template.name, template.size);
  if (copied && !sameBytes(copied, image.read(template.address, template.size)))
    variables.set(template.name, copied);
  const subject = { image, slide, texts: textsOf(image), state };
  for (const table of constantTables(image)) {
    const value = constantValue(subject, table);
    if (value) variables.set(table.variable, value);
  }
  return { features: state.features, variables, thunkPages: pagesOf(state, subject) };
}

/** The pages of thunks that the passes over indirect branches find. */
function pagesOf(state: X86State, subject: Parameters<typeof cfi.run>[0]): number[] {
  const its = state.feature('INDIRECT_THUNK_ITS');
  if (its === undefined || !state.has(its)) return [];
  cfi.run(subject);
  return (retpolines.run(subject)?.pages ?? []).map(({ address }) => address);
}

/** The words of a variable with those that lead into the image as they are linked. */
function linked(image: Image, value: Uint8Array, slide: number): Uint8Array {
  const bytes = value.slice();
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + wordSize <= bytes.length; at += wordSize) {
    const word = view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
    if (word !== 0 && image.contains(word - slide)) view.setBigInt64(at, BigInt(word - slide), true);
  }
  return bytes;
}
