// Which bytes of a file stand for which addresses. Files may have millions of stretches, and damaged ones may have
// them overlap in any way.
import { countUpTo } from '../bytes/search.ts';
import { type ByteSource, copyFrom } from '../files/source.ts';
import type { AddressKind, Memory, Runs } from './memory.ts';

/** Stretches of a file by the address of their first byte, as columns. */
export interface Columns {
  readonly starts: ArrayLike<number>;
  readonly sizes: ArrayLike<number>;
  readonly offsets: ArrayLike<number>;
}

/** Stretches in order of address, none of which overlaps another. */
export interface Stretches {
  readonly starts: Float64Array;
  readonly sizes: Float64Array;
  readonly offsets: Float64Array;
}

/** Sorts stretches by address. Where several hold an address, the last one given counts. */
export function layOut({ starts, sizes, offsets }: Columns): Stretches {
  const startOf = (i: number) => starts[i] as number;
  const endOf = (i: number) => startOf(i) + (sizes[i] as number);
  const order = new Uint32Array(starts.length)
    .map((_, i) => i)
    .filter((i) => (sizes[i] as number) > 0)
    .sort((a, b) => startOf(a) - startOf(b));
  if (!order.some((now, i) => i > 0 && endOf(order[i - 1] as number) > startOf(now))) {
    const pick = (values: ArrayLike<number>) => Float64Array.from(order, (i) => values[i] as number);
    return { starts: pick(starts), sizes: pick(sizes), offsets: pick(offsets) };
  }
  // A sweep from the lowest address on: of the stretches that hold a place, the heap has the last one given on top.
  const made = { starts: [] as number[], sizes: [] as number[], offsets: [] as number[] };
  const open: number[] = [];
  let position = startOf(order[0] as number);
  let last = -1;
  for (let i = 0; i < order.length || open.length > 0; ) {
    if (open.length === 0) position = startOf(order[i] as number);
    while (i < order.length && startOf(order[i] as number) <= position) pushLast(open, order[i++] as number);
    while (open.length > 0 && endOf(open[0] as number) <= position) popLast(open);
    const [top] = open;
    if (top === undefined) continue;
    const next = i < order.length ? startOf(order[i] as number) : Number.POSITIVE_INFINITY;
    const size = Math.min(endOf(top), next) - position;
    const before = made.sizes.length - 1;
    if (top === last) made.sizes[before] = (made.sizes[before] as number) + size;
    else {
      made.starts.push(position);
      made.sizes.push(size);
      made.offsets.push((offsets[top] as number) + position - startOf(top));
    }
    position += size;
    last = top;
  }
  return {
    starts: Float64Array.from(made.starts),
    sizes: Float64Array.from(made.sizes),
    offsets: Float64Array.from(made.offsets),
  };
}

/** Adds to a binary heap whose first element is the largest. */
function pushLast(heap: number[], value: number): void {
  let at = heap.length;
  heap.push(value);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] as number) >= value) break;
    heap[at] = heap[parent] as number;
    at = parent;
  }
  heap[at] = value;
}

/** Takes the largest off. */
function popLast(heap: number[]): void {
  const value = heap.pop() as number;
  const { length } = heap;
  if (length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && (heap[child + 1] as number) > (heap[child] as number)) child++;
    if ((heap[child] as number) <= value) break;
    heap[at] = heap[child] as number;
    at = child;
  }
  heap[at] = value;
}

/** Adjacent stretches as one run each. */
export function runsOf({ starts, sizes }: Stretches): Runs {
  const first: number[] = [];
  const last: number[] = [];
  for (let i = 0; i < starts.length; i++) {
    const start = starts[i] as number;
    const end = start + (sizes[i] as number);
    if (last.length > 0 && last[last.length - 1] === start) last[last.length - 1] = end;
    else {
      first.push(start);
      last.push(end);
    }
  }
  return { starts: Float64Array.from(first), ends: Float64Array.from(last) };
}

/** Calls `copy` with the file's offset and the place in the result for each piece of a range; false for a gap. */
export function forEachPiece(
  { starts, sizes, offsets }: Stretches,
  address: number,
  length: number,
  copy: (offset: number, at: number, size: number) => void,
): boolean {
  let whole = true;
  let at = 0;
  let i = Math.max(countUpTo(starts, address) - 1, 0);
  for (; at < length && i < starts.length; i++) {
    const start = starts[i] as number;
    const end = start + (sizes[i] as number);
    const from = address + at;
    if (end <= from) continue;
    if (start >= address + length) break;
    if (start > from) whole = false;
    const first = Math.max(start, from);
    const size = Math.min(end, address + length) - first;
    copy((offsets[i] as number) + (first - start), first - address, size);
    at = first - address + size;
  }
  return whole && at >= length;
}

/** The memory that has its bytes where stretches of a file say. */
export function memoryIn(
  source: ByteSource,
  stretches: Stretches,
  { format, addresses }: { readonly format: string; readonly addresses: AddressKind },
): Memory {
  return {
    format,
    addresses,
    fileSize: source.size,
    runs: runsOf(stretches),
    read: (address, into) =>
      forEachPiece(stretches, address, into.length, (offset, at, length) =>
        copyFrom(source, offset, into.subarray(at, at + length)),
      ),
  };
}
