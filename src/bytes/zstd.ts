// Zstandard as RFC 8878 has it, for versions of Node without it. Nothing is allocated or repeated because a header
// says so: a block gives at most 128 KiB, and all of them together at most what the caller allows.
// The checksum of a frame is not compared.
import { TooLong } from './output.ts';
import {
  BitsFromEnd,
  bitsAt,
  type Codes,
  literalLengths,
  matchLengths,
  readCodes,
  readStates,
  type States,
  sequenceTables,
} from './zstd-tables.ts';

const largestBlock = 1 << 17;
/** 2 to the power of each code of an offset. */
const powers = Float64Array.from({ length: 256 }, (_, code) => 2 ** code);

/** What the blocks of a frame hand on. */
interface Frame {
  /** Where its content begins in the output. */
  readonly start: number;
  readonly largestBlock: number;
  readonly offsets: [number, number, number];
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
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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
        frame.tables[i as 0] = {
          log: 0,
          symbol: Uint8Array.of(symbol),
          bits: Uint8Array.of(0),
          base: Uint16Array.of(0),
        };
      } else if (mode === 2) {
        const read = readStates(bytes, at, end, codes, largestLog);
        frame.tables[i as 0] = read.table;
        at = read.end;
      }
    });
    const [forLiterals, forOffsets, forMatches] = frame.tables;
    if (!forLiterals || !forOffsets || !forMatches || at > end)
      throw new Error('sequences repeat tables that were never given');
    // From here on no call but `copy`, and no field but `length`: this loop runs millions of times for a kernel.
    const { view, limit } = this;
    const stream = new BitsFromEnd(view, at, end);
    let literalState = stream.take(forLiterals.log);
    let offsetState = stream.take(forOffsets.log);
    let matchState = stream.take(forMatches.log);
    let { left } = stream;
    const room = this.length + frame.largestBlock;
    let used = 0;
    for (let rest = count; rest > 0; rest--) {
      const offsetCode = forOffsets.symbol[offsetState] as number;
      const matchCode = forMatches.symbol[matchState] as number;
      const literalCode = forLiterals.symbol[literalState] as number;
      let value = powers[offsetCode] as number;
      if (offsetCode > 16) {
        left -= offsetCode - 16;
        value += bitsAt(view, at, left, offsetCode - 16) * 0x1_0000;
        left -= 16;
        value += bitsAt(view, at, left, 16);
      } else {
        left -= offsetCode;
        value += bitsAt(view, at, left, offsetCode);
      }
      const matchBits = matchLengths.bits[matchCode] as number;
      left -= matchBits;
      const match = (matchLengths.base[matchCode] as number) + bitsAt(view, at, left, matchBits);
      const runBits = literalLengths.bits[literalCode] as number;
      left -= runBits;
      const run = (literalLengths.base[literalCode] as number) + bitsAt(view, at, left, runBits);
      const offset = nextOffset(frame.offsets, value, run);
      const after = this.length + run + match;
      if (left < 0) throw new Error('a stream of bits ends too early');
      if (after > room || used + run > literals.length) throw new Error('a block is too long');
      if (after > limit) throw new TooLong();
      if (!(offset > 0 && offset <= this.length + run - frame.start))
        throw new Error('a sequence points in front of the data');
      this.copy(literals, used, run, offset, match);
      used += run;
      if (rest === 1) break;
      let bits = forLiterals.bits[literalState] as number;
      left -= bits;
      literalState = (forLiterals.base[literalState] as number) + bitsAt(view, at, left, bits);
      bits = forMatches.bits[matchState] as number;
      left -= bits;
      matchState = (forMatches.base[matchState] as number) + bitsAt(view, at, left, bits);
      bits = forOffsets.bits[offsetState] as number;
      left -= bits;
      offsetState = (forOffsets.base[offsetState] as number) + bitsAt(view, at, left, bits);
      if (left < 0) throw new Error('a stream of bits ends too early');
    }
    if (left !== 0) throw new Error('the sequences of a block are too long');
    return used;
  }

  /** Appends literals, and then what was written `offset` bytes ago, which may be in the making. */
  private copy(literals: Uint8Array, from: number, run: number, offset: number, match: number): void {
    const { out } = this;
    let to = this.length;
    for (let i = 0; i < run; i++) out[to++] = literals[from + i] as number;
    const source = to - offset;
    // The first bytes of a match may be what the rest of it repeats.
    let done = Math.min(offset, match);
    if (match > 64) {
      out.copyWithin(to, source, source + done);
      for (; done < match; done *= 2) out.copyWithin(to + done, to, to + Math.min(done, match - done));
    } else for (let i = 0; i < match; i++) out[to + i] = out[source + i] as number;
    this.length = to + match;
  }
}

/** The distance that a value stands for: one of the last three, or a new one (section 3.1.1.5). */
function nextOffset(last: [number, number, number], value: number, run: number): number {
  const index = value > 3 ? 3 : value - (run === 0 ? 0 : 1);
  if (index === 0) return last[0];
  const offset = value > 3 ? value - 3 : index === 3 ? last[0] - 1 : last[index as 1 | 2];
  if (index > 1) last[2] = last[1];
  last[1] = last[0];
  last[0] = offset;
  return offset;
}

/** The content of all frames, at most `limit` bytes. Throws `TooLong` for more, and an Error for damage. */
export function decodeZstd(bytes: Uint8Array, limit: number): Uint8Array {
  return new Decoder(bytes, limit).content();
}
