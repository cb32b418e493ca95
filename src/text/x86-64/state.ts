// What an x86-64 kernel has decided for its machine, as its memory tells: features, thunks, operations. Nothing of it is
// believed as it is: what cannot be so is said.

import { ByteView } from '../../bytes/view.ts';
import { type Alternatives, readAlternatives } from '../../image/alternatives.ts';
import type { Image } from '../../image/image.ts';
import { kernelVersion } from '../../image/kernel.ts';
import type { Btf } from '../../kernel/btf.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import type { KernelReader } from '../../memory/kernel/reader.ts';
import type { PassNote } from '../pass.ts';
import { featureNumbers, hasFeature, requiredFeatures } from './features.ts';

export interface X86State {
  /** Of the banner. */
  readonly version: readonly [major: number, minor: number];
  /** boot_cpu_data.x86_capability, by words. */
  readonly features: Uint32Array;
  /** One bit of it; the number is 32 times the word, plus the bit. */
  has(feature: number): boolean;
  /** The number of a feature by its name in this kernel (features.ts); undefined where it has no such feature. */
  feature(name: string): number | undefined;
  /** The value of x86_return_thunk, as linked; undefined where there is none. */
  readonly returnThunk: number | undefined;
  /** The value of a variable of 8 bytes; as linked where it leads into the image. */
  word(name: string): number | undefined;
  /** The first bytes of a variable. */
  bytes(name: string, length: number): Uint8Array | undefined;
  /** By addresses of the running kernel. */
  readonly reader: KernelReader;
  readonly btf: Btf | undefined;
  /** The table of the file, in its order. */
  readonly alternatives: Alternatives | undefined;
  /** What of all this cannot be. */
  readonly notes: readonly PassNote[];
  /** Why the features are not known, without which no text can be replayed; undefined where they are. */
  readonly unknown: string | undefined;
  /** Where the kernel has pages of thunks against ITS, in the order in which it makes them; undefined: its memory tells. */
  readonly thunkPages?: readonly number[] | undefined;
}

/** More words of features than any kernel has (NCAPINTS and NBUGINTS: 24 in 7.3). */
const mostWords = 64;

/** Reads the state of a kernel that runs from an image. Error `memory-malformed`. */
export function readX86State(image: Image, { place, reader, btf }: RunningKernel): X86State {
  const { slide } = place;
  const bytes = (name: string, length: number) => {
    const address = image.symbols.addressOf(name);
    return address === undefined ? undefined : reader.bytes(address + slide, length)?.slice();
  };
  const word = (name: string) => {
    const address = image.symbols.addressOf(name);
    const value = address === undefined ? undefined : reader.word(address + slide);
    return value !== undefined && image.contains(value - slide) ? value - slide : value;
  };
  const read = readFeatures(image, btf, bytes);
  const features = typeof read === 'string' ? new Uint32Array(0) : read;
  const has = hasFeature(features);
  const alternatives = readAlternatives(image);
  const feature = featureNumbers(image, alternatives);
  const returnThunk = word('x86_return_thunk');
  const notes = notesOfState(image, features.length > 0 ? has : undefined, returnThunk);
  for (const note of operationNotes(image, slide, btf, bytes)) notes.push(note);
  const version = kernelVersion(image) ?? [0, 0];
  const unknown = typeof read === 'string' ? read : undefined;
  return {
    version,
    features,
    has,
    feature,
    returnThunk,
    word,
    bytes,
    reader,
    btf,
    alternatives,
    notes,
    unknown,
  };
}

/** What of a state cannot be; `has` is undefined where no features are known. */
export function notesOfState(
  image: Image,
  has: ((feature: number) => boolean) | undefined,
  returnThunk: number | undefined,
): PassNote[] {
  const notes: PassNote[] = [];
  for (const feature of has ? requiredFeatures : []) {
    if (has?.(feature)) continue;
    const message = `the feature ${feature >>> 5}*32+${feature & 31} is not set, which every processor has that this kernel runs on`;
    notes.push({ severity: 'wrong', message, input: 'boot_cpu_data' });
  }
  if (returnThunk !== undefined && image.symbolAt(returnThunk)?.offset !== 0) {
    const message = 'x86_return_thunk does not lead to the start of a function of the image';
    notes.push({ severity: 'wrong', message, input: 'x86_return_thunk' });
  }
  return notes;
}

/** Operations that stand for any: they do nothing, give back what they got, or stop the machine. */
const forAny = new Set([
  '_paravirt_nop',
  'paravirt_nop',
  '_paravirt_ident_64',
  'paravirt_ret0',
  'paravirt_BUG',
]);

/** Operations of pv_ops that are called in another way than the function to which they lead. */
function* operationNotes(
  image: Image,
  slide: number,
  btf: Btf | undefined,
  bytes: (name: string, length: number) => Uint8Array | undefined,
): Generator<PassNote> {
  const struct = 'paravirt_patch_template';
  const size = btf?.structSize(struct) ?? 0;
  const held = size > 0 && size <= 8 * 256 ? bytes('pv_ops', size) : undefined;
  if (!btf || !held) return;
  const view = new ByteView(held, image.file.header.little);
  for (let at = 0; at + 8 <= size; at += 8) {
    const target = view.s64(at) - slide;
    const near = image.codeAt(target) ? image.symbolAt(target) : undefined;
    const type = btf.typeAt(struct, at);
    if (near?.offset !== 0 || type === undefined) continue;
    const names = image.symbols.functionsAt(target);
    const told = (names.length > 0 ? names : [near.name]).map((name) =>
      forAny.has(name) ? true : btf.calls.fits(type, name),
    );
    if (told.includes(true) || !told.includes(false)) continue;
    const message = `operation ${at / 8} of pv_ops leads to ${near.name}, which is called in another way`;
    yield { severity: 'wrong', message, input: 'pv_ops' };
  }
}

/** The words of features, or why they cannot be read. */
function readFeatures(
  image: Image,
  btf: Btf | undefined,
  bytes: (name: string, length: number) => Uint8Array | undefined,
): Uint32Array | string {
  const member = btf?.member('cpuinfo_x86', 'x86_capability');
  const found =
    member && member.size % 4 === 0 && member.size <= 4 * mostWords
      ? bytes('boot_cpu_data', member.offset + member.size)?.subarray(member.offset)
      : undefined;
  if (!found) {
    const why = member
      ? 'the dump does not have boot_cpu_data'
      : 'the kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which says where they stand';
    return `the features of the processor are not known: ${why}`;
  }
  const view = new DataView(found.buffer, found.byteOffset, found.length);
  return Uint32Array.from({ length: found.length / 4 }, (_, i) =>
    view.getUint32(4 * i, image.file.header.little),
  );
}
