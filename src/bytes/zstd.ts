// Zstandard as RFC 8878 has it, for versions of Node without it. Nothing is allocated or repeated because a header
// says so: a block gives at most 128 KiB, and all of them together at most what the caller allows.
// The checksum of a frame is not compared.
import { TooLong } from './output.ts';
import {
  BitsFromEnd,
  bitsAt,
  bitsOf,
  type Codes,
  literalLengths,
  matchLengths,
  readCodes,
  readStates,
  type States,
  sequenceTables,
} from './zstd-tables.ts';

const largestBlock = 1 << 17;
/** Offsets below 2 GiB: numbers of 31 bits are fast. */
const largestOffsetCode = 30;

/** What the blocks of a frame hand on. */
interface Frame {
  /** Where its content begins in the output. */
  readonly start: number;
  readonly largestBlock: number;
  offsets: [last: number, second: number, third: number];
  readonly tables: [States | undefined, States | undefined, States | undefined];
  codes: Codes | undefined;
}

class Decoder {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly limit: number;
  private readonly literals = new Uint8Array(largestBlock);
  private out: Uint8Array;
  private length = 0;

  constructor(bytes: Uint8Array, limit: number) {
    this.bytes = bytes;
    this.view = bitsOf(bytes);
    this.limit = limit;
    // Kernels become five times as long: to grow once more costs a copy of all.
    this.out = new Uint8Array(Math.min(limit, 6 * bytes.length + 1024));
  }

  content(): Uint8Array {
    if (this.bytes.length === 0) throw new Error('the stream is empty');
    for (let at = 0; at < this.bytes.length; ) at = this.frame(at);
    return this.out.subarray(0, this.length);
  }

  /** Makes room for `more` bytes, and throws where so many are not allowed. */
  private need(more: number): void {
    const length = this.length + more;
    if (length > this.limit) throw new TooLong();
    if (length <= this.out.length) return;
    const grown = new Uint8Array(Math.min(this.limit, Math.max(length, 2 * this.out.length)));
    grown.set(this.out.subarray(0, this.length));
    this.out = grown;
  }

  private number(at: number, size: number): number {
    if (at + size > this.bytes.length) throw new Error('the data end too early');
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[at + i] as number);
    return value;
  }

  /** Decodes the frame at byte `at`, or skips it; returns where it ends. */
  private frame(at: number): number {
    const magic = this.number(at, 4);
    if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) return at + 8 + this.number(at + 4, 4);
    if (magic !== 0xfd2fb528) throw new Error('a frame does not begin with its magic number');
    const flags = this.number(at + 4, 1);
    const isSingle = (flags & 0x20) !== 0;
    let next = at + 5;
    let window = Number.POSITIVE_INFINITY;
    if (!isSingle) {
      const descriptor = this.number(next++, 1);
      window = 2 ** (10 + (descriptor >> 3)) * (1 + (descriptor & 7) / 8);
    }
    const idSize = [0, 1, 2, 4][flags & 3] as number;
    if (this.number(next, idSize) !== 0) throw new Error('the data need a dictionary');
    next += idSize;
    const sizeSize = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6] as number;
    const size = sizeSize === 0 ? undefined : this.number(next, sizeSize) + (sizeSize === 2 ? 256 : 0);
    next += sizeSize;
    if ((flags & 8) !== 0) throw new Error('a reserved bit is set');
    if (size !== undefined && this.length + size > this.limit) throw new TooLong();
    const frame: Frame = {
      start: this.length,
      largestBlock: Math.min(largestBlock, window),
      offsets: [1, 4, 8],
      tables: [undefined, undefined, undefined],
      codes: undefined,
    };
    for (let isLast = false; !isLast; ) {
      const header = this.number(next, 3);
      isLast = (header & 1) !== 0;
      next = this.block(frame, (header >> 1) & 3, header >> 3, next + 3);
    }
    if (size !== undefined && this.length - frame.start !== size)
      throw new Error(`a frame has ${this.length - frame.start} bytes; it says ${size}`);
    next += (flags & 4) !== 0 ? 4 : 0;
    if (next > this.bytes.length) throw new Error('the data end too early');
    return next;
  }

  private block(frame: Frame, type: number, size: number, at: number): number {
    const { bytes } = this;
    if (type === 3 || size > frame.largestBlock) throw new Error('a block has an invalid header');
    const end = at + (type === 1 ? 1 : size);
    if (end > bytes.length) throw new Error('the data end too early');
    if (type === 2) this.compressed(frame, at, end);
    else {
      this.need(size);
      if (type === 1) this.out.fill(bytes[at] as number, this.length, this.length + size);
      else this.out.set(bytes.subarray(at, end), this.length);
      this.length += size;
    }
    return end;
  }

  private compressed(frame: Frame, start: number, end: number): void {
    const { literals, end: at } = this.readLiterals(frame, start, end);
    const first = this.length;
    this.need(Math.min(frame.largestBlock, this.limit - this.length));
    const used = this.sequences(frame, literals, at, end);
    const rest = literals.length - used;
    if (this.length - first + rest > frame.largestBlock) throw new Error('a block is too long');
    this.need(rest);
    this.out.set(literals.subarray(used), this.length);
    this.length += rest;
  }

  private readLiterals(frame: Frame, start: number, end: number): { literals: Uint8Array; end: number } {
    const { bytes } = this;
    const first = this.number(start, 1);
    const type = first & 3;
    const format = (first >> 2) & 3;
    const isCoded = type >= 2;
    const headSize = isCoded ? [3, 3, 4, 5][format] : [1, 2, 1, 3][format];
    const head = this.number(start, headSize as number);
    let at = start + (headSize as number);
    const width = isCoded ? ([10, 10, 14, 18][format] as number) : 0;
    const size = isCoded
      ? Math.floor(head / 16) % 2 ** width
      : Math.floor(head / ((format & 1) === 0 ? 8 : 16));
    if (size > frame.largestBlock) throw new Error('a block has too many literals');
    const literals = this.literals.subarray(0, size);
    if (!isCoded) {
      const stop = at + (type === 1 ? 1 : size);
      if (stop > end) throw new Error('the literals are cut off');
      if (type === 0) return { literals: bytes.subarray(at, stop), end: stop };
      literals.fill(bytes[at] as number);
      return { literals, end: stop };
    }
    const stop = at + Math.floor(head / 16 / 2 ** width);
    if (stop > end) throw new Error('the literals are cut off');
    if (type === 2) {
      const read = readCodes(bytes, this.view, at, stop);
      frame.codes = read.codes;
      at = read.end;
    }
    const { codes } = frame;
    if (!codes) throw new Error('literals repeat codes that were never given');
    if (format === 0) new BitsFromEnd(this.view, at, stop).decode(codes, literals);
    else {
      const quarter = Math.ceil(size / 4);
      if (at + 6 > stop || 3 * quarter > size) throw new Error('the literals are cut off');
      const streams = at + 6;
      const ends = [0, 2, 4].map((offset) => this.number(at + offset, 2));
      let from = streams;
      for (let i = 0; i < 4; i++) {
        const to = i === 3 ? stop : from + (ends[i] as number);
        if (to > stop) throw new Error('the literals are cut off');
        const part = literals.subarray(i * quarter, i === 3 ? size : (i + 1) * quarter);
        new BitsFromEnd(this.view, from, to).decode(codes, part);
        from = to;
      }
    }
    return { literals, end: stop };
  }

  /** Carries out the sequences of a block; returns how many literals they took. */
  private sequences(frame: Frame, literals: Uint8Array, start: number, end: number): number {
    const { bytes } = this;
    let at = start;
    let count = this.number(at++, 1);
    if (count === 255) {
      count = this.number(at, 2) + 0x7f00;
      at += 2;
    } else if (count > 127) count = (count - 128) * 256 + this.number(at++, 1);
    if (count === 0) {
      if (at !== end) throw new Error('a block has more data than it says');
      return 0;
    }
    const modes = this.number(at++, 1);
    sequenceTables.forEach(({ largestLog, codes, given }, i) => {
      const mode = (modes >> (6 - 2 * i)) & 3;
      if (mode === 0) frame.tables[i as 0] = given;
      else if (mode === 1) {
        const symbol = this.number(at++, 1);
        if (symbol >= codes) throw new Error('a sequence has an unknown code');
        frame.tables[i as 0] = { log: 0, steps: Uint32Array.of(symbol) };
      } else if (mode === 2) {
        const read = readStates(bytes, at, end, codes, largestLog);
        frame.tables[i as 0] = read.table;
        at = read.end;
      }
    });
    const [forLiterals, forOffsets, forMatches] = frame.tables;
    if (!forLiterals || !forOffsets || !forMatches || at > end)
      throw new Error('sequences repeat tables that were never given');
    // A kernel has four million sequences: the loop calls nothing, and keeps what it changes in variables of its own.
    const { view, limit, out } = this;
    const [literalSteps, offsetSteps, matchSteps] = [forLiterals.steps, forOffsets.steps, forMatches.steps];
    const stream = new BitsFromEnd(view, at, end);
    let literalState = stream.take(forLiterals.log);
    let offsetState = stream.take(forOffsets.log);
    let matchState = stream.take(forMatches.log);
    let { left } = stream;
    let [last, second, third] = frame.offsets;
    let to = this.length;
    const room = to + frame.largestBlock;
    let used = 0;
    for (let rest = count; rest > 0; rest--) {
      const literalStep = literalSteps[literalState] as number;
      const offsetStep = offsetSteps[offsetState] as number;
      const matchStep = matchSteps[matchState] as number;
      const offsetCode = offsetStep & 0xff;
      if (offsetCode > largestOffsetCode) throw new Error('an offset is too large');
      let value = 1 << offsetCode;
      if (offsetCode > 25) {
        left -= offsetCode - 25;
        value += bitsAt(view, at, left, offsetCode - 25) << 25;
        left -= 25;
        value += bitsAt(view, at, left, 25);
      } else {
        left -= offsetCode;
        value += bitsAt(view, at, left, offsetCode);
      }
      const matchLength = matchLengths[matchStep & 0xff] as number;
      left -= matchLength & 0x1f;
      const match = (matchLength >>> 5) + bitsAt(view, at, left, matchLength & 0x1f);
      const literalLength = literalLengths[literalStep & 0xff] as number;
      left -= literalLength & 0x1f;
      const run = (literalLength >>> 5) + bitsAt(view, at, left, literalLength & 0x1f);
      // The distance is a new one, or one of the last three (section 3.1.1.5).
      let offset = last;
      const index = value > 3 ? 3 : value - (run === 0 ? 0 : 1);
      if (index > 0) {
        offset = value > 3 ? value - 3 : index === 1 ? second : index === 2 ? third : last - 1;
        if (index > 1) third = second;
        second = last;
        last = offset;
      }
      const after = to + run + match;
      if (left < 0) throw new Error('a stream of bits ends too early');
      if (after > room || used + run > literals.length) throw new Error('a block is too long');
      if (after > limit) throw new TooLong();
      if (!(offset > 0 && offset <= to + run - frame.start))
        throw new Error('a sequence points in front of the data');
      for (const stop = to + run; to < stop; ) out[to++] = literals[used++] as number;
      if (match > 64) this.repeat(to, offset, match);
      else for (let i = to; i < after; i++) out[i] = out[i - offset] as number;
      to = after;
      if (rest === 1) break;
      left -= (literalStep >>> 8) & 0xff;
      literalState = (literalStep >>> 16) + bitsAt(view, at, left, (literalStep >>> 8) & 0xff);
      left -= (matchStep >>> 8) & 0xff;
      matchState = (matchStep >>> 16) + bitsAt(view, at, left, (matchStep >>> 8) & 0xff);
      left -= (offsetStep >>> 8) & 0xff;
      offsetState = (offsetStep >>> 16) + bitsAt(view, at, left, (offsetStep >>> 8) & 0xff);
      if (left < 0) throw new Error('a stream of bits ends too early');
    }
    if (left !== 0) throw new Error('the sequences of a block are too long');
    frame.offsets = [last, second, third];
    this.length = to;
    return used;
  }

  /** Writes what stands `offset` bytes in front of `to`. The first bytes may be what the rest of it repeats. */
  private repeat(to: number, offset: number, length: number): void {
    const { out } = this;
    let done = Math.min(offset, length);
    out.copyWithin(to, to - offset, to - offset + done);
    for (; done < length; done *= 2) out.copyWithin(to + done, to, to + Math.min(done, length - done));
  }
}

/** The content of all frames, at most `limit` bytes. Throws `TooLong` for more, and an Error for damage. */
export function decodeZstd(bytes: Uint8Array, limit: number): Uint8Array {
  return new Decoder(bytes, limit).content();
}
