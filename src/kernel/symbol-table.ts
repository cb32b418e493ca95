// A symbol table (.symtab, .strtab) of what kallsyms says: nm's letters become types and bindings, and a symbol reaches
// up to the next one of its section. Nothing says where a symbol ends, so what lies between two belongs to the first.
import { countUpTo } from '../bytes/search.ts';
import { STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_FUNC, STT_NOTYPE, STT_OBJECT } from '../elf/constants.ts';
import { Sym } from '../elf/records.ts';
import type { Kallsyms } from './kallsyms.ts';

/** For what is in no section: such a symbol has an address, but names nothing that lies behind it. */
const SHN_ABS = 0xfff1;

/** A section that symbols may lie in. */
export interface SymbolHome {
  readonly number: number;
  /** Address of its first byte, and of the byte behind its last. */
  readonly start: number;
  readonly end: number;
  readonly isCode: boolean;
}

/** A symbol that kallsyms does not have. */
export interface AddedSymbol {
  readonly name: string;
  readonly value: number;
  /** Undefined for a mere address. */
  readonly section?: number;
}

/** How symbols are written. */
export interface SymbolShape {
  readonly bits: 32 | 64;
  readonly little: boolean;
  /** True for Thumb code, where bit 0 of a function's symbol is set. */
  readonly thumb: boolean;
}

/** The bytes of both sections, and how many symbols come first that are local. */
export interface SymbolTableBytes {
  readonly table: Uint8Array;
  readonly strings: Uint8Array;
  readonly locals: number;
}

/** nm's letters: a lower case is local, but for weak and unique ones. */
function bindingOf(letter: string): number {
  if ('wWvV'.includes(letter)) return STB_WEAK;
  return letter === 'u' || letter === letter.toUpperCase() ? STB_GLOBAL : STB_LOCAL;
}

/** How names begin that linker scripts define: ends of tables, which are no objects. */
const linkerNames = ['__start_', '__stop_'].map((name) => Buffer.from(name));

function typeOf(letter: string, home: SymbolHome | undefined, isLinkers: () => boolean): number {
  if (!home) return STT_NOTYPE;
  if ('tT'.includes(letter)) return STT_FUNC;
  if ('wW'.includes(letter)) return home.isCode ? STT_FUNC : STT_OBJECT;
  return home.isCode || isLinkers() ? STT_NOTYPE : STT_OBJECT;
}

/**
 * Gives the home of an address; one that is the end of a section and in no other belongs to that one, and so does the end
 * of code that nm calls text (_einittext).
 */
function homesOf(homes: readonly SymbolHome[]): (address: number, letter: string) => SymbolHome | undefined {
  const ordered = homes.filter(({ start, end }) => start < end).sort((a, b) => a.start - b.start);
  const starts = ordered.map(({ start }) => start);
  return (address, letter) => {
    const at = countUpTo(starts, address) - 1;
    const home = ordered[at];
    if (!home || address > home.end) return undefined;
    const before = ordered[at - 1];
    const endsCode = !home.isCode && before?.isCode && before.end === address && 'tT'.includes(letter);
    return endsCode ? before : home;
  };
}

/** True for a kernel without CONFIG_KALLSYMS_ALL: its keys have no names. */
export function hasFunctionsAlone(kallsyms: Kallsyms): boolean {
  let data = 0;
  for (let i = 0; i < kallsyms.count; i++) if (!'tTwW'.includes(kallsyms.type(i))) data++;
  return data * 50 < kallsyms.count;
}

/** Makes the symbol table of a kernel. Linear in the symbols, as many as memory holds. */
export function symbolTableOf(
  kallsyms: Kallsyms,
  homes: readonly SymbolHome[],
  added: readonly AddedSymbol[],
  { bits, little, thumb }: SymbolShape,
): SymbolTableBytes {
  const { count, addresses } = kallsyms;
  const homeOf = homesOf(homes);
  const bindings = Uint8Array.from({ length: 256 }, (_, letter) => bindingOf(String.fromCharCode(letter)));
  // Where kallsyms has functions alone, the few others are far from what they would seem to name.
  const isPartial = hasFunctionsAlone(kallsyms);
  const found = Array.from(addresses, (address, i) => {
    const home = homeOf(address, kallsyms.type(i));
    return isPartial && !home?.isCode ? undefined : home;
  });
  const sizes = sizesOf(addresses, found);
  const { size: rowSize, offsets: at } = Sym[bits];
  const table = new Uint8Array((1 + added.length + count) * rowSize);
  const view = new DataView(table.buffer);
  const setWord = (offset: number, word: number) => {
    if (bits === 32) return view.setUint32(offset, word, little);
    view.setUint32(offset + (little ? 0 : 4), word, little);
    view.setInt32(offset + (little ? 4 : 0), Math.floor(word / 0x1_0000_0000), little);
  };
  const addedNames = Buffer.from(added.map(({ name }) => `${name}\0`).join(''), 'utf8');
  const strings = new Uint8Array(1 + addedNames.length + kallsyms.nameBytes + count);
  strings.set(addedNames, 1);
  let row = 1;
  let name = 1;
  const write = (value: number, size: number, info: number, shndx: number) => {
    const base = row++ * rowSize;
    view.setUint32(base + at.name, name, little);
    setWord(base + at.value, value);
    setWord(base + at.size, size);
    view.setUint8(base + at.info, info);
    view.setUint16(base + at.shndx, shndx, little);
  };
  // What is added are local marks.
  for (const { name: text, value, section } of added) {
    write(value, 0, STT_NOTYPE, section ?? SHN_ABS);
    name += Buffer.byteLength(text) + 1;
  }
  const isLinkers = () =>
    linkerNames.some((start) => start.every((byte, place) => strings[name + place] === byte));
  let locals = row;
  for (const wantsLocal of [true, false]) {
    for (let i = 0; i < count; i++) {
      const binding = bindings[kallsyms.letter(i)] as number;
      if ((binding === STB_LOCAL) !== wantsLocal) continue;
      const length = kallsyms.copyName(i, strings, name);
      const home = found[i];
      const type = typeOf(kallsyms.type(i), home, isLinkers);
      const value = (addresses[i] as number) + (thumb && type === STT_FUNC ? 1 : 0);
      write(value, sizes[i] as number, binding * 16 + type, home?.number ?? SHN_ABS);
      name += length + 1;
    }
    if (wantsLocal) locals = row;
  }
  return { table, strings, locals };
}

/** The distance of each symbol to the next one of its section that lies elsewhere, or to the section's end. */
function sizesOf(addresses: Float64Array, homes: readonly (SymbolHome | undefined)[]): Float64Array {
  const sizes = new Float64Array(addresses.length);
  for (let i = addresses.length - 1; i >= 0; i--) {
    const home = homes[i];
    if (!home) continue;
    const address = addresses[i] as number;
    const next = addresses[i + 1];
    if (next === address && homes[i + 1] === home) sizes[i] = sizes[i + 1] as number;
    else sizes[i] = (next !== undefined && homes[i + 1] === home ? next : home.end) - address;
  }
  return sizes;
}
