// Direct branches in expected text: what stands at a place, and branches to write there.
import {
  decodeInstruction,
  displacementLengthOf,
  InstructionKind,
  kindOf,
  lengthOf,
  readS32,
} from '../../arch/x86-64/length.ts';
import type { ExpectedText } from '../expected.ts';

export const callOpcode = 0xe8;
export const jumpOpcode = 0xe9;
export const int3 = 0xcc;
export const csPrefix = 0x2e;
/** Bytes of a call or a jump with 32 bits of displacement. */
export const branchSize = 5;

/** An instruction that branches by 32 bits, prefixes and all. */
export interface Branch {
  /** e8, e9, or the second byte of a conditional jump: 80 to 8f. */
  readonly opcode: number;
  readonly isConditional: boolean;
  /** In bytes. */
  readonly length: number;
  /** As linked. */
  readonly target: number;
}

/** The instruction at a place of a text; undefined where it is no branch by 32 bits. */
export function branchAt(text: ExpectedText, address: number): Branch | undefined {
  const { bytes } = text;
  const at = address - text.start;
  const packed = decodeInstruction(bytes, at, bytes.length);
  if (packed === 0 || displacementLengthOf(packed) !== 4) return undefined;
  const length = lengthOf(packed);
  const end = at + length;
  return {
    opcode: bytes[end - branchSize] as number,
    isConditional: kindOf(packed) === InstructionKind.jccRel32,
    length,
    target: address + length + readS32(bytes, end - 4),
  };
}

/** Writes 32 bits into bytes, little-endian. */
export function setS32(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = (value >> (8 * i)) & 0xff;
}

/** A call or a jump at a place to another one (text_gen_insn); undefined where the distance needs more than 32 bits. */
export function branchTo(opcode: number, address: number, target: number): Uint8Array | undefined {
  const distance = target - (address + branchSize);
  if (!Number.isInteger(distance) || distance !== (distance | 0)) return undefined;
  const bytes = new Uint8Array(branchSize);
  bytes[0] = opcode;
  setS32(bytes, 1, distance);
  return bytes;
}

/** True for a place in the lower half of a cache line, where ITS makes branches unsafe; `address` is where it runs. */
export function isInLowHalf(address: number): boolean {
  return (address & 0x20) === 0;
}
