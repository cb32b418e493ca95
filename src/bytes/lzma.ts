// LZMA (lzma-specification.txt of the LZMA SDK; lib/xz/xz_dec_lzma2.c): the decoder, which LZMA2 also drives, and the
// format of one header and one stream that `lzma` and `xz --format=lzma` write (lib/decompress_unlzma.c). Packages that
// do it go on behind the end of their input, and have no limit on what they write (see DESIGN.md).
import { lzmaHeaderSize as headerSize } from './lzma-header.ts';
import { cutOff, type Decoded, Output } from './output.ts';

const half = 1 << 10; // of 1 << 11, which is certainty
const speed = 5; // by how many bits a probability moves
const top = 0x0100_0000;
const stateCount = 12;
const positionsMost = 16; // of pb at most 4
const shortestMatch = 2;
const treeSize = 256;
const literalSize = 0x300;

/** Bits of an adaptive range coder. */
class RangeBits {
  private readonly bytes: Uint8Array;
  at = 0;
  private end = 0;
  private range = 0;
  private code = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Begins a stream in [at, end). */
  start(at: number, end: number): void {
    if (at + 5 > end) throw cutOff();
    if (this.bytes[at] !== 0) throw new Error('a stream does not begin with zero');
    this.range = -1;
    this.code = 0;
    for (let i = 1; i < 5; i++) this.code = (this.code << 8) | (this.bytes[at + i] as number);
    this.at = at + 5;
    this.end = end;
  }

  /** True where a stream may end. */
  get isDone(): boolean {
    return this.code === 0;
  }

  normalize(): void {
    if (this.range >>> 0 >= top) return;
    if (this.at >= this.end) throw cutOff();
    this.range <<= 8;
    this.code = (this.code << 8) | (this.bytes[this.at++] as number);
  }

  bit(probabilities: Uint16Array, index: number): 0 | 1 {
    this.normalize();
    const probability = probabilities[index] as number;
    const bound = Math.imul(this.range >>> 11, probability);
    if (this.code >>> 0 < bound >>> 0) {
      this.range = bound;
      probabilities[index] = probability + (((1 << 11) - probability) >> speed);
      return 0;
    }
    this.range = (this.range - bound) | 0;
    this.code = (this.code - bound) | 0;
    probabilities[index] = probability - (probability >> speed);
    return 1;
  }

  /** Bits that are as often set as not, the highest first. */
  direct(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      this.normalize();
      this.range >>>= 1;
      this.code = (this.code - this.range) | 0;
      const isClear = this.code >> 31;
      this.code = (this.code + (this.range & isClear)) | 0;
      value = (value << 1) | (1 + isClear);
    }
    return value >>> 0;
  }

  /** The highest bit first, each with a probability that those before it choose. */
  tree(probabilities: Uint16Array, base: number, bits: number): number {
    let node = 1;
    for (let left = bits; left > 0; left--) node = (node << 1) | this.bit(probabilities, base + node);
    return node - (1 << bits);
  }

  /** The same with the lowest bit first. */
  reverseTree(probabilities: Uint16Array, base: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(probabilities, base + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }
}

/** The lengths of matches: 2 to 9, to 17, to 273. */
class Lengths {
  private readonly choice = new Uint16Array(2);
  private readonly low = new Uint16Array(positionsMost << 3);
  private readonly middle = new Uint16Array(positionsMost << 3);
  private readonly high = new Uint16Array(treeSize);

  reset(): void {
    for (const list of [this.choice, this.low, this.middle, this.high]) list.fill(half);
  }

  read(bits: RangeBits, position: number): number {
    if (bits.bit(this.choice, 0) === 0) return shortestMatch + bits.tree(this.low, position << 3, 3);
    if (bits.bit(this.choice, 1) === 0) return shortestMatch + 8 + bits.tree(this.middle, position << 3, 3);
    return shortestMatch + 16 + bits.tree(this.high, 0, 8);
  }
}

/** What is left of a match when a chunk of LZMA2 has no room for it is damage, so nothing is carried over. */
export class LzmaDecoder {
  readonly bits: RangeBits;
  private readonly out: Output;
  /** Where the content that matches may repeat begins in the output. */
  dictionary: number;
  private literalContextBits = 0;
  private literalMask = 0;
  private positionMask = 0;
  private state = 0;
  private readonly last = new Float64Array(4);
  private literals = new Uint16Array(0);
  private readonly isMatch = new Uint16Array(stateCount * positionsMost);
  private readonly isLast = new Uint16Array(stateCount);
  private readonly isLast0 = new Uint16Array(stateCount);
  private readonly isLast0Long = new Uint16Array(stateCount * positionsMost);
  private readonly isLast1 = new Uint16Array(stateCount);
  private readonly isLast2 = new Uint16Array(stateCount);
  private readonly slots = new Uint16Array(4 * 64);
  private readonly special = new Uint16Array(128);
  private readonly aligned = new Uint16Array(16);
  private readonly matchLengths = new Lengths();
  private readonly lastLengths = new Lengths();

  constructor(bytes: Uint8Array, out: Output) {
    this.bits = new RangeBits(bytes);
    this.out = out;
    this.dictionary = out.length;
  }

  /** Takes lc, lp and pb from their byte, and forgets all else. `mostLiteral` is what lc and lp may be together. */
  setProperties(byte: number, mostLiteral: number): void {
    const lc = byte % 9;
    const lp = Math.floor(byte / 9) % 5;
    const pb = Math.floor(byte / 45);
    if (pb > 4 || lc + lp > mostLiteral) throw new Error('the properties of a stream are not valid');
    this.literalContextBits = lc;
    this.literalMask = (1 << lp) - 1;
    this.positionMask = (1 << pb) - 1;
    this.literals = new Uint16Array(literalSize << (lc + lp));
    this.reset();
  }

  /** Forgets all but the properties. */
  reset(): void {
    this.state = 0;
    this.last.fill(0);
    for (const list of [
      this.literals,
      this.isMatch,
      this.isLast,
      this.isLast0,
      this.isLast0Long,
      this.isLast1,
      this.isLast2,
      this.slots,
      this.special,
      this.aligned,
    ])
      list.fill(half);
    this.matchLengths.reset();
    this.lastLengths.reset();
  }

  /** Decodes until the output has `end` bytes (Infinity: until the mark of the end); true when the mark was there. */
  decode(end: number): boolean {
    const { bits, out } = this;
    while (out.length < end) {
      const position = (out.length - this.dictionary) & this.positionMask;
      if (bits.bit(this.isMatch, (this.state << 4) + position) === 0) {
        this.literal();
        continue;
      }
      let length: number;
      if (bits.bit(this.isLast, this.state) === 0) {
        length = this.matchLengths.read(bits, position);
        this.state = this.state < 7 ? 7 : 10;
        const distance = this.distance(length);
        if (distance === 0xffff_ffff) return true;
        this.last.copyWithin(1, 0, 3);
        this.last[0] = distance;
      } else if (this.repeatsByte(position)) length = 1;
      else {
        length = this.lastLengths.read(bits, position);
        this.state = this.state < 7 ? 8 : 11;
      }
      if (out.length + length > end) throw new Error('a match is too long');
      out.repeat((this.last[0] as number) + 1, length, this.dictionary);
    }
    return false;
  }

  private literal(): void {
    const { bits, out, literals, literalContextBits } = this;
    const at = out.length - this.dictionary;
    const before = at > 0 ? (out.bytes[out.length - 1] as number) : 0;
    const context = ((at & this.literalMask) << literalContextBits) + (before >> (8 - literalContextBits));
    const base = literalSize * context;
    let symbol = 1;
    if (this.state >= 7) {
      const distance = (this.last[0] as number) + 1;
      if (distance > at) throw new Error('a match points in front of the data');
      let match = out.bytes[out.length - distance] as number;
      do {
        const matchBit = (match >> 7) & 1;
        match <<= 1;
        const bit = bits.bit(literals, base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== matchBit) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = (symbol << 1) | bits.bit(literals, base + symbol);
    if (out.length === out.bytes.length) out.need(1);
    out.bytes[out.length++] = symbol & 0xff;
    this.state = this.state < 4 ? 0 : this.state < 10 ? this.state - 3 : this.state - 6;
  }

  /** One of the last four distances comes to the front; true when it repeats but one byte. */
  private repeatsByte(position: number): boolean {
    const { bits, last, state } = this;
    if (bits.bit(this.isLast0, state) === 0) {
      if (bits.bit(this.isLast0Long, (state << 4) + position) === 0) {
        this.state = state < 7 ? 9 : 11;
        return true;
      }
      return false;
    }
    const index = bits.bit(this.isLast1, state) === 0 ? 1 : bits.bit(this.isLast2, state) === 0 ? 2 : 3;
    const distance = last[index] as number;
    last.copyWithin(1, 0, index);
    last[0] = distance;
    return false;
  }

  /** The distance of a match, less 1; 0xffffffff for the mark of the end. */
  private distance(length: number): number {
    const { bits } = this;
    const slot = bits.tree(this.slots, Math.min(length - shortestMatch, 3) << 6, 6);
    if (slot < 4) return slot;
    const count = (slot >> 1) - 1;
    const high = (2 | (slot & 1)) * 2 ** count;
    // The probabilities of slots below 14 lie one behind the other, without the unused first of each tree.
    if (slot < 14) return high + bits.reverseTree(this.special, high - slot, count);
    return high + bits.direct(count - 4) * 16 + bits.reverseTree(this.aligned, 0, 4);
  }
}

/** The content of the stream behind a header, at most `limit` bytes. Throws `TooLong` for more, an Error for damage. */
export function decodeLzmaAlone(bytes: Uint8Array, limit: number): Decoded {
  if (bytes.length < headerSize) throw cutOff();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [low, high] = [view.getUint32(5, true), view.getUint32(9, true)];
  const isOpen = low === 0xffff_ffff && high === 0xffff_ffff;
  const size = isOpen ? Number.POSITIVE_INFINITY : high * 2 ** 32 + low;
  const out = new Output(4 * bytes.length, limit);
  // The size of the dictionary (bytes 1 to 4) is of no use here: all of the output is one.
  const decoder = new LzmaDecoder(bytes, out);
  decoder.setProperties(bytes[0] as number, 12);
  decoder.bits.start(headerSize, bytes.length);
  const wasMarked = decoder.decode(size);
  if (!isOpen && wasMarked) throw new Error(`the data have ${out.length} bytes; the header says ${size}`);
  decoder.bits.normalize();
  // A mark may stand behind content whose size was given.
  if (!isOpen && !decoder.bits.isDone && !decoder.decode(size + 1))
    throw new Error('the data go on behind their end');
  return { content: out.content, end: decoder.bits.at };
}
