// Which function holds a place: the innermost one whose size says so, else the label in front of it that has none, as
// hand-written assembly leaves them.
import { isNameless, type SymbolRules } from '../arch/code-map.ts';
import { STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE } from '../elf/constants.ts';
import type { SymbolTable } from '../elf/symbols.ts';

/** True for a symbol that stands for a function or a label, if code lies at its place. */
export function mayCover(arch: SymbolRules, symbols: SymbolTable, symbol: number): boolean {
  const type = symbols.type(symbol);
  const isCode = type === STT_FUNC || type === STT_GNU_IFUNC || type === STT_NOTYPE;
  return isCode && !isNameless(arch, symbols, symbol);
}

/** A symbol of code; `start` counts as the places do that are asked for. */
export interface Extent {
  readonly start: number;
  /** Bytes; 0 where nothing says. */
  readonly size: number;
  /** Of symbols with one start and size the one with the highest rank answers, of equals the last. */
  readonly rank: number;
}

/** For each of the ascending `places` the extent that holds it. */
export function coverOf<E extends Extent>(
  extents: readonly E[],
  places: readonly number[],
): (E | undefined)[] {
  const order = [...extents].sort((a, b) => a.start - b.start || b.size - a.size || a.rank - b.rank);
  // Open extents, the innermost last; ended ones go when they come to the end of the list.
  const open: E[] = [];
  const closeUpTo = (place: number) => {
    for (let last = open.at(-1); last && last.start + last.size <= place; last = open.at(-1)) open.pop();
  };
  // A label reaches to whatever comes next; one in a function is part of that.
  let label: E | undefined;
  let next = 0;
  return places.map((place) => {
    for (; next < order.length && (order[next] as E).start <= place; next++) {
      const one = order[next] as E;
      closeUpTo(one.start);
      if (one.size > 0) open.push(one);
      if (one.size > 0) label = undefined;
      else if (open.length === 0) label = one;
    }
    closeUpTo(place);
    return open.at(-1) ?? label;
  });
}
