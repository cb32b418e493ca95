// A file made of another one: pieces of it, zeros between them, and bytes written over. It is put together range by
// range, so that a large image costs no more memory than what is changed in it.
import { countUpTo } from '../bytes/search.ts';
import { type ByteSource, requireRange, roomFor } from './source.ts';

/** Bytes of the other file, and where they come to stand. */
export interface Piece {
  readonly from: number;
  readonly to: number;
  readonly size: number;
}

export interface Write {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The new file; `pieces` are in order and apart, and of `writes` the later ones win. Closing it closes nothing. */
export function editedSource(
  source: ByteSource,
  size: number,
  pieces: readonly Piece[],
  writes: readonly Write[],
): ByteSource {
  const order = Uint32Array.from(writes.keys());
  order.sort((a, b) => (writes[a] as Write).at - (writes[b] as Write).at || a - b);
  const starts = Float64Array.from(order, (i) => (writes[i] as Write).at);
  const longest = writes.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
  return {
    size,
    read(offset, length) {
      requireRange(size, offset, length);
      const end = offset + length;
      const whole = pieces.find(({ to, size: count }) => to <= offset && end <= to + count);
      let bytes = whole && source.read(whole.from + offset - whole.to, length);
      if (!bytes) {
        bytes = roomFor(length, offset).fill(0);
        for (const { from, to, size: count } of pieces) {
          const [first, last] = [Math.max(to, offset), Math.min(to + count, end)];
          if (first < last) bytes.set(source.read(from + first - to, last - first), first - offset);
        }
      }
      const [low, high] = [countUpTo(starts, offset - longest), countUpTo(starts, end - 1)];
      if (low === high) return bytes;
      if (whole) bytes = bytes.slice(); // It may be the source's own memory.
      for (const i of order.slice(low, high).sort()) {
        const { at, bytes: written } = writes[i] as Write;
        const [first, last] = [Math.max(at, offset), Math.min(at + written.length, end)];
        if (first < last) bytes.set(written.subarray(first - at, last - at), first - offset);
      }
      return bytes;
    },
    close() {},
  };
}
