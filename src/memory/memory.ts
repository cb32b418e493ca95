// The memory of a running system as a dump has it: bytes by address, as far as they are there. Formats are in
// core.ts and kdump.ts; what is searched for is in locate.ts.
import { countUpTo } from '../bytes/search.ts';

/** Whose addresses a dump is made by. */
export type AddressKind = 'virtual' | 'physical';

/** Runs of adjacent bytes in order of address: where each begins and ends. */
export interface Runs {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
}

export interface Memory {
  /** What a person calls the format. */
  readonly format: string;
  /** What kind `read` takes. */
  readonly addresses: AddressKind;
  readonly runs: Runs;
  /** Copies what there is of [address, address + into.length), and leaves the rest; true when all is there. */
  read(address: number, into: Uint8Array): boolean;
}

/** What a dump holds: memory by each kind of address that it has, and what it says of itself. */
export interface Snapshot {
  /** Virtual addresses first. */
  readonly memories: readonly Memory[];
  /** The text of its VMCOREINFO note. */
  readonly vmcoreinfo: string | undefined;
  /** AT_ENTRY of a program's core: where its first instruction lies. */
  readonly entry: number | undefined;
}

/** Stretches of a file by the address of their first byte, in order of address. */
export interface Stretches {
  readonly starts: Float64Array;
  readonly sizes: Float64Array;
  readonly offsets: Float64Array;
}

/** Sorts stretches by address, and leaves out those without bytes. */
export function sortStretches({ starts, sizes, offsets }: Stretches): Stretches {
  const order = Uint32Array.from(starts.keys())
    .filter((i) => (sizes[i] as number) > 0)
    .sort((a, b) => (starts[a] as number) - (starts[b] as number) || a - b);
  const pick = (values: Float64Array) => Float64Array.from(order, (i) => values[i] as number);
  return { starts: pick(starts), sizes: pick(sizes), offsets: pick(offsets) };
}

/** Adjacent stretches as one run each. */
export function runsOf({ starts, sizes }: Stretches): Runs {
  const first: number[] = [];
  const last: number[] = [];
  for (let i = 0; i < starts.length; i++) {
    const start = starts[i] as number;
    const end = start + (sizes[i] as number);
    const before = last.length - 1;
    if (before >= 0 && start <= (last[before] as number))
      last[before] = Math.max(last[before] as number, end);
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

const chunkSize = 4 << 20;

/** Every address where `bytes` stand, those of the runs nearest to `near` first. */
export function* findBytes({ runs, read }: Memory, bytes: Uint8Array, near: number): Generator<number> {
  const distance = (i: number) => {
    const start = runs.starts[i] as number;
    const end = runs.ends[i] as number;
    return near < start ? start - near : near >= end ? near - end + 1 : 0;
  };
  const order = Array.from(runs.starts.keys(), (i) => ({ i, distance: distance(i) }));
  order.sort((a, b) => a.distance - b.distance);
  const buffer = Buffer.alloc(chunkSize);
  for (const { i } of order) {
    const end = runs.ends[i] as number;
    for (let start = runs.starts[i] as number; start < end; ) {
      const chunk = buffer.subarray(0, Math.min(chunkSize, end - start));
      if (!read(start, chunk)) chunk.fill(0); // a damaged page among them
      for (let at = chunk.indexOf(bytes); at >= 0; at = chunk.indexOf(bytes, at + 1)) yield start + at;
      if (start + chunk.length >= end) break;
      start += chunk.length - (bytes.length - 1);
    }
  }
}
