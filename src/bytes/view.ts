// Bounds-checked reads and writes in one byte order. Every miss is an `elf-truncated` error that says where.
import { type ErrorPlace, TextpokeError } from '../errors.ts';

/** The signed reading of 64 bits as a number; NaN where a number cannot hold it exactly. */
export function signed64(view: DataView, offset: number, little: boolean): number {
  const high = view.getInt32(offset + (little ? 4 : 0), little);
  const low = view.getUint32(offset + (little ? 0 : 4), little);
  const value = high * 0x1_0000_0000 + low;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/**
 * The same where a number can hold the value, though not those beside it: kernels with five levels of page tables have
 * addresses of 57 bits, and those of pages and of what is aligned to 8 bytes are exact, as are their sums with multiples
 * of 8.
 */
export function wide64(view: DataView, offset: number, little: boolean): number {
  const near = signed64(view, offset, little);
  if (!Number.isNaN(near)) return near;
  const value = view.getBigInt64(offset, little);
  return BigInt(Number(value)) === value ? Number(value) : Number.NaN;
}

/** 32 bits with a sign, without a view of their own: what is read millions of times. */
export function s32In(bytes: Uint8Array, at: number, little: boolean): number {
  const a = bytes[at] as number;
  const b = bytes[at + 1] as number;
  const c = bytes[at + 2] as number;
  const d = bytes[at + 3] as number;
  return little ? a | (b << 8) | (c << 16) | (d << 24) : (a << 24) | (b << 16) | (c << 8) | d;
}

/** `signed64` likewise. */
export function s64In(bytes: Uint8Array, at: number, little: boolean): number {
  const high = s32In(bytes, at + (little ? 4 : 0), little);
  const value = high * 0x1_0000_0000 + (s32In(bytes, at + (little ? 0 : 4), little) >>> 0);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** Integers in `bytes`, in one byte order. Offsets count from the first byte of `bytes`. */
export class ByteView {
  readonly bytes: Uint8Array;
  readonly little: boolean;
  readonly place: ErrorPlace;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, little: boolean, place: ErrorPlace = {}) {
    this.bytes = bytes;
    this.little = little;
    this.place = place;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Throws `elf-truncated` unless `size` bytes stand at `offset`. */
  need(offset: number, size: number): void {
    if (!(offset >= 0 && offset + size <= this.bytes.length)) {
      const base = this.place.offset ?? 0;
      throw new TextpokeError(
        'elf-truncated',
        `${size} bytes are needed here, but only ${this.bytes.length} bytes exist`,
        { ...this.place, offset: base + offset },
      );
    }
  }

  /** The same bytes for a loop over a whole table, checked once here instead of field by field. */
  table(offset: number, size: number): DataView {
    this.need(offset, size);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + offset, size);
  }

  u8(offset: number): number {
    this.need(offset, 1);
    return this.view.getUint8(offset);
  }
  u16(offset: number): number {
    this.need(offset, 2);
    return this.view.getUint16(offset, this.little);
  }
  u32(offset: number): number {
    this.need(offset, 4);
    return this.view.getUint32(offset, this.little);
  }
  s32(offset: number): number {
    this.need(offset, 4);
    return this.view.getInt32(offset, this.little);
  }
  u64(offset: number): bigint {
    this.need(offset, 8);
    return this.view.getBigUint64(offset, this.little);
  }
  /** The signed reading of 64 bits as a number; NaN where a number cannot hold it exactly. */
  s64(offset: number): number {
    this.need(offset, 8);
    return signed64(this.view, offset, this.little);
  }
  /** The same where a number can hold the value, though not those beside it. */
  wide64(offset: number): number {
    this.need(offset, 8);
    return wide64(this.view, offset, this.little);
  }

  setU8(offset: number, value: number): void {
    this.need(offset, 1);
    this.view.setUint8(offset, value);
  }
  setU16(offset: number, value: number): void {
    this.need(offset, 2);
    this.view.setUint16(offset, value, this.little);
  }
  setU32(offset: number, value: number): void {
    this.need(offset, 4);
    this.view.setUint32(offset, value, this.little);
  }
  setU64(offset: number, value: bigint): void {
    this.need(offset, 8);
    this.view.setBigUint64(offset, BigInt.asUintN(64, value), this.little);
  }
  /** Writes a safe integer as 64 bits, two's complement; `field-range` for any other number. */
  setS64(offset: number, value: number): void {
    this.need(offset, 8);
    if (!Number.isSafeInteger(value)) {
      throw new TextpokeError('field-range', `${value} is not an integer from -(2^53-1) to 2^53-1`, {
        ...this.place,
        offset: (this.place.offset ?? 0) + offset,
      });
    }
    const high = Math.floor(value / 0x1_0000_0000);
    this.view.setInt32(offset + (this.little ? 4 : 0), high, this.little);
    this.view.setUint32(offset + (this.little ? 0 : 4), value - high * 0x1_0000_0000, this.little);
  }
}
