// The state of an x86-64 kernel that is given, in place of one that a memory tells: features, variables, pages of thunks.
// What is not given is not known, and what depends on it is left and named; nothing is taken from the file that start-up
// changes.
import { readAlternatives } from '../../image/alternatives.ts';
import type { Image } from '../../image/image.ts';
import { kernelVersion } from '../../image/kernel.ts';
import type { Btf } from '../../kernel/btf.ts';
import { KernelReader } from '../../memory/kernel/reader.ts';
import type { Memory } from '../../memory/memory.ts';
import { featureNumbers, hasFeature } from './features.ts';
import { notesOfState, type X86State } from './state.ts';

/** What is given. Addresses are as linked. */
export interface GivenX86 {
  /** boot_cpu_data.x86_capability, features and bugs, when alternatives are applied. */
  readonly features: Uint32Array;
  /** Values of variables by name, as they are when start-up is done. */
  readonly variables: ReadonlyMap<string, Uint8Array>;
  /** Pages of thunks against ITS, in the order in which they are made, by addresses of the running kernel. */
  readonly thunkPages: readonly number[];
}

/** Operations that a hypervisor may replace: pv_ops, and pv_ops_lock since 7.0. They are the file's on bare hardware. */
const operations = /^pv_ops(_[a-z]+)?$/;
/** Variables whose words are pointers into the image. */
const pointers = ['x86_return_thunk', 'ideal_nops'] as const;
/** Longest variable that is read from the file, in bytes; symbols of a flat kernel may have no size. */
const longest = 8 * 256;

/** The variables with operations that a kernel has, by name; all words of them are pointers to functions. */
export function operationsOf(
  image: Image,
): { readonly name: string; readonly address: number; readonly size: number }[] {
  const found = [...image.symbols.named((name) => operations.test(name), { starts: 'pv_ops' })].filter(
    ({ address }) => !image.codeAt(address),
  );
  return found.map((one) => ({
    ...one,
    size: Math.min(image.symbolAt(one.address)?.size || longest, longest),
  }));
}

/** The state of a kernel that runs `slide` bytes behind where it is linked. `btf` is the image's own. */
export function givenX86State(
  image: Image,
  btf: Btf | undefined,
  { features, variables, thunkPages }: GivenX86,
  slide: number,
): X86State {
  const memory = new GivenMemory(image, variables, slide);
  const reader = new KernelReader(memory, image);
  const bytes = (name: string, length: number) => {
    const address = image.symbols.addressOf(name);
    // A variable that the compiler left out has a value all the same (nameless.ts).
    if (address === undefined) return variables.get(name)?.slice(0, length);
    return reader.bytes(address + slide, length)?.slice();
  };
  const word = (name: string) => {
    const address = image.symbols.addressOf(name);
    const value = address === undefined ? undefined : reader.word(address + slide);
    return value !== undefined && image.contains(value - slide) ? value - slide : value;
  };
  const has = hasFeature(features);
  const alternatives = readAlternatives(image);
  const feature = featureNumbers(image, alternatives);
  const returnThunk = word('x86_return_thunk');
  return {
    version: kernelVersion(image) ?? [0, 0],
    ...{ features, has, feature, returnThunk, word, bytes, reader, btf, alternatives },
    notes: notesOfState(image, has, returnThunk),
    unknown: undefined,
    thunkPages,
  };
}

/** The code that counts calls, which a kernel copies. */
export function templateRange(
  image: Image,
): { readonly name: string; readonly address: number; readonly size: number } | undefined {
  const name = 'skl_call_thunk_template';
  const [address, end] = [name, 'skl_call_thunk_tail'].map((of) => image.symbols.addressOf(of));
  if (address === undefined || end === undefined) return undefined;
  const size = end - address;
  const isThere = size > 0 && size <= longest && image.fileOffset(address, size) !== undefined;
  return isThere ? { name, address, size } : undefined;
}

/** The memory of a kernel of which nothing is known but some variables. */
class GivenMemory implements Memory {
  readonly format = 'a given state';
  readonly addresses = 'virtual';
  readonly fileSize = 0;
  readonly runs = { starts: new Float64Array(0), ends: new Float64Array(0) };
  private readonly known: readonly { readonly start: number; readonly bytes: Uint8Array }[];

  constructor(image: Image, variables: ReadonlyMap<string, Uint8Array>, slide: number) {
    const known: { start: number; bytes: Uint8Array }[] = [];
    const add = (name: string, value: Uint8Array) => {
      const at = image.symbols.addressOf(name);
      if (at === undefined) return;
      const isPointer = operations.test(name) || pointers.some((one) => one === name);
      known.push({ start: at + slide, bytes: isPointer ? moved(image, value, slide) : value.slice() });
    };
    for (const [name, value] of variables) add(name, value);
    for (const { name, address, size } of operationsOf(image))
      if (!variables.has(name) && image.fileOffset(address, size) !== undefined)
        add(name, image.read(address, size));
    const template = templateRange(image);
    if (template && !variables.has(template.name))
      add(template.name, image.read(template.address, template.size));
    this.known = known;
  }

  read(address: number, into: Uint8Array): boolean {
    const end = address + into.length;
    for (const { start, bytes } of this.known) {
      if (address < start || end > start + bytes.length) continue;
      into.set(bytes.subarray(address - start, end - start));
      return true;
    }
    return false;
  }
}

/** The words of a variable with those that lead into the image moved as the image is. */
function moved(image: Image, value: Uint8Array, slide: number): Uint8Array {
  const bytes = value.slice();
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const word = view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
    if (word !== 0 && image.contains(word)) view.setBigInt64(at, BigInt(word + slide), true);
  }
  return bytes;
}
