// The bytes of all places, as the writes so far have made them, and which step of start-up was at each last.
import { readS32 } from '../arch/x86-64/length.ts';
import { countUpTo } from '../bytes/search.ts';
import { setS32 } from '../text/x86-64/branches.ts';
import type { Policy } from './policy.ts';

export class Shadow {
  private readonly starts: Float64Array;
  /** Where the bytes of each stretch begin, and behind the last where they end. */
  private readonly offsets: Uint32Array;
  private readonly bytes: Uint8Array;
  private readonly ranks: Uint8Array;

  /** What the file has, moved by a slide. */
  constructor({ stretches }: Policy, slide: number) {
    this.starts = Float64Array.from(stretches, ({ address }) => address);
    this.offsets = new Uint32Array(stretches.length + 1);
    let size = 0;
    for (const [i, { bytes }] of stretches.entries()) {
      this.offsets[i] = size;
      size += bytes.length;
    }
    this.offsets[stretches.length] = size;
    this.bytes = new Uint8Array(size);
    this.ranks = new Uint8Array(size);
    for (const [i, { bytes, added, taken }] of stretches.entries()) {
      const moved = bytes.slice();
      for (const at of added) setS32(moved, at, (readS32(moved, at) + slide) | 0);
      for (const at of taken) setS32(moved, at, (readS32(moved, at) - slide) | 0);
      this.bytes.set(moved, this.offsets[i]);
    }
  }

  /** The bytes at an address; undefined where not all of them are of places. */
  at(address: number, length: number): Uint8Array | undefined {
    const from = this.offsetOf(address, length);
    return from === undefined ? undefined : this.bytes.subarray(from, from + length);
  }

  /** The latest step that was at any of these bytes. */
  rankAt(address: number, length: number): number {
    const from = this.offsetOf(address, length) ?? 0;
    let rank = 0;
    for (let i = from; i < from + length; i++) rank = Math.max(rank, this.ranks[i] as number);
    return rank;
  }

  /** Takes a write over; rank 0 leaves the steps as they are. */
  write(address: number, bytes: Uint8Array, rank: number): void {
    const from = this.offsetOf(address, bytes.length);
    if (from === undefined) return;
    this.bytes.set(bytes, from);
    if (rank > 0) this.ranks.fill(rank, from, from + bytes.length);
  }

  private offsetOf(address: number, length: number): number | undefined {
    const i = countUpTo(this.starts, address) - 1;
    if (i < 0) return undefined;
    const from = (this.offsets[i] as number) + address - (this.starts[i] as number);
    return from + length <= (this.offsets[i + 1] as number) ? from : undefined;
  }
}
