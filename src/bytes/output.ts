// What a decompressor writes: an array that grows with what is written, never with what a header claims, up to a limit.

/** Thrown where the content is longer than allowed; everything else that decompressors throw is damage. */
export class TooLong extends Error {}

/** What a decompressor made of its input. */
export interface Decoded {
  readonly content: Uint8Array;
  /** Bytes of the input that it took; whatever lies behind them is not its own. */
  readonly end: number;
}

/** Bytes in order, at most `limit` of them. */
export class Output {
  bytes: Uint8Array;
  length = 0;
  readonly limit: number;

  /** `first` is how many bytes are expected: room for so many is made at once, for `limit` at most. */
  constructor(first: number, limit: number) {
    this.limit = limit;
    this.bytes = new Uint8Array(Math.min(limit, first));
  }

  /** Makes room for `more` bytes; `TooLong` where so many are not allowed. */
  need(more: number): void {
    const length = this.length + more;
    if (length <= this.bytes.length) return;
    if (length > this.limit) throw new TooLong();
    const grown = new Uint8Array(Math.min(this.limit, Math.max(length, 2 * this.bytes.length)));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  /** Appends [from, to) of other bytes. */
  append(bytes: Uint8Array, from: number, to: number): void {
    this.need(to - from);
    const { bytes: out, length } = this;
    if (to - from > 32) out.set(bytes.subarray(from, to), length);
    else for (let i = from, at = length; i < to; i++, at++) out[at] = bytes[i] as number;
    this.length = length + to - from;
  }

  /**
   * Appends `size` bytes of what was written `distance` bytes ago, which may be in the making. `start` is where the
   * content that may be repeated begins. Throws an Error for a distance that leads in front of it.
   */
  repeat(distance: number, size: number, start = 0): void {
    const at = this.length;
    if (!(distance > 0 && distance <= at - start)) throw new Error('a match points in front of the data');
    this.need(size);
    const { bytes } = this;
    const source = at - distance;
    if (size > 64) {
      // The first bytes of a match may be what the rest of it repeats.
      let done = Math.min(distance, size);
      bytes.copyWithin(at, source, source + done);
      for (; done < size; done *= 2) bytes.copyWithin(at + done, at, at + Math.min(done, size - done));
    } else for (let i = 0; i < size; i++) bytes[at + i] = bytes[source + i] as number;
    this.length = at + size;
  }

  /** All that was written. */
  get content(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** The error for an input that ends inside of what it has begun. */
export function cutOff(): Error {
  return new Error('the data end too early');
}
