// The entropy coding of Zstandard: tables of states and of Huffman codes, and the streams of bits that they decode
// (RFC 8878, section 4). Every throw is an Error that says what is damaged.

/** Base values and extra bits of the codes of literal lengths and match lengths (section 3.1.1.3.2.1.1). */
export const literalLengths = lengthCodes(0, [
  [16, 0],
  ...[1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].map((bits) => [1, bits] as const),
]);
export const matchLengths = lengthCodes(3, [
  [32, 0],
  ...[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].map((bits) => [1, bits] as const),
]);

/** For each code 32 times its base value, and how many extra bits it has. */
function lengthCodes(first: number, runs: readonly (readonly [count: number, bits: number])[]): Uint32Array {
  let next = first;
  return Uint32Array.from(
    runs.flatMap(([count, width]) => Array<number>(count).fill(width)),
    (width) => {
      const own = next * 32 + width;
      next += 2 ** width;
      return own;
    },
  );
}

/**
 * A decoding table of finite state entropy: for each state its symbol, from bit 8 on how many bits make the next state, and
 * from bit 16 on what these are added to.
 */
export interface States {
  readonly log: number;
  readonly steps: Uint32Array;
}

/** A decoding table of Huffman codes, by the next `log` bits. */
export interface Codes {
  readonly log: number;
  readonly symbol: Uint8Array;
  readonly bits: Uint8Array;
}

/** States from the counts of each symbol; -1 is "less than one" (section 4.1.1). */
function makeStates(log: number, counts: readonly number[]): States {
  const size = 1 << log;
  const steps = new Uint32Array(size);
  const next = Uint16Array.from(counts, (count) => Math.abs(count));
  let high = size - 1;
  counts.forEach((count, symbol) => {
    if (count === -1) steps[high--] = symbol;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      steps[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at > high);
    }
  });
  for (let state = 0; state < size; state++) {
    const symbol = steps[state] as number;
    const order = next[symbol] as number;
    next[symbol] = order + 1;
    const bits = log - (31 - Math.clz32(order));
    steps[state] = symbol | (bits << 8) | (((order << bits) - size) << 16);
  }
  return { log, steps };
}

/** Reads the counts of a table, and says where they end. */
export function readStates(
  bytes: Uint8Array,
  start: number,
  end: number,
  mostSymbols: number,
  largestLog: number,
): { table: States; end: number } {
  let bit = 0;
  const peek = (): number => {
    const at = start + (bit >> 3);
    const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    return word >>> (bit & 7);
  };
  const log = (peek() & 15) + 5;
  bit += 4;
  if (log > largestLog) throw new Error('a table of states is too large');
  const counts: number[] = [];
  let left = (1 << log) + 1;
  let width = log + 1;
  while (left > 1 && counts.length < mostSymbols) {
    const half = 1 << (width - 1);
    const short = 2 * half - 1 - left;
    const value = peek() & (2 * half - 1);
    let count = value & (half - 1);
    if (count < short) bit += width - 1;
    else {
      count = value >= half ? value - short : value;
      bit += width;
    }
    count--;
    left -= Math.abs(count);
    counts.push(count);
    if (count === 0) {
      for (let zeros = 3; zeros === 3; ) {
        zeros = peek() & 3;
        bit += 2;
        for (let i = 0; i < zeros; i++) counts.push(0);
      }
    }
    while (left < 1 << (width - 1) && width > 1) width--;
  }
  const stop = start + Math.ceil(bit / 8);
  if (left !== 1 || counts.length > mostSymbols || stop > end)
    throw new Error('a table of states does not add up');
  return { table: makeStates(log, counts), end: stop };
}

/** What bits are read from: by words, which may begin in the last byte, so there are three bytes more. */
export function bitsOf(bytes: Uint8Array): DataView {
  const { buffer, byteOffset, length } = bytes;
  const size = length + 3;
  if (byteOffset + size <= buffer.byteLength) return new DataView(buffer, byteOffset, size);
  const padded = new Uint8Array(size);
  padded.set(bytes);
  return new DataView(padded.buffer);
}

/** `count` bits, at most 25, of those from byte `start` on. */
export function bitsAt(bits: DataView, start: number, position: number, count: number): number {
  return (bits.getUint32(start + (position >> 3), true) >>> (position & 7)) & ((1 << count) - 1);
}

/** The bits of [start, end) from the last one back; the highest set bit of the last byte only marks the end. */
export class BitsFromEnd {
  private readonly view: DataView;
  private readonly start: number;
  /** Bits that are left. */
  left: number;

  constructor(view: DataView, start: number, end: number) {
    const last = end > start ? view.getUint8(end - 1) : 0;
    if (last === 0) throw new Error('a stream of bits has no end mark');
    this.view = view;
    this.start = start;
    this.left = (end - start) * 8 - Math.clz32(last) + 23;
  }

  /** The next `count` bits, at most 25. */
  take(count: number): number {
    this.left -= count;
    if (this.left < 0) throw new Error('a stream of bits ends too early');
    return bitsAt(this.view, this.start, this.left, count);
  }

  /** Decodes as many symbols as `into` holds; the codes have to fill the stream. */
  decode({ log, symbol, bits }: Codes, into: Uint8Array): void {
    const { view, start } = this;
    const mask = (1 << log) - 1;
    let { left } = this;
    for (let i = 0; i < into.length; i++) {
      const code =
        left >= log
          ? bitsAt(view, start, left - log, log)
          : (bitsAt(view, start, 0, left) << (log - left)) & mask;
      into[i] = symbol[code] as number;
      left -= bits[code] as number;
      if (left < 0) throw new Error('a stream of literals ends too early');
    }
    if (left !== 0) throw new Error('a stream of literals is too long');
  }
}

/** Reads a description of Huffman codes (section 4.2.1). */
export function readCodes(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): { codes: Codes; end: number } {
  const first = bytes[start] as number;
  const weights: number[] = [];
  let stop = start + 1;
  if (first >= 128) {
    for (let i = 0; i < first - 127; i++) {
      const pair = bytes[stop + (i >> 1)] ?? 0;
      weights.push(i % 2 === 0 ? pair >> 4 : pair & 15);
    }
    stop += Math.ceil((first - 127) / 2);
  } else {
    stop += first;
    if (stop > end) throw new Error('the codes of literals are cut off');
    const { table, end: at } = readStates(bytes, start + 1, stop, 256, 6);
    const stream = new BitsFromEnd(view, at, stop);
    const states = [stream.take(table.log), stream.take(table.log)] as [number, number];
    for (let turn = 0; weights.length < 255; turn ^= 1) {
      const step = table.steps[states[turn as 0 | 1]] as number;
      weights.push(step & 0xff);
      const width = (step >>> 8) & 0xff;
      if (stream.left < width) {
        weights.push((table.steps[states[(turn ^ 1) as 0 | 1]] as number) & 0xff);
        break;
      }
      states[turn as 0 | 1] = (step >>> 16) + stream.take(width);
    }
  }
  if (stop > end) throw new Error('the codes of literals are cut off');
  return { codes: makeCodes(weights), end: stop };
}

/** Codes from the weights of all symbols but the last, whose weight makes the sum a power of two. */
function makeCodes(weights: number[]): Codes {
  const sum = weights.reduce((total, weight) => total + (weight === 0 ? 0 : 2 ** (weight - 1)), 0);
  const log = sum === 0 ? 0 : 32 - Math.clz32(sum);
  const rest = (1 << log) - sum;
  if (log === 0 || log > 11 || (rest & (rest - 1)) !== 0 || weights.length > 255)
    throw new Error('the codes of literals do not add up');
  weights.push(32 - Math.clz32(rest));
  const codes = { log, symbol: new Uint8Array(1 << log), bits: new Uint8Array(1 << log) };
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    weights.forEach((own, symbol) => {
      if (own !== weight) return;
      const next = at + (1 << (weight - 1));
      codes.symbol.fill(symbol, at, next);
      codes.bits.fill(log + 1 - weight, at, next);
      at = next;
    });
  }
  if (at !== 1 << log) throw new Error('the codes of literals do not add up');
  return codes;
}

/** The three tables of a sequence, by what they stand for: states that every reader knows, and limits. */
export const sequenceTables = [
  {
    largestLog: 9,
    codes: 36,
    given: makeStates(6, [
      ...[4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1],
      ...[-1, -1, -1, -1],
    ]),
  },
  {
    largestLog: 8,
    codes: 32,
    given: makeStates(5, [
      ...[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    ]),
  },
  {
    largestLog: 9,
    codes: 53,
    given: makeStates(6, [
      ...[1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
      ...[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1],
    ]),
  },
] as const;
