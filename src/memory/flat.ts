// The flattened form of a dump, which comes through a pipe (makedumpfile -F): blocks that each say where they belong.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { type ByteSource, copyFrom } from '../files/source.ts';
import { forEachPiece, layOut } from './stretches.ts';

export const flatSignature = 'makedumpfile';

/** Bytes of the form's own header; blocks follow it. */
const flatHeaderSize = 4096;
/** Bytes of the file that is described, at most: more than any machine has memory. */
const largestFile = 2 ** 44;
/** Bytes that are read at once where blocks are short. */
const windowSize = 4096;

/** The file that a flattened one describes, with holes where it has no block; later blocks win. Error `memory-malformed`. */
export function unflatten(source: ByteSource): ByteSource {
  const starts: number[] = [];
  const sizes: number[] = [];
  const offsets: number[] = [];
  let end = 0;
  let window: { at: number; bytes: Uint8Array } = { at: 0, bytes: new Uint8Array(0) };
  for (let at = flatHeaderSize; at + 16 <= source.size; ) {
    if (at + 16 > window.at + window.bytes.length)
      window = { at, bytes: source.read(at, Math.min(windowSize, source.size - at)) };
    const view = new ByteView(window.bytes, false, { offset: window.at });
    const offset = view.s64(at - window.at);
    const size = view.s64(at - window.at + 8);
    if (offset === -1 && size === -1) break;
    if (!(offset >= 0 && size >= 0 && offset + size <= largestFile)) {
      throw new TextpokeError(
        'memory-malformed',
        `a block of the flattened dump ends at byte ${offset + size} of what it describes; ${largestFile} is the last that is supported`,
        { offset: at },
      );
    }
    at += 16;
    if (size > 0) {
      starts.push(offset);
      sizes.push(Math.min(size, source.size - at));
      offsets.push(at);
      end = Math.max(end, offset + (sizes.at(-1) as number));
    }
    at += size;
  }
  const blocks = layOut({ starts, sizes, offsets });
  return {
    size: end,
    read(offset, length) {
      // Nothing that is read as a whole is longer than the file in which all of it stands.
      if (!(offset >= 0 && length >= 0 && offset + length <= end && length <= source.size)) {
        throw new TextpokeError(
          'memory-malformed',
          `${length} bytes are needed here, but the flattened dump has ${source.size}, and what it describes ends at ${end}`,
          { offset },
        );
      }
      const bytes = new Uint8Array(length);
      forEachPiece(blocks, offset, length, (from, to, size) =>
        copyFrom(source, from, bytes.subarray(to, to + size)),
      );
      return bytes;
    },
    close: () => source.close(),
  };
}
