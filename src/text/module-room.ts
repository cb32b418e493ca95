// The memory of a module's code that no section has: between sections, and behind the last one. Loaders fill it, and what else
// stands there is code that nobody loaded (kernel/module/main.c, move_module; mm/execmem.c).
import type { Memory } from '../memory/memory.ts';
import type { StrayCode } from './result.ts';

/** A stretch by addresses as linked. */
export type Range = readonly [start: number, end: number];

export interface Room {
  /** Bytes that no section has. */
  readonly bytes: number;
  /** Those of them that the memory does not have. */
  readonly missing: number;
  readonly stray: readonly StrayCode[];
}

/** Zeros, or `int3` of x86 where a loader fills memory by what traps. */
const fillings = [0x00, 0xcc] as const;
/** Bytes that are looked at of one stretch: more than the code of any module. */
const most = 1 << 26;
const pageSize = 4096;

/** What stands in `areas` outside of `sections`, in a memory that has what is linked at A at A + offset. */
export function roomOf(
  areas: readonly Range[],
  sections: readonly Range[],
  memory: Memory,
  offset: number,
): Room {
  const order = [...sections].sort((a, b) => a[0] - b[0]);
  const gaps: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  let bytes = 0;
  let missing = 0;
  const add = (start: number, end: number) => {
    if (end <= start || end - start > most) return;
    bytes += end - start;
    for (let at = start; at < end; ) {
      const to = Math.min(end, (Math.floor((at + offset) / pageSize) + 1) * pageSize - offset);
      const part = new Uint8Array(to - at);
      if (memory.read(at + offset, part)) gaps.push({ start: at, bytes: part });
      else missing += part.length;
      at = to;
    }
  };
  for (const [start, end] of areas) {
    let at = start;
    for (const [from, to] of order) {
      if (to <= at || from >= end) continue;
      add(at, Math.min(from, end));
      at = Math.max(at, to);
    }
    add(at, end);
  }
  const filling = fillingOf(gaps.map((gap) => gap.bytes));
  const stray: StrayCode[] = [];
  for (const gap of gaps) addStray(stray, gap.start, gap.bytes, filling);
  return { bytes, missing, stray };
}

/** Bytes of filling behind which another stretch begins. */
const apart = 16;
/** Stretches of one module; what follows belongs to the last one of its part. */
const mostStray = 64;

function addStray(stray: StrayCode[], start: number, found: Uint8Array, filling: number): void {
  let first = -1;
  let last = -1;
  const add = () => {
    if (first >= 0) stray.push({ address: start + first, bytes: found.slice(first, last + 1), filling });
  };
  for (let at = 0; at < found.length; at++) {
    if (found[at] === filling) continue;
    if (first >= 0 && at - last > apart && stray.length < mostStray) {
      add();
      first = -1;
    }
    if (first < 0) first = at;
    last = at;
  }
  add();
}

/** The one that most of the room holds. */
function fillingOf(parts: readonly Uint8Array[]): number {
  const counts = fillings.map((filling) =>
    parts.reduce((sum, part) => sum + part.reduce((n, byte) => (byte === filling ? n + 1 : n), 0), 0),
  );
  return (counts[1] as number) > (counts[0] as number) ? fillings[1] : fillings[0];
}
