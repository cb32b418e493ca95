// Words of A64 that a kernel makes when it patches itself (arch/arm64/lib/insn.c). Encodings: Arm ARM (DDI 0487), C6.2.
import type { ExpectedText } from '../expected.ts';
import type { TextKind } from '../kind.ts';

export { branchWord, withPages } from '../../arch/aarch64/encode.ts';

/** Bytes of an instruction. */
export const size = 4;
export const nop = 0xd503201f;
/** mov x9, x30: what keeps the return address of a function that may be traced. */
export const keepReturn = 0xaa1e03e9;
export const hvc = 0xd4000002;
export const smc = 0xd4000003;
/** A word's bits 20 to 5, which movz and movk have their number in. */
export const numberField = 0x001fffe0;

/** The word at an address of a text, as it is expected now. The place must lie in the text. */
export function wordAt(text: ExpectedText, address: number): number {
  const { bytes, start } = text;
  const at = address - start;
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

/** Has the kernel write a word; instructions are little-endian. */
export function writeWord(text: ExpectedText, address: number, word: number, kind: TextKind): void {
  text.write(address, bytesOfWord(word), kind);
}

export function bytesOfWord(word: number): Uint8Array {
  return Uint8Array.of(word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24);
}

/** Fields of branches by distance: the lowest bit and how many there are; in words. */
const branchForms = [
  { mask: 0x7c00_0000, value: 0x1400_0000, low: 0, width: 26 }, // b, bl
  { mask: 0x7e00_0000, value: 0x3400_0000, low: 5, width: 19 }, // cbz, cbnz
  { mask: 0x7e00_0000, value: 0x3600_0000, low: 5, width: 14 }, // tbz, tbnz
  { mask: 0xff00_0000, value: 0x5400_0000, low: 5, width: 19 }, // b.cond
] as const;

/** `word`, which branches by a distance, and how far; undefined for what is no such branch. */
export function branchDistance(word: number): number | undefined {
  const form = branchForms.find(({ mask, value }) => (word & mask) >>> 0 === value);
  if (!form) return undefined;
  return ((word << (32 - form.low - form.width)) >> (32 - form.width)) * size;
}

/** The same branch with another distance; undefined where it does not reach. */
export function withDistance(word: number, distance: number): number | undefined {
  const form = branchForms.find(({ mask, value }) => (word & mask) >>> 0 === value);
  if (!form || distance % size !== 0) return undefined;
  const words = distance / size;
  const most = 2 ** (form.width - 1);
  if (words < -most || words >= most) return undefined;
  const field = (2 ** form.width - 1) << form.low;
  return ((word & ~field) | ((words << form.low) & field)) >>> 0;
}

export const isAdrp = (word: number): boolean => (word & 0x9f00_0000) >>> 0 === 0x9000_0000;
/** adr, ldr of a literal, prfm of one: what cannot be moved. */
export const usesLiteral = (word: number): boolean =>
  (word & 0x3b00_0000) === 0x1800_0000 || (word & 0x9f00_0000) === 0x1000_0000;

/** Pages of 4096 bytes between the page of `adrp` and the one that it makes. */
export function adrpPages(word: number): number {
  return (((word << 8) >> 13) << 2) | ((word >>> 29) & 3);
}

/** movz (the first) and movk of 64 bits: `number` in four parts of 16 bits, lowest first. */
export function moveWords(register: number, parts: readonly number[]): number[] {
  return parts.map(
    (part, i) => ((i === 0 ? 0xd280_0000 : 0xf280_0000) | (i << 21) | (part << 5) | register) >>> 0,
  );
}

/** The register that an instruction writes to, bits 4 to 0. */
export const registerOf = (word: number): number => word & 31;
/** Its first operand, bits 9 to 5. */
export const operandOf = (word: number): number => (word >>> 5) & 31;

/** and, 64 bits, with the lowest `ones` bits. */
export const andLowBits = (to: number, from: number, ones: number): number =>
  (0x9240_0000 | ((ones - 1) << 10) | (from << 5) | to) >>> 0;
/** ror, 64 bits, as the extr that it is. */
export const rotate = (to: number, from: number, bits: number): number =>
  (0x93c0_0000 | (from << 16) | (bits << 10) | (from << 5) | to) >>> 0;
/** add of a number of 12 bits, or of 12 bits 12 higher. */
export const addNumber = (to: number, from: number, number: number): number =>
  number > 0xfff
    ? (0x9140_0000 | ((number >>> 12) << 10) | (from << 5) | to) >>> 0
    : (0x9100_0000 | (number << 10) | (from << 5) | to) >>> 0;
