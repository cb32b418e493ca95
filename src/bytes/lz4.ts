// LZ4 in its legacy format, as `lz4 -l` writes it and kernels are compressed with it (lz4_Frame_format.md, "Legacy
// frame"; lib/decompress_unlz4.c): blocks of 8 MiB behind one magic number, without checksums and without an end.
import { cutOff, type Decoded, Output } from './output.ts';

const magic = [0x02, 0x21, 0x4c, 0x18] as const;
/** What a block may hold. */
const largestBlock = 8 << 20;

/**
 * The content of the blocks up to the end of `bytes`, at most `limit` bytes of it. Throws `TooLong` for more, and an
 * Error for damage.
 */
export function decodeLz4Legacy(bytes: Uint8Array, limit: number): Decoded {
  if (bytes.length < 4 || !magic.every((byte, i) => bytes[i] === byte))
    throw new Error('the data do not begin with the magic number of the legacy format');
  const out = new Output(4 * bytes.length, limit);
  let at = 4;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw cutOff();
    const size = u32(bytes, at);
    at += 4;
    // Files may be put one behind the other.
    if (size === 0x184c2102) continue;
    if (at + size > bytes.length) throw cutOff();
    decodeLz4Block(bytes.subarray(at, at + size), out, largestBlock);
    at += size;
  }
  return { content: out.content, end: at };
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

/** Appends what a block holds, at most `largest` bytes (lz4_Block_format.md). Throws as above. */
function decodeLz4Block(bytes: Uint8Array, out: Output, largest: number): void {
  const start = out.length;
  const end = bytes.length;
  let at = 0;
  /** A length of 15 goes on in the bytes behind it. */
  const lengthOf = (first: number): number => {
    let length = first;
    if (first < 15) return length;
    for (let more = 255; more === 255; length += more) {
      if (at >= end) throw cutOff();
      more = bytes[at++] as number;
    }
    return length;
  };
  for (;;) {
    if (at >= end) throw cutOff();
    const token = bytes[at++] as number;
    const literals = lengthOf(token >> 4);
    if (at + literals > end) throw cutOff();
    if (out.length + literals - start > largest) throw new Error('a block is too long');
    out.append(bytes, at, at + literals);
    at += literals;
    // The last sequence of a block has no match.
    if (at === end) return;
    if (at + 2 > end) throw cutOff();
    const distance = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    at += 2;
    const size = lengthOf(token & 15) + 4;
    if (out.length + size - start > largest) throw new Error('a block is too long');
    out.repeat(distance, size, start);
  }
}
