// Integers between widths: range checks where a number becomes narrow, alignment, and 64-bit addresses.
//
// Inside textpoke a virtual address is a number: the signed reading of its 64 bits. Both halves of the
// canonical address space are exact that way (0xffffffff81000005 is -2130706427), so hot paths need no bigint.
import { type ErrorPlace, TextpokeError } from '../errors.ts';

/** The smallest multiple of `alignment` (a power of two or 0) that is not below `value`. */
export function alignUp(value: number, alignment: number): number {
  return alignment > 1 ? Math.ceil(value / alignment) * alignment : value;
}

/** The largest of some numbers, however many; -Infinity of none. */
export function largestOf(numbers: Iterable<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const number of numbers) largest = Math.max(largest, number);
  return largest;
}

/** Both ends of what a signed field of so many bits holds. */
export function signedRange(bits: number): readonly [low: number, high: number] {
  return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/** The same for data that may be taken for signed or unsigned. */
export function eitherRange(bits: number): readonly [low: number, high: number] {
  return [-(2 ** (bits - 1)), 2 ** bits - 1];
}

/** Throws `field-range` unless `value` fits a signed 32-bit field; `what` names the field and both its ends. */
export function requireS32(value: number, what: string, place: ErrorPlace = {}): number {
  if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0x7fff_ffff) {
    throw new TextpokeError(
      'field-range',
      `${what} is ${value}, which does not fit the signed 32-bit field (-0x80000000 to 0x7fffffff)`,
      place,
    );
  }
  return value;
}

/** A 64-bit unsigned value as a number for offsets, sizes and flags; `elf-malformed` when it is not exact. */
export function requireSafe(value: bigint | number, what: string, place: ErrorPlace = {}): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new TextpokeError(
      'elf-malformed',
      `${what} is 0x${value.toString(16)}; the largest supported value is 2^53-1`,
      place,
    );
  }
  return number;
}

/** A virtual address as textpoke holds it; NaN where a number cannot hold it exactly (a non-canonical one). */
export function toAddress(value: bigint | number): number {
  if (typeof value === 'number') return value;
  const signed = Number(BigInt.asIntN(64, value));
  return Number.isSafeInteger(signed) ? signed : Number.NaN;
}

/** The address that a person wrote as `0x…`; undefined for any other text. */
export function parseAddress(text: string): number | undefined {
  return /^0x[0-9a-f]+$/i.test(text) ? Number(BigInt.asIntN(64, BigInt(text))) : undefined;
}

/** The 64 bits of an address, unsigned. */
export function addressBits(address: number): bigint {
  return BigInt.asUintN(64, BigInt(address));
}

/** An address or offset as people and JSON get it: `0x…`, the low 64 bits unsigned. */
export function hex(address: number): string {
  if (!Number.isSafeInteger(address)) return '0x?';
  return `0x${address < 0 ? addressBits(address).toString(16) : address.toString(16)}`;
}

const digits: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

/** Bytes as lower-case hexadecimal digits without separators. */
export function hexBytes(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += digits[bytes[i] as number];
  return text;
}

/** True when both hold the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
