// Code and data of a section or a range of an image, as its symbols tell them apart. On ARM and AArch64 mapping
// symbols do (AAELF32 and AAELF64, "Mapping symbols"), elsewhere what kind of thing a symbol names.
import { orderOf } from '../bytes/order.ts';
import { countUpTo } from '../bytes/search.ts';
import {
  STB_LOCAL,
  STT_FUNC,
  STT_GNU_IFUNC,
  STT_NOTYPE,
  STT_OBJECT,
  STT_SECTION,
  STT_TLS,
} from '../elf/constants.ts';
import type { SymbolTable } from '../elf/symbols.ts';
import { placeOf } from './code-pointer.ts';

/**
 * What the symbols say of a code section: offsets (section-relative bytes, ascending) where an instruction
 * starts for sure, and data in code as pairs start, end (ascending, disjoint).
 */
export interface CodeMap {
  readonly starts: Uint32Array;
  readonly data: Uint32Array;
  /** Thumb code, as pairs likewise; empty on every machine but 32-bit ARM. */
  readonly thumb: Uint32Array;
}

/** The map of code that no symbol says anything of. */
export const blankCodeMap: CodeMap = {
  starts: new Uint32Array(0),
  data: new Uint32Array(0),
  thumb: new Uint32Array(0),
};

/** What the bytes behind a symbol are. */
type Content = 'code' | 'thumb' | 'data';

/** What a machine's symbols say beside names and values. */
export interface SymbolRules {
  /** What a mapping symbol says of the bytes behind it, up to the next one; undefined for any other name. */
  readonly mappingSymbol: ((name: string) => Content | undefined) | undefined;
  /** True where bit 0 of a function's symbol and of every other code pointer says that it is Thumb code. */
  readonly thumbBit: boolean;
}

/** What a mapping symbol says of the bytes behind it; undefined for any other symbol. */
export function mappingOf(arch: SymbolRules, symbols: SymbolTable, i: number): Content | undefined {
  if (!arch.mappingSymbol || symbols.type(i) !== STT_NOTYPE || symbols.binding(i) !== STB_LOCAL)
    return undefined;
  return arch.mappingSymbol(symbols.name(i));
}

const assemblerLocal = new TextEncoder().encode('.L');

/**
 * True for a symbol that means nothing to people: one that says what bytes are, or a compiler's label, which REL
 * relocations keep in the table because they have no addend to name its place by.
 */
export function isNameless(arch: SymbolRules, symbols: SymbolTable, i: number): boolean {
  if (!arch.mappingSymbol) return false;
  return mappingOf(arch, symbols, i) !== undefined || symbols.nameStartsWith(i, assemblerLocal);
}

/** The place that a symbol names: its value, less the Thumb bit that a function's may have (AAELF32, 5.5.3). */
export function symbolPlace(arch: SymbolRules, symbols: SymbolTable, i: number): number {
  const value = symbols.value[i] as number;
  return arch.thumbBit && isFunction(symbols, i) ? placeOf(arch, value) : value;
}

function isFunction(symbols: SymbolTable, i: number): boolean {
  const type = symbols.type(i);
  return type === STT_FUNC || type === STT_GNU_IFUNC;
}

/** Of what symbols say of one place, the highest counts; a mapping symbol, the last one of them, comes before all of these. */
const ranks: Readonly<Record<Content, number>> = { data: 1, code: 2, thumb: 3 };
const contentOf: readonly (Content | undefined)[] = [undefined, 'data', 'code', 'thumb'];
/** What is added for a mapping symbol. */
const mapped = 4;

/**
 * Makes a section's code map of the symbols that lie in it; `offsetOf` gives section-relative places. From the
 * first mapping symbol on these decide. Else a data symbol makes data of everything up to the next symbol, as
 * objdump -d reads it: st_size of hand-written data is often missing, and bytes taken for code would be patched.
 */
export function codeMapOf(
  arch: SymbolRules,
  symbols: SymbolTable,
  members: Iterable<number>,
  offsetOf: (symbol: number) => number,
  size: number,
): CodeMap {
  const places: number[] = [];
  const contents: number[] = [];
  for (const i of members) {
    const type = symbols.type(i);
    const at = offsetOf(i);
    if (type === STT_SECTION || !(at >= 0 && at < size)) continue;
    const mapping = mappingOf(arch, symbols, i);
    const isThumb = arch.thumbBit && isFunction(symbols, i) && (symbols.value[i] as number) % 2 !== 0;
    const own = isThumb ? 'thumb' : type === STT_OBJECT || type === STT_TLS ? 'data' : 'code';
    places.push(at);
    contents.push(mapping ? mapped + ranks[mapping] : ranks[own]);
  }
  const order = orderOf(Float64Array.from(places));
  const starts = new Uint32Array(order.length);
  const ranges: Record<Content, number[]> = { code: [], data: [], thumb: [] };
  let count = 0;
  let mapping = 0;
  for (let i = 0; i < order.length; ) {
    const at = places[order[i] as number] as number;
    let own = 0;
    for (; i < order.length && places[order[i] as number] === at; i++) {
      const content = contents[order[i] as number] as number;
      if (content > mapped) mapping = content - mapped;
      else own = Math.max(own, content);
    }
    const what = contentOf[mapping || own] as Content;
    if (what !== 'data') starts[count++] = at;
    if (what === 'code') continue;
    const end = i < order.length ? (places[order[i] as number] as number) : size;
    const pairs = ranges[what];
    if (pairs.at(-1) === at) pairs[pairs.length - 1] = end;
    else pairs.push(at, end);
  }
  return {
    starts: starts.slice(0, count),
    data: Uint32Array.from(ranges.data),
    thumb: Uint32Array.from(ranges.thumb),
  };
}

/** True when `length` bytes from `offset` on are data among code. */
export function isAllData({ data }: CodeMap, offset: number, length: number): boolean {
  const bounds = countUpTo(data, offset);
  return bounds % 2 === 1 && offset + length <= (data[bounds] as number);
}
