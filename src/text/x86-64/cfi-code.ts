// The code with which clang's kernels check indirect calls, and what FineIBT makes of it (arch/x86/kernel/alternative.c): in
// front of a function the hash of its type, in front of a call the hash that the caller expects. The kernel has templates of
// its own code among its data; their bytes are read there, since they changed from version to version (6.2, 6.15, 6.18).
import { readS32 } from '../../arch/x86-64/length.ts';
import type { Image } from '../../image/image.ts';
import type { ExpectedText } from '../expected.ts';
import { setS32 } from './branches.ts';
import { endbr, endbrSize, isEndbr } from './endbr-code.ts';

/** In templates stands this where a hash goes. */
const placeholder = Uint8Array.of(0x78, 0x56, 0x34, 0x12);
/** Longest template that a kernel has. */
const longest = 64;
const jump8 = 0xeb;
/** mov $hash, %r10d */
export const callerMove = Uint8Array.of(0x41, 0xba);

/** Code with a hash in it. */
export interface Template {
  readonly bytes: Uint8Array;
  /** Where the hash stands; -1: it has none. */
  readonly hashAt: number;
}

/** The code between two symbols of the kernel's data; undefined where it has none of this name. */
export function templateOf(kernel: Image, name: string): Template | undefined {
  const [start, end] = [kernel.symbols.addressOf(`${name}_start`), kernel.symbols.addressOf(`${name}_end`)];
  if (start === undefined || end === undefined) return undefined;
  const size = end - start;
  if (!(size > 0 && size <= longest) || kernel.fileOffset(start, size) === undefined) return undefined;
  const bytes = kernel.read(start, size).slice();
  return { bytes, hashAt: Buffer.from(bytes).indexOf(placeholder) };
}

/** A template with its hash. */
export function withHash({ bytes, hashAt }: Template, hash: number): Uint8Array {
  const filled = bytes.slice();
  if (hashAt >= 0) setS32(filled, hashAt, hash);
  return filled;
}

/** The hash in front of a function, and the register (with FineIBT-BHI the number of its arguments); decode_preamble_hash. */
export function preambleHash(
  text: ExpectedText,
  address: number,
): { readonly hash: number; readonly register: number } | undefined {
  if (!text.has(address, 5)) return undefined;
  const bytes = text.at(address, 5);
  const register = (bytes[0] as number) - 0xb8;
  const hash = readS32(bytes, 1);
  return register >= 0 && register < 8 && hash !== 0 ? { hash, register } : undefined;
}

/** The hash that a caller expects, whether the check is on or jumped over (decode_caller_hash); undefined: none is there. */
export function callerHash(text: ExpectedText, address: number, size: number): number | undefined {
  if (!text.has(address, size)) return undefined;
  const bytes = text.at(address, 6);
  const isOn = bytes[0] === callerMove[0] && bytes[1] === callerMove[1];
  if (!isOn && !(bytes[0] === jump8 && bytes[1] === size - 2)) return undefined;
  return -readS32(bytes, 2) | 0 || undefined;
}

/** The jump over a check of `size` bytes (cfi_disable_callers), which leaves the hash where it is. */
export function jumpOver(size: number): Uint8Array {
  return Uint8Array.of(jump8, size - 2);
}

/** A hash with the kernel's seed (cfi_rehash): never one that reads like endbr, or like what is written over it. */
export function rehash(hash: number, seed: number, poison: Uint8Array): number {
  const bytes = new Uint8Array(endbrSize);
  const reads = (value: number) => {
    setS32(bytes, 0, value);
    return isEndbr(bytes, poison);
  };
  let value = hash ^ seed;
  // A shift register with feedback: it comes to another value at the first or second step.
  for (let step = 0; step < 64 && (reads(value) || reads(-value | 0)); step++)
    value = (value >>> 1) ^ ((value & 1) !== 0 ? 0x8020_0003 : 0);
  return value | 0;
}

/** True where exactly endbr64 stands. */
export function hasExactEndbr(text: ExpectedText, address: number): boolean {
  if (!text.has(address, endbrSize)) return false;
  const bytes = text.at(address, endbrSize);
  return endbr.every((byte, i) => byte === bytes[i]);
}
