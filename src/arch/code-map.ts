// Code and data of a section or a range of an image, as its symbols tell them apart. On ARM and AArch64 mapping
// symbols do (AAELF32 and AAELF64, "Mapping symbols"), elsewhere what kind of thing a symbol names.
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
  const contents = new Map<number, Content>();
  const mapped = new Map<number, Content>();
  for (const i of members) {
    const type = symbols.type(i);
    const at = offsetOf(i);
    if (type === STT_SECTION || !(at >= 0 && at < size)) continue;
    const mapping = mappingOf(arch, symbols, i);
    if (mapping) mapped.set(at, mapping);
    else if (arch.thumbBit && isFunction(symbols, i) && (symbols.value[i] as number) % 2 !== 0)
      contents.set(at, 'thumb');
    else if (type !== STT_OBJECT && type !== STT_TLS) {
      if (contents.get(at) !== 'thumb') contents.set(at, 'code');
    } else if (!contents.has(at)) contents.set(at, 'data');
  }
  if (mapped.size > 0) spreadMapping(contents, mapped);
  const offsets = Uint32Array.from(contents.keys()).sort();
  const rangesOf = (what: Content): Uint32Array => {
    const ranges: number[] = [];
    offsets.forEach((at, i) => {
      if (contents.get(at) !== what) return;
      const end = offsets[i + 1] ?? size;
      if (ranges.at(-1) === at) ranges[ranges.length - 1] = end;
      else ranges.push(at, end);
    });
    return Uint32Array.from(ranges);
  };
  return {
    starts: offsets.filter((at) => contents.get(at) !== 'data'),
    data: rangesOf('data'),
    thumb: rangesOf('thumb'),
  };
}

/** Makes every place from the first mapping symbol on what the last one in front of it says. */
function spreadMapping(contents: Map<number, Content>, mapped: ReadonlyMap<number, Content>): void {
  let state: Content | undefined;
  for (const at of Uint32Array.from(new Set([...contents.keys(), ...mapped.keys()])).sort()) {
    state = mapped.get(at) ?? state;
    if (state !== undefined) contents.set(at, state);
  }
}

/** True when `length` bytes from `offset` on are data among code. */
export function isAllData({ data }: CodeMap, offset: number, length: number): boolean {
  const bounds = countUpTo(data, offset);
  return bounds % 2 === 1 && offset + length <= (data[bounds] as number);
}
