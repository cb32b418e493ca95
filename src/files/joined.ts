// Several sources one behind the other, as one. Nothing is copied but what reaches over a border.
import { countUpTo } from '../bytes/search.ts';
import { type ByteSource, requireRange, roomFor } from './source.ts';

/** The bytes of all parts in order. Closing it closes nothing. */
export function joinedSource(parts: readonly ByteSource[]): ByteSource {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  return {
    size,
    read(offset, length) {
      requireRange(size, offset, length);
      let i = Math.max(countUpTo(starts, offset) - 1, 0);
      const part = parts[i];
      const at = offset - (starts[i] ?? 0);
      if (!part || at + length <= part.size) return part?.read(at, length) ?? new Uint8Array(0);
      const bytes = roomFor(length, offset);
      for (let done = 0; done < length; i++) {
        const next = parts[i] as ByteSource;
        const from = offset + done - (starts[i] as number);
        const count = Math.min(next.size - from, length - done);
        bytes.set(next.read(from, count), done);
        done += count;
      }
      return bytes;
    },
    close() {},
  };
}
