// Compressed streams made by hand, for tests that need only Node: their content is stored, not compressed.
// Zstandard: RFC 8878. XZ: the .xz file format 1.2.1 with LZMA2 chunks that are stored.

/** A Zstandard frame of raw blocks, with its size in front. */
export function zstdOf(content: Uint8Array): Uint8Array {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0]); // one segment, four bytes of size
  head.writeUInt32LE(content.length, 5);
  const parts: Uint8Array[] = [head];
  for (let at = 0; at === 0 || at < content.length; at += 0x10000) {
    const block = content.subarray(at, at + 0x10000);
    const last = at + 0x10000 >= content.length ? 1 : 0;
    const header = Buffer.alloc(3);
    header.writeUIntLE(last + block.length * 8, 0, 3);
    parts.push(header, block);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function crc32(bytes: Uint8Array): Buffer {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  const result = Buffer.alloc(4);
  result.writeUInt32LE(~crc >>> 0);
  return result;
}

/** A number in groups of seven bits, the lowest first. */
function variable(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
const checked = (bytes: Buffer) => Buffer.concat([bytes, crc32(bytes)]);

/** An XZ stream of one block, with CRC32. */
export function xzOf(content: Uint8Array): Uint8Array {
  const flags = Buffer.from([0, 1]);
  const header = Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), checked(flags)]);
  const blockHeader = checked(Buffer.from([2, 0, 0x21, 1, 0x16, 0, 0, 0]));
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += 0x10000) {
    const chunk = content.subarray(at, at + 0x10000);
    chunks.push(Buffer.from([at === 0 ? 1 : 2, (chunk.length - 1) >> 8, (chunk.length - 1) & 0xff]), chunk);
  }
  const data = Buffer.concat([...chunks, Buffer.alloc(1)]);
  const unpadded = blockHeader.length + data.length + 4;
  const index = checked(padded(Buffer.from([0, 1, ...variable(unpadded), ...variable(content.length)])));
  const backward = Buffer.alloc(4);
  backward.writeUInt32LE(index.length / 4 - 1);
  const tail = Buffer.concat([backward, flags]);
  const block = Buffer.concat([blockHeader, padded(data), crc32(content)]);
  return new Uint8Array(
    Buffer.concat([header, block, index, Buffer.concat([crc32(tail), tail]), Buffer.from('YZ')]),
  );
}
