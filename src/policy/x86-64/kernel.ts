// What the generators of a policy share: the kernel's file, and a machine of which nothing is known yet.

import { STT_FUNC } from '../../elf/constants.ts';
import { readAlternatives } from '../../image/alternatives.ts';
import type { Image } from '../../image/image.ts';
import { kernelVersion } from '../../image/kernel.ts';
import type { RelocationLists } from '../../kernel/relocation-lists.ts';
import { btfOf } from '../../memory/kernel/kernel.ts';
import { KernelReader } from '../../memory/kernel/reader.ts';
import type { Memory } from '../../memory/memory.ts';
import type { TextSubject } from '../../text/pass.ts';
import { textsOf } from '../../text/texts.ts';
import { featureNumbers } from '../../text/x86-64/features.ts';
import type { X86State } from '../../text/x86-64/state.ts';
import type { PolicyBuilder } from '../builder.ts';

/** A kernel's file, as generators take it. */
export interface KernelFile {
  readonly image: Image;
  readonly lists: RelocationLists | undefined;
  readonly builder: PolicyBuilder;
  /** The file's text, and a machine of which nothing is known. */
  readonly subject: TextSubject<X86State>;
  /** From _text to _etext. */
  readonly kept: readonly [start: number, end: number];
  /** Bytes of the code in front of functions that counts their calls; 0: the kernel has none. */
  readonly counting: number;
}

/** True for text that a kernel keeps. */
export function isKept({ kept: [start, end] }: KernelFile, address: number): boolean {
  return address >= start && address < end;
}

/** The state of a machine that has no features, and whose memory is the file. */
export function stateOfFile(image: Image): X86State {
  const alternatives = readAlternatives(image);
  const bytes = (name: string, length: number) => {
    const address = image.symbols.addressOf(name);
    return address !== undefined && image.contains(address, length)
      ? image.read(address, length).slice()
      : undefined;
  };
  return {
    version: kernelVersion(image) ?? [0, 0],
    features: new Uint32Array(0),
    has: () => false,
    feature: featureNumbers(image, alternatives),
    returnThunk: undefined,
    word: (name) => {
      const address = image.symbols.addressOf(name);
      return address !== undefined && image.contains(address, 8) ? image.readWord(address) : undefined;
    },
    bytes,
    reader: new KernelReader(memoryOf(image), image),
    btf: btfOf(image),
    alternatives,
    notes: [],
    unknown: undefined,
  };
}

/** A file as memory that nobody has written to. */
export function memoryOf(image: Image): Memory {
  return {
    format: 'file',
    addresses: 'virtual',
    fileSize: 0,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      if (!image.contains(address, into.length)) return false;
      into.set(image.read(address, into.length));
      return true;
    },
  };
}

/** A subject over texts of its own. */
export function subjectOf(image: Image, state: X86State): TextSubject<X86State> {
  return { image, slide: 0, texts: textsOf(image), state };
}

/** Starts of all functions, ascending; the same code may have several names. */
export function functionStarts({ symbols }: Image): Float64Array {
  const { table } = symbols;
  const starts = new Set<number>();
  for (let i = 1; table && i < table.count; i++)
    if (table.type(i) === STT_FUNC) starts.add(table.value[i] as number);
  return Float64Array.from(starts).sort();
}

/** The number of the set of all functions, those of modules too; counted calls go in front of them. */
export function anyFunction({ image, builder, counting }: KernelFile): number {
  return builder.targetsOf('functions', () => ({
    addresses: functionStarts(image),
    before: counting,
    outside: true,
  }));
}

/** The number of a set of some symbols, as far as the kernel has them. */
export function symbolsOf(
  { image, builder }: KernelFile,
  name: string,
  symbols: readonly string[],
  outside = false,
): number {
  return builder.targetsOf(name, () => ({
    addresses: Float64Array.from(
      new Set(symbols.flatMap((symbol) => image.symbols.addressesOf(symbol))),
    ).sort(),
    before: 0,
    outside,
  }));
}
