// Code that is copied elsewhere (arch/x86/kernel/alternative.c, __apply_relocation, and apply_alternatives before 6.6).
import { decodeInstruction, displacementLengthOf, lengthOf, modrmOf, readS32 } from './length.ts';

/** mod 0 and r/m 5: the operand lies at a distance of 32 bits from the end of the instruction. */
const isRipRelative = (modrm: number): boolean => (modrm & 0xc7) === 0x05;

/** As `Arch.moveCode`: direct branches and operands that lead out of the code keep what they lead to. */
export function moveCode(code: Uint8Array, from: number, to: number): Uint8Array | undefined {
  const moved = code.slice();
  for (let at = 0; at < code.length; ) {
    const packed = decodeInstruction(code, at, code.length);
    const length = lengthOf(packed);
    if (length === 0) return undefined;
    const next = at + length;
    const size = displacementLengthOf(packed);
    const field = size > 0 ? next - size : ripFieldOf(code, at, packed);
    if (field !== undefined && !addTo(moved, field, size === 1 ? 1 : 4, next, from - to)) return undefined;
    at = next;
  }
  return moved;
}

/** Where the distance to an operand stands; undefined for an instruction without one. */
function ripFieldOf(code: Uint8Array, at: number, packed: number): number | undefined {
  const modrm = modrmOf(packed);
  return modrm > 0 && isRipRelative(code[at + modrm] as number) ? at + modrm + 1 : undefined;
}

/** Adds to a distance that leads out of the code; false where the sum has no room in it. */
function addTo(code: Uint8Array, field: number, size: 1 | 4, next: number, difference: number): boolean {
  const old = size === 1 ? ((code[field] as number) << 24) >> 24 : readS32(code, field);
  const target = next + old;
  if (target >= 0 && target <= code.length) return true;
  const value = old + difference;
  const most = 2 ** (8 * size - 1);
  if (value < -most || value >= most) return false;
  for (let i = 0; i < size; i++) code[field + i] = (value >> (8 * i)) & 0xff;
  return true;
}
