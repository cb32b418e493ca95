// bzip2, as kernels are compressed with it (lib/decompress_bunzip2.c; the format is as libbzip2's decompress.c reads it).
// Packages that do it follow the lengths of runs without a limit (see DESIGN.md).
import { cutOff, type Decoded, Output } from './output.ts';

const longestCode = 20;
/** Symbols that are decoded with one code table, before the next selector names another. */
const groupSize = 50;
const largestSelectors = 18002;

/** Bits from the left, as bzip2 counts them. */
class Bits {
  private readonly bytes: Uint8Array;
  private at: number;
  private held = 0;
  private left = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** A number of at most 24 bits. */
  take(count: number): number {
    while (this.left < count) {
      if (this.at >= this.bytes.length) throw cutOff();
      this.held = ((this.held << 8) | (this.bytes[this.at++] as number)) & 0x7fff_ffff;
      this.left += 8;
    }
    this.left -= count;
    return (this.held >> this.left) & ((1 << count) - 1);
  }

  word(): number {
    return this.take(16) * 65536 + this.take(16);
  }

  /** Where the next byte begins that no bit was taken of. */
  get end(): number {
    return this.at - (this.left >> 3);
  }
}

/** The codes of a group, by length: the first code, the symbols before it, and the symbols in order. */
interface Codes {
  readonly shortest: number;
  readonly longest: number;
  readonly first: Int32Array;
  readonly counts: Int32Array;
  readonly before: Int32Array;
  readonly symbols: Uint16Array;
}

function readCodes(bits: Bits, symbolCount: number): Codes {
  const lengths = new Uint8Array(symbolCount);
  let length = bits.take(5);
  for (let i = 0; i < symbolCount; i++) {
    for (;;) {
      if (length < 1 || length > longestCode) throw new Error('a code has an invalid length');
      if (bits.take(1) === 0) break;
      length += bits.take(1) === 0 ? 1 : -1;
    }
    lengths[i] = length;
  }
  const counts = new Int32Array(longestCode + 1);
  for (const size of lengths) counts[size] = (counts[size] as number) + 1;
  const first = new Int32Array(longestCode + 1);
  const before = new Int32Array(longestCode + 1);
  const symbols = new Uint16Array(symbolCount);
  let code = 0;
  let filled = 0;
  for (let size = 1; size <= longestCode; size++) {
    code <<= 1;
    first[size] = code;
    before[size] = filled;
    if (counts[size] === 0) continue;
    for (let i = 0; i < symbolCount; i++) if (lengths[i] === size) symbols[filled++] = i;
    code += counts[size] as number;
    if (code > 1 << size) throw new Error('there are more codes of a length than it has');
  }
  const shortest = counts.findIndex((count) => count > 0);
  const longest = counts.findLastIndex((count) => count > 0);
  return { shortest, longest, first, counts, before, symbols };
}

function decodeSymbol(bits: Bits, { shortest, longest, first, counts, before, symbols }: Codes): number {
  let code = bits.take(shortest);
  for (let size = shortest; size <= longest; size++) {
    const index = code - (first[size] as number);
    if (index < (counts[size] as number)) return symbols[(before[size] as number) + index] as number;
    code = (code << 1) | bits.take(1);
  }
  throw new Error('a code means nothing');
}

/** The bytes that a block has, by the numbers that its symbols call them. */
function readAlphabet(bits: Bits): Uint8Array {
  const used: number[] = [];
  const rows = bits.take(16);
  for (let row = 0; row < 16; row++) {
    if (((rows >> (15 - row)) & 1) === 0) continue;
    const columns = bits.take(16);
    for (let i = 0; i < 16; i++) if (((columns >> (15 - i)) & 1) === 1) used.push(row * 16 + i);
  }
  if (used.length === 0) throw new Error('a block has no symbols');
  return Uint8Array.from(used);
}

/** Takes a number to the front of a list; returns it. */
function moveToFront(list: Uint8Array, index: number): number {
  const value = list[index] as number;
  list.copyWithin(1, 0, index);
  list[0] = value;
  return value;
}

function readSelectors(bits: Bits, groups: number): Uint8Array {
  const count = bits.take(15);
  if (count === 0) throw new Error('a block has no selectors');
  const order = Uint8Array.from({ length: groups }, (_, i) => i);
  const selectors = new Uint8Array(Math.min(count, largestSelectors));
  for (let i = 0; i < count; i++) {
    let index = 0;
    while (bits.take(1) === 1) if (++index >= groups) throw new Error('a selector names no table');
    const selector = moveToFront(order, index);
    // bzip2 itself has written more selectors than a block can use; they are left out.
    if (i < selectors.length) selectors[i] = selector;
  }
  return selectors;
}

/** Reads the symbols of a block into the low bytes of `block`; returns how many bytes they mean. */
function readSymbols(bits: Bits, block: Uint32Array, counts: Uint32Array): number {
  const alphabet = readAlphabet(bits);
  const groups = bits.take(3);
  if (groups < 2 || groups > 6) throw new Error(`a block has ${groups} code tables; 2 to 6 are allowed`);
  const selectors = readSelectors(bits, groups);
  const tables = Array.from({ length: groups }, () => readCodes(bits, alphabet.length + 2));
  const endOfBlock = alphabet.length + 1;
  let size = 0;
  let run = 0;
  let weight = 1;
  for (let read = 0, codes = tables[0] as Codes; ; read++) {
    if (read % groupSize === 0) {
      const selector = selectors[read / groupSize];
      if (selector === undefined) throw new Error('a block has more symbols than selectors');
      codes = tables[selector] as Codes;
    }
    const symbol = decodeSymbol(bits, codes);
    if (symbol < 2) {
      run += weight << symbol;
      weight <<= 1;
      // Behind this no run can be right, and the weights would wrap round.
      if (run > block.length) throw new Error('a run is too long');
      continue;
    }
    if (run > 0) {
      if (size + run > block.length) throw new Error('a block is too long');
      const byte = alphabet[0] as number;
      block.fill(byte, size, size + run);
      counts[byte] = (counts[byte] as number) + run;
      size += run;
      run = 0;
      weight = 1;
    }
    if (symbol === endOfBlock) return size;
    if (size >= block.length) throw new Error('a block is too long');
    const byte = moveToFront(alphabet, symbol - 1);
    block[size++] = byte;
    counts[byte] = (counts[byte] as number) + 1;
  }
}

let crcTable: Int32Array | undefined;

/** CRC-32 with the highest bit first. */
function crcTableOf(): Int32Array {
  crcTable ??= Int32Array.from({ length: 256 }, (_, i) => {
    let value = i << 24;
    for (let bit = 0; bit < 8; bit++) value = (value << 1) ^ (value < 0 ? 0x04c11db7 : 0);
    return value;
  });
  return crcTable;
}

/** Undoes the sort of a block, and the runs of four that were shortened first; returns the checksum. */
function writeBlock(
  block: Uint32Array,
  size: number,
  counts: Uint32Array,
  first: number,
  out: Output,
): number {
  if (first >= size) throw new Error('a block begins behind its end');
  const starts = new Uint32Array(256);
  for (let byte = 0, sum = 0; byte < 256; byte++) {
    starts[byte] = sum;
    sum += counts[byte] as number;
  }
  for (let i = 0; i < size; i++) {
    const byte = (block[i] as number) & 0xff;
    const at = starts[byte] as number;
    starts[byte] = at + 1;
    block[at] = (block[at] as number) | (i << 8);
  }
  const table = crcTableOf();
  let crc = -1;
  let at = (block[first] as number) >>> 8;
  let last = -1;
  let same = 0;
  for (let i = 0; i < size; i++) {
    const entry = block[at] as number;
    const byte = entry & 0xff;
    at = entry >>> 8;
    if (same === 4) {
      // The byte behind four equal ones says how many more there are.
      out.need(byte);
      out.bytes.fill(last, out.length, out.length + byte);
      out.length += byte;
      for (let n = byte; n > 0; n--) crc = (crc << 8) ^ (table[(crc >>> 24) ^ last] as number);
      same = 0;
      last = -1;
      continue;
    }
    if (out.length === out.bytes.length) out.need(1);
    out.bytes[out.length++] = byte;
    crc = (crc << 8) ^ (table[(crc >>> 24) ^ byte] as number);
    same = byte === last ? same + 1 : 1;
    last = byte;
  }
  return ~crc;
}

/** The content of the first stream, at most `limit` bytes. Throws `TooLong` for more, and an Error for damage. */
export function decodeBzip2(bytes: Uint8Array, limit: number): Decoded {
  const level = (bytes[3] ?? 0) - 0x30;
  if (bytes[0] !== 0x42 || bytes[1] !== 0x5a || bytes[2] !== 0x68 || level < 1 || level > 9)
    throw new Error('the data do not begin with the magic number of bzip2');
  const bits = new Bits(bytes, 4);
  const out = new Output(4 * bytes.length, limit);
  // The size of blocks is a claim, but a small one: 100,000 to 900,000 bytes.
  const block = new Uint32Array(level * 100_000);
  let stream = 0;
  for (;;) {
    const magic = bits.take(24) * 2 ** 24 + bits.take(24);
    const checksum = bits.word() | 0;
    if (magic === 0x177245385090) {
      if (checksum !== stream) throw new Error('the checksum of the stream is wrong');
      return { content: out.content, end: bits.end };
    }
    if (magic !== 0x314159265359) throw new Error('a block does not begin with its magic number');
    if (bits.take(1) === 1) throw new Error('the data are of bzip2 before 0.9.5');
    const first = bits.take(24);
    const counts = new Uint32Array(256);
    const size = readSymbols(bits, block, counts);
    if (writeBlock(block, size, counts, first, out) !== checksum)
      throw new Error('the checksum of a block is wrong');
    stream = ((stream << 1) | (stream >>> 31)) ^ checksum;
  }
}
