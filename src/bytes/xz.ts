// xz files whose blocks went through a filter for code, as scripts/xz_wrap.sh of Linux makes them (xz-file-format.txt;
// lib/xz). The package that reads all other xz files has no filters.
import { type BranchFilter, branchFilters } from './branch-filters.ts';
import { crc32 } from './crc32.ts';
import { LzmaDecoder } from './lzma.ts';
import { cutOff, type Decoded, Output } from './output.ts';

const streamHeader = 12;
const lzma2 = 0x21;
/** Sizes of the checksums behind a block, by their type. */
const checkSizes = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;
const checkCrc32 = 1;

class XzReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  byte(): number {
    if (this.at >= this.bytes.length) throw cutOff();
    return this.bytes[this.at++] as number;
  }

  u16(): number {
    return this.byte() * 256 + this.byte();
  }

  word(): number {
    if (this.at + 4 > this.bytes.length) throw cutOff();
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  /** A number of 7 bits a byte, the lowest first. */
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new Error('a number is too large');
      if (byte < 128) return value;
    }
  }

  take(count: number): Uint8Array {
    if (this.at + count > this.bytes.length) throw cutOff();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** The checksum of what stands from `start` to here, which stands here. */
  requireCrc(start: number, what: string): void {
    const found = crc32(this.bytes.subarray(start, this.at));
    if (this.word() !== found) throw new Error(`the checksum of ${what} is wrong`);
  }
}

/** What a block's header says. */
interface Block {
  readonly filter: BranchFilter | undefined;
  readonly size: number | undefined;
}

function readBlockHeader(reader: XzReader): Block {
  const start = reader.at;
  const end = start + (reader.byte() + 1) * 4 - 4;
  const flags = reader.byte();
  if ((flags & 0x3c) !== 0) throw new Error('a block has unknown flags');
  if ((flags & 0x40) !== 0) reader.number();
  const size = (flags & 0x80) !== 0 ? reader.number() : undefined;
  const filters = Array.from({ length: (flags & 3) + 1 }, () => {
    const id = reader.number();
    const properties = reader.take(reader.number());
    return { id, properties };
  });
  if (reader.at > end) throw new Error('the header of a block is too long');
  reader.take(end - reader.at);
  reader.requireCrc(start, 'the header of a block');
  const [first, second] = filters;
  if (filters.at(-1)?.id !== lzma2) throw new Error('a block is not compressed with LZMA2');
  if (!first || filters.length === 1) return { filter: undefined, size };
  const filter = branchFilters.get(first.id);
  if (!filter || !second || filters.length > 2)
    throw new Error(
      `the filters ${filters.map(({ id }) => `0x${id.toString(16)}`).join(', ')} are not supported; those of x86, ARM, Thumb and ARM64 are`,
    );
  if (first.properties.some((byte) => byte !== 0))
    throw new Error('a filter begins at another address than 0, which is not supported');
  return { filter, size };
}

/** Appends the chunks of a block. */
function readChunks(reader: XzReader, decoder: LzmaDecoder, bytes: Uint8Array, out: Output): void {
  let needsDictionary = true;
  let needsProperties = true;
  for (;;) {
    const control = reader.byte();
    if (control === 0) return;
    const resetsDictionary = control === 1 || control >= 0xe0;
    if (needsDictionary && !resetsDictionary) throw new Error('the first chunk needs a dictionary');
    if (resetsDictionary) {
      decoder.dictionary = out.length;
      needsProperties = true;
    }
    needsDictionary = false;
    if (control < 0x80) {
      if (control > 2) throw new Error('a chunk has an invalid header');
      const plain = reader.take(reader.u16() + 1);
      out.append(plain, 0, plain.length);
      continue;
    }
    const size = ((control & 0x1f) << 16) + reader.u16() + 1;
    const packed = reader.u16() + 1;
    if (control >= 0xc0) {
      decoder.setProperties(reader.byte(), 4);
      needsProperties = false;
    } else if (needsProperties) throw new Error('the first chunk has no properties');
    else if (control >= 0xa0) decoder.reset();
    const end = reader.at + packed;
    if (end > bytes.length) throw cutOff();
    decoder.bits.start(reader.at, end);
    if (decoder.decode(out.length + size)) throw new Error('a chunk has a mark of the end');
    decoder.bits.normalize();
    if (decoder.bits.at !== end || !decoder.bits.isDone) throw new Error('a chunk is not as long as it says');
    reader.at = end;
  }
}

/** True where the first block of an xz file went through a filter. */
export function hasFilter(bytes: Uint8Array): boolean {
  return bytes.length > streamHeader + 1 && ((bytes[streamHeader + 1] as number) & 3) !== 0;
}

/** The content of the first stream, at most `limit` bytes. Throws `TooLong` for more, and an Error for damage. */
export function decodeXz(bytes: Uint8Array, limit: number): Decoded {
  const reader = new XzReader(bytes);
  reader.take(6); // the magic number
  const flags = reader.take(2);
  const type = flags[1] as number;
  if (flags[0] !== 0 || type > 15) throw new Error('the stream has unknown flags');
  reader.at = 6;
  reader.take(2);
  reader.requireCrc(6, 'the header');
  const out = new Output(4 * bytes.length, limit);
  const decoder = new LzmaDecoder(bytes, out);
  let blocks = 0;
  while (bytes[reader.at] !== 0) {
    const { filter, size } = readBlockHeader(reader);
    const start = out.length;
    const first = reader.at;
    readChunks(reader, decoder, bytes, out);
    const content = out.bytes.subarray(start, out.length);
    if (size !== undefined && size !== content.length)
      throw new Error(`a block has ${content.length} bytes; it says ${size}`);
    filter?.(content);
    if (reader.take((4 - ((reader.at - first) & 3)) & 3).some((byte) => byte !== 0))
      throw new Error('a block is filled up with something else than zeros');
    const check = reader.take(checkSizes[type] as number);
    if (type === checkCrc32) {
      const view = new DataView(check.buffer, check.byteOffset, 4);
      if (view.getUint32(0, true) !== crc32(content)) throw new Error('the checksum of a block is wrong');
    }
    blocks++;
  }
  skipIndex(reader, blocks);
  return { content: out.content, end: reader.at };
}

/** The index and the footer say again what was read. */
function skipIndex(reader: XzReader, blocks: number): void {
  const start = reader.at;
  reader.byte();
  if (reader.number() !== blocks) throw new Error('the index has another number of blocks');
  for (let left = blocks * 2; left > 0; left--) reader.number();
  while (((reader.at - start) & 3) !== 0) reader.byte();
  reader.requireCrc(start, 'the index');
  reader.take(12);
}
