// Which symbol names a place: one rule for objects and images. A symbol whose size holds the place comes before one
// that only stands in front of it; then one of the place's own section, a function or an object, a global or weak one.
import { inOrder, orderOf } from '../bytes/order.ts';
import { countUpTo } from '../bytes/search.ts';
import { STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_OBJECT } from '../elf/constants.ts';
import type { SymbolTable } from '../elf/symbols.ts';
import { type SymbolRules, symbolPlace } from './code-map.ts';

/** How many symbols of one place, and how many around one place, are looked at: files may have any number of them. */
const longestSearch = 64;

/** Functions and objects before labels, globals before weak and local ones, sized ones before others. */
function rankOf(table: SymbolTable, symbol: number): number {
  const type = table.type(symbol);
  const binding = table.binding(symbol);
  return (
    (type === STT_FUNC || type === STT_OBJECT || type === STT_GNU_IFUNC ? 6 : 0) +
    (binding === STB_GLOBAL ? 4 : binding === STB_WEAK ? 2 : 0) +
    ((table.size[symbol] as number) > 0 ? 1 : 0)
  );
}

/** Symbols in order of place, those of one place by rank. */
export class SymbolOrder {
  readonly symbols: Uint32Array;
  /** Place of each, as `symbolPlace` has it. */
  readonly places: Float64Array;
  private readonly table: SymbolTable;
  /** For each symbol the nearest one in front of its place whose size reaches beyond it; -1 where there is none. */
  private readonly around: Int32Array;

  constructor(arch: SymbolRules, table: SymbolTable, members: ArrayLike<number>) {
    this.table = table;
    const places = new Float64Array(members.length);
    for (let i = 0; i < members.length; i++) places[i] = symbolPlace(arch, table, members[i] as number);
    const order = orderOf(places);
    this.symbols = inOrder(Uint32Array.from(members), order);
    this.places = inOrder(places, order);
    this.orderByRank();
    this.around = this.findAround();
  }

  /** Puts the symbols of each place in order of rank, those of one rank from the last in the table on. */
  private orderByRank(): void {
    const { places, symbols, table } = this;
    for (let start = 0, end = 0; start < places.length; start = end) {
      while (end < places.length && places[end] === places[start]) end++;
      if (end - start > 1)
        symbols.subarray(start, end).sort((a, b) => rankOf(table, a) - rankOf(table, b) || b - a);
    }
  }

  private endOf(at: number): number {
    return (this.places[at] as number) + (this.table.size[this.symbols[at] as number] as number);
  }

  private findAround(): Int32Array {
    const { places } = this;
    const around = new Int32Array(places.length);
    const open: number[] = [];
    for (let at = 0; at < places.length; ) {
      const place = places[at] as number;
      while (open.length > 0 && this.endOf(open[open.length - 1] as number) <= place) open.pop();
      const holder = open[open.length - 1] ?? -1;
      const first = at;
      for (; at < places.length && places[at] === place; at++) around[at] = holder;
      for (let i = first; i < at; i++) if (this.endOf(i) > place) open.push(i);
    }
    return around;
  }

  /**
   * The symbol that names a place, by its number; `section` is the one that the place lies in, where that is known.
   * Undefined in front of the first symbol.
   */
  nameOf(place: number, section?: number): number | undefined {
    const nearest = countUpTo(this.places, place) - 1;
    if (nearest < 0) return undefined;
    let hops = 0;
    for (let at = nearest; at >= 0 && hops < longestSearch; at = this.around[at] as number, hops++) {
      const holder = this.bestAt(at, section, (i) => this.endOf(i) > place);
      if (holder !== undefined) return this.symbols[holder];
    }
    const label = this.bestAt(nearest, section, () => true) as number;
    return this.symbols[label];
  }

  /** Of the symbols at one place up to `last` the best that `accepts`, one of the section before others. */
  private bestAt(
    last: number,
    section: number | undefined,
    accepts: (at: number) => boolean,
  ): number | undefined {
    const place = this.places[last];
    let best: number | undefined;
    for (let at = last; at >= 0 && at > last - longestSearch && this.places[at] === place; at--) {
      if (!accepts(at)) continue;
      if (section === undefined || this.table.section[this.symbols[at] as number] === section) return at;
      best ??= at;
    }
    return best;
  }
}
