// Symbols of an image by name and by address.

import type { Arch } from '../arch/arch.ts';
import { isNameless, mappingOf, symbolPlace } from '../arch/code-map.ts';
import { SymbolOrder } from '../arch/symbol-order.ts';
import { NameIndex } from '../bytes/name-index.ts';
import type { Address, SectionNumber, SymbolNumber } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import {
  SHF_ALLOC,
  SHT_DYNSYM,
  STB_LOCAL,
  STT_FILE,
  STT_FUNC,
  STT_SECTION,
  STT_TLS,
} from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { type SymbolTable, sectionUndefined } from '../elf/symbols.ts';

/** A symbol found for an address: its name and how far behind its start the address lies. */
export interface NearSymbol {
  readonly name: string;
  readonly offset: number;
  /** Number of the section that the symbol lies in. */
  readonly section: SectionNumber;
  /** STT_FUNC and so on. */
  readonly type: number;
  /** In bytes, 0 where nothing says. */
  readonly size: number;
}

/** How many symbols in front of an address are looked at for the function that holds it: assembly has many labels. */
const longestSearch = 64;

/** Exported symbols have entries with such names (include/linux/export.h). */
const exportPrefix = '__ksymtab_';

/** How a name begins, and in what it ends, one of several. */
export interface NamePart {
  readonly starts?: string;
  readonly ends?: readonly string[];
}

export class SymbolIndex {
  /** The static symbol table, or the dynamic one of a stripped image; undefined when there is neither. */
  readonly table: SymbolTable | undefined;
  /** True when only dynamic symbols are known. */
  readonly dynamicOnly: boolean;
  private names: NameIndex | undefined;
  /** What was asked for: hot paths ask for the same few names again and again. */
  private readonly asked = new Map<string, readonly SymbolNumber[]>();
  private files: number[] | undefined;
  private order: SymbolOrder | undefined;
  /** Mapping symbols and compilers' labels, which name nothing, in order of address; and their addresses. */
  private nameless: readonly number[] = [];
  private namelessValues = new Float64Array(0);
  /** What `functionsAt` said last, and from where to where it says the same. */
  private recent:
    | { readonly from: Address; readonly to: Address; readonly names: readonly string[] }
    | undefined;
  private readonly arch: Arch;
  private readonly sections: readonly Section[];

  constructor(file: ElfFile, arch: Arch) {
    this.arch = arch;
    this.sections = file.sections;
    const section = file.symtab ?? file.dynsym;
    this.table = section && file.symbols(section);
    this.dynamicOnly = section?.type === SHT_DYNSYM;
  }

  /** False for what lies in a debug section, such as clang's mapping symbols there: their values are no addresses. */
  private isInMemory(section: number): boolean {
    const home = this.sections[section];
    return home === undefined || (home.flags & SHF_ALLOC) !== 0;
  }

  /** True for a symbol that stands for an address. */
  private isAddress(table: SymbolTable, i: number): boolean {
    const type = table.type(i);
    const section = table.section[i] as number;
    const isOther = type === STT_FILE || type === STT_SECTION || type === STT_TLS;
    return section !== sectionUndefined && this.isInMemory(section) && !isOther;
  }

  /** Numbers of the symbols with that name that stand for addresses, in table order. */
  private numbersOf(name: string): readonly SymbolNumber[] {
    const { table } = this;
    if (!table) return [];
    let numbers = this.asked.get(name);
    if (!numbers) {
      this.names ??= new NameIndex(table, (i) => this.isAddress(table, i));
      numbers = this.names.of(name);
      this.asked.set(name, numbers);
    }
    return numbers;
  }

  /** Values of every defined symbol with that name (a function's is a code pointer), in table order; a name may be file-local many times. */
  addressesOf(name: string): number[] {
    return this.numbersOf(name).map((i) => this.table?.value[i] as number);
  }

  /** The same for symbols that are local to a source file, by the name that its STT_FILE symbol has. */
  addressesIn(source: string, name: string): number[] {
    const { table } = this;
    if (!table || this.numbersOf(name).length === 0) return [];
    if (!this.files) {
      this.files = [];
      for (let i = 1; i < table.firstGlobal; i++) if (table.type(i) === STT_FILE) this.files.push(i);
    }
    const files = this.files;
    return this.numbersOf(name)
      .filter((i) => {
        const file = files[countUpTo(files, i) - 1];
        if (i >= table.firstGlobal || file === undefined) return false;
        const path = table.name(file);
        return path === source || path.endsWith(`/${source}`);
      })
      .map((i) => table.value[i] as number);
  }

  /** The value of a global or weak symbol; undefined when no such symbol has the name. */
  globalAddressOf(name: string): number | undefined {
    const { table } = this;
    if (!table) return undefined;
    const global = this.numbersOf(name).find((i) => table.binding(i) !== STB_LOCAL);
    return global === undefined ? undefined : (table.value[global] as number);
  }

  private exports: boolean | undefined;

  /** True for a kernel and its modules where they say which symbols others may use (EXPORT_SYMBOL). */
  get hasExports(): boolean {
    this.exports ??= !this.named((name) => name.startsWith(exportPrefix), { starts: exportPrefix }).next()
      .done;
    return this.exports;
  }

  /** The value of a symbol; undefined when no symbol has the name. */
  addressOf(name: string): number | undefined {
    const [first] = this.numbersOf(name);
    return first === undefined ? undefined : (this.table?.value[first] as number);
  }

  /**
   * Every defined symbol's name that `accepts`, with its value, in table order. What is known of how such a name begins or
   * ends spares decoding all others.
   */
  *named(
    accepts: (name: string) => boolean,
    { starts = '', ends = [''] }: NamePart = {},
  ): Generator<{ name: string; address: number }> {
    const { table } = this;
    if (!table) return;
    const prefix = Buffer.from(starts);
    const suffixes = ends.map((end) => Buffer.from(end));
    const endsSo = (i: number) => {
      for (const suffix of suffixes) if (table.nameEndsWith(i, suffix)) return true;
      return false;
    };
    for (let i = 1; i < table.count; i++) {
      if (!table.nameStartsWith(i, prefix) || !endsSo(i) || !this.isAddress(table, i)) continue;
      const name = table.name(i);
      if (accepts(name)) yield { name, address: table.value[i] as number };
    }
  }

  /** The named symbols by their places; undefined without a symbol table. */
  private get sorted(): SymbolOrder | undefined {
    const { table } = this;
    if (!table || this.order) return this.order;
    const members = new Uint32Array(table.count);
    let count = 0;
    const nameless: number[] = [];
    for (let i = 1; i < table.count; i++) {
      const type = table.type(i);
      const section = table.section[i] as number;
      if (section <= 0 || type === STT_FILE || type === STT_SECTION || type === STT_TLS) continue;
      if (!this.isInMemory(section) || Number.isNaN(table.value[i] as number)) continue;
      if (isNameless(this.arch, table, i)) nameless.push(i);
      else members[count++] = i;
    }
    const value = (i: number) => table.value[i] as number;
    this.nameless = nameless.sort((a, b) => value(a) - value(b));
    this.namelessValues = Float64Array.from(nameless, value);
    this.order = new SymbolOrder(this.arch, table, members.subarray(0, count));
    return this.order;
  }

  /** The symbol that names an address of `section` (`SymbolOrder`); undefined in front of the first symbol. */
  nearest(address: Address, section?: SectionNumber): NearSymbol | undefined {
    const { table } = this;
    const at = this.sorted?.nameOf(address, section);
    if (!table || at === undefined) return undefined;
    return {
      name: table.name(at),
      offset: address - symbolPlace(this.arch, table, at),
      section: table.section[at] as number,
      type: table.type(at),
      size: table.size[at] as number,
    };
  }

  /** Names of the function that holds an address: several where identical code was folded; none where no size says. */
  functionsAt(address: Address): readonly string[] {
    const { sorted, table, recent } = this;
    if (!sorted || !table) return [];
    if (recent && address >= recent.from && address < recent.to) return recent.names;
    const { symbols, places } = sorted;
    const last = countUpTo(places, address) - 1;
    let from = places[last] ?? Number.NEGATIVE_INFINITY;
    let to = places[last + 1] ?? Number.POSITIVE_INFINITY;
    const names: string[] = [];
    let start: number | undefined;
    for (let i = last; i >= 0 && i > last - longestSearch; i--) {
      const symbol = symbols[i] as number;
      const begin = places[i] as number;
      if (start !== undefined && begin !== start) break;
      if (table.type(symbol) !== STT_FUNC) continue;
      const end = begin + (table.size[symbol] as number);
      if (end <= address) {
        from = Math.max(from, end);
        continue;
      }
      to = Math.min(to, end);
      start = begin;
      names.push(table.name(symbol));
    }
    this.recent = { from, to, names };
    return names;
  }

  /** Types of the named symbols that begin at an address. */
  typesAt(address: Address): number[] {
    const { sorted, table } = this;
    if (!sorted || !table) return [];
    const last = countUpTo(sorted.places, address);
    const first = countUpTo(sorted.places, address - 1);
    return Array.from(sorted.symbols.subarray(first, last), (i) => table.type(i));
  }

  /** True when mapping symbols say which code is in which state, and what is data. */
  get hasMapping(): boolean {
    const { arch, table, sorted } = this;
    return (
      sorted !== undefined &&
      table !== undefined &&
      this.nameless.some((i) => mappingOf(arch, table, i) !== undefined)
    );
  }

  /** Symbol numbers whose address lies in [start, end): nameless ones, then others in order of address. */
  between(start: Address, end: Address): SymbolNumber[] {
    const { sorted } = this;
    if (!sorted) return [];
    const { symbols, places } = sorted;
    const low = countUpTo(places, start - 1);
    const upTo = (address: Address) => countUpTo(this.namelessValues, address);
    const found = this.nameless.slice(upTo(start - 1), upTo(end - 1));
    for (let i = low; i < symbols.length && (places[i] as number) < end; i++)
      found.push(symbols[i] as number);
    return found;
  }
}

const known = new WeakMap<ElfFile, SymbolIndex>();

/** The symbols of a file, which are read once however many images of it there are. */
export function symbolsOf(file: ElfFile, arch: Arch): SymbolIndex {
  let symbols = known.get(file);
  if (!symbols) {
    symbols = new SymbolIndex(file, arch);
    known.set(file, symbols);
  }
  return symbols;
}
