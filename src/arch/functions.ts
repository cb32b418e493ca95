// The functions of a code section or a range of an image, as symbols and unwind tables have them: where code begins for
// sure, and where it ends.

import type { Frame } from '../dwarf/frames.ts';
import { STT_FUNC, STT_GNU_IFUNC, STT_OBJECT } from '../elf/constants.ts';
import type { SymbolTable } from '../elf/symbols.ts';

/** Functions in ascending order of their starts; offsets are section-relative bytes, and functions may overlap. */
export interface Functions {
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  /** `hasEnd` where a size says so, and `hasLandingPads`. */
  readonly facts: Uint8Array;
}

export const hasEnd = 1;
export const hasLandingPads = 2;

export const noFunctions: Functions = {
  starts: new Uint32Array(0),
  ends: new Uint32Array(0),
  facts: new Uint8Array(0),
};

/**
 * The functions among the symbols that lie in a section, and those of its frames. A function without a size ends at the
 * next function or data symbol: labels do not end it, since assemblers (NASM) keep those of loops.
 */
export function functionsOf(
  symbols: SymbolTable | undefined,
  members: Iterable<number>,
  offsetOf: (symbol: number) => number,
  frames: readonly Frame[],
  size: number,
): Functions {
  const begins: number[] = [];
  const limits: number[] = [];
  const known: number[] = [];
  const edges = new Set<number>();
  const unsized: number[] = [];
  const add = (start: number, end: number, facts: number) => {
    if (!(start >= 0 && start < end && end <= size)) return;
    edges.add(start);
    begins.push(start);
    limits.push(end);
    known.push(facts);
  };
  for (const i of symbols ? members : []) {
    const type = (symbols as SymbolTable).type(i);
    const start = offsetOf(i);
    if (type === STT_OBJECT) edges.add(start);
    if (type !== STT_FUNC && type !== STT_GNU_IFUNC) continue;
    const length = (symbols as SymbolTable).size[i] as number;
    if (length > 0) add(start, start + length, hasEnd);
    else if (start >= 0 && start < size) {
      edges.add(start);
      unsized.push(start);
    }
  }
  for (const frame of frames)
    add(frame.start, frame.end, hasEnd | (frame.hasLandingPads ? hasLandingPads : 0));
  const ascending = Float64Array.from(edges).sort();
  let next = 0;
  for (const start of Float64Array.from(unsized).sort()) {
    while (next < ascending.length && (ascending[next] as number) <= start) next++;
    add(start, ascending[next] ?? size, 0);
  }
  const order = Uint32Array.from(begins, (_, i) => i);
  order.sort(
    (a, b) => (begins[a] as number) - (begins[b] as number) || (limits[a] as number) - (limits[b] as number),
  );
  const starts = new Uint32Array(order.length);
  const ends = new Uint32Array(order.length);
  const facts = new Uint8Array(order.length);
  let count = 0;
  for (const i of order) {
    const [start, end] = [begins[i] as number, limits[i] as number];
    // A symbol and its frame, or two names of one function.
    const isSame = count > 0 && starts[count - 1] === start && ends[count - 1] === end;
    if (!isSame) count++;
    starts[count - 1] = start;
    ends[count - 1] = end;
    facts[count - 1] = (facts[count - 1] as number) | (known[i] as number);
  }
  return {
    starts: starts.subarray(0, count),
    ends: ends.subarray(0, count),
    facts: facts.subarray(0, count),
  };
}
