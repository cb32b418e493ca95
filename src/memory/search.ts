// Searches a dump's memory for bytes, those near a place first.
import { TextpokeError } from '../errors.ts';
import type { Memory } from './memory.ts';

const chunkSize = 4 << 20;

/** Bytes of memory that are searched at most: a damaged dump can say that its few bytes stand everywhere. */
function searchLimit(fileSize: number): number {
  return Math.max(2 ** 28, 64 * fileSize);
}

/** Every address where `bytes` stand, those of the runs nearest to `near` first. Error `memory-malformed`. */
export function* findBytes(
  { runs, read, fileSize }: Memory,
  bytes: Uint8Array,
  near: number,
): Generator<number> {
  const { starts, ends } = runs;
  const count = starts.length;
  let total = 0;
  const distances = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const start = starts[i] as number;
    const end = ends[i] as number;
    total += end - start;
    distances[i] = near < start ? start - near : near >= end ? near - end + 1 : 0;
  }
  if (total > searchLimit(fileSize)) {
    throw new TextpokeError(
      'memory-malformed',
      `the dump says that it has ${total} bytes of memory, but its file has ${fileSize} bytes; ${searchLimit(fileSize)} are the most that are searched`,
    );
  }
  const order = new Uint32Array(count)
    .map((_, i) => i)
    .sort((a, b) => (distances[a] as number) - (distances[b] as number));
  const buffer = Buffer.alloc(Math.min(chunkSize, total));
  for (const i of order) {
    const end = ends[i] as number;
    for (let start = starts[i] as number; start < end; ) {
      const chunk = buffer.subarray(0, Math.min(chunkSize, end - start));
      if (!read(start, chunk)) chunk.fill(0); // a damaged page among them
      for (let at = chunk.indexOf(bytes); at >= 0; at = chunk.indexOf(bytes, at + 1)) yield start + at;
      if (start + chunk.length >= end) break;
      start += chunk.length - (bytes.length - 1);
    }
  }
}
