// Files of lzop, whose blocks are compressed with LZO1X.
import { unlzo } from './lzo.ts';
import { cutOff, type Decoded, Output } from './output.ts';

const magic = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a] as const;
/** Flags of a header (lzop's conf.h): which checksums blocks have, and what else the header holds. */
const flag = {
  adlerOfContent: 1,
  adlerOfData: 2,
  extraField: 0x40,
  crcOfContent: 0x100,
  crcOfData: 0x200,
  filter: 0x800,
} as const;
/** What lzop writes at most, in a block. */
const largestBlock = 64 << 20;

/**
 * The content of a file of lzop, at most `limit` bytes (lib/decompress_unlzo.c; lzop's lzop.c, write_header). Throws
 * `TooLong` for more, and an Error for damage.
 */
export function decodeLzop(bytes: Uint8Array, limit: number): Decoded {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at: number = magic.length;
  const number = (size: 1 | 2 | 4): number => {
    if (at + size > bytes.length) throw cutOff();
    at += size;
    return size === 1 ? view.getUint8(at - 1) : size === 2 ? view.getUint16(at - 2) : view.getUint32(at - 4);
  };
  if (!magic.every((byte, i) => bytes[i] === byte))
    throw new Error('the data do not begin with the magic number of lzop');
  const isNew = number(2) >= 0x940;
  number(2); // the version of the library
  if (isNew) number(2); // the version that is needed
  const method = number(1);
  if (method < 1 || method > 3) throw new Error(`the method is ${method}; LZO1X (1 to 3) is supported`);
  if (isNew) number(1); // the level
  const flags = number(4);
  if ((flags & flag.filter) !== 0) throw new Error('the data are filtered, which is not supported');
  for (let word = isNew ? 3 : 2; word > 0; word--) number(4); // mode and time
  const name = number(1);
  at += name;
  number(4); // the checksum of the header
  if ((flags & flag.extraField) !== 0) {
    const extra = number(4);
    at += extra;
    number(4);
  }
  const out = new Output(4 * bytes.length, limit);
  for (;;) {
    const size = number(4);
    if (size === 0) return { content: out.content, end: at };
    const packed = number(4);
    if (size > largestBlock || packed > size) throw new Error('a block has an invalid header');
    const adler = (flags & flag.adlerOfContent) !== 0 ? number(4) : undefined;
    if ((flags & flag.crcOfContent) !== 0) number(4);
    if (packed < size)
      for (const bit of [flag.adlerOfData, flag.crcOfData]) if ((flags & bit) !== 0) number(4);
    const [start, end] = [at, at + packed];
    if (end > bytes.length) throw cutOff();
    const from = out.length;
    if (packed === size) out.append(bytes, start, end);
    else {
      const content = unlzo(bytes.subarray(start, end), size);
      out.append(content, 0, content.length);
    }
    if (out.length - from !== size)
      throw new Error(`a block has ${out.length - from} bytes; it says ${size}`);
    if (adler !== undefined && adler !== adler32(out.bytes, from, out.length))
      throw new Error('the checksum of a block is wrong');
    at = end;
  }
}

/** The checksum of RFC 1950. */
function adler32(bytes: Uint8Array, from: number, to: number): number {
  let a = 1;
  let b = 0;
  for (let at = from; at < to; ) {
    // So many sums stay exact in 32 bits.
    for (const stop = Math.min(at + 5552, to); at < stop; at++) {
      a += bytes[at] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}
