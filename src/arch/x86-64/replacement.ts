// What a kernel makes of an alternative's replacement where it copies it (arch/x86/kernel/alternative.c): distances follow,
// the rest of the place is filled, and fill is whatever NOPs the version likes best.
import { decodeInstruction, lengthOf } from './length.ts';
import { moveCode } from './moved-code.ts';

const NOP = 0x90;
const INT3 = 0xcc;
const JMP_REL8 = 0xeb;
const JMP_REL32 = 0xe9;

/**
 * True where `found`, which stands at `to`, is what a kernel makes of replacement `code` that lies at `from`. Versions
 * differ in their NOPs alone, and in what stands behind a jump that became short.
 */
export function isReplacement(found: Uint8Array, code: Uint8Array, from: number, to: number): boolean {
  const moved = moveCode(code, from, to);
  if (!moved || moved.length > found.length) return false;
  const wanted = new Uint8Array(found.length).fill(NOP);
  wanted.set(moved);
  for (let at = 0; at < wanted.length; ) {
    const filled = fillEnd(wanted, at, wanted.length);
    if (filled > at) {
      if (!isFill(found, at, filled)) return false;
      at = filled;
      continue;
    }
    const length = lengthOf(decodeInstruction(wanted, at, wanted.length));
    if (length === 0) return false;
    if (!isSame(found, wanted, at, at + length) && !isShortJump(found, wanted, at)) return false;
    at += length;
  }
  return true;
}

function isSame(found: Uint8Array, wanted: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (found[at] !== wanted[at]) return false;
  return true;
}

/** Bytes of the NOP at a place: 90 behind any 66, or a long one; 0 for another instruction. */
function nopLength(code: Uint8Array, at: number, end: number): number {
  let opcode = at;
  while (code[opcode] === 0x66 || code[opcode] === 0x2e) opcode++;
  const isNop = code[opcode] === NOP || (code[opcode] === 0x0f && code[opcode + 1] === 0x1f);
  return isNop ? lengthOf(decodeInstruction(code, at, end)) : 0;
}

/** Where the NOPs end that begin at a place. */
function fillEnd(code: Uint8Array, from: number, end: number): number {
  let at = from;
  for (let length = nopLength(code, at, end); length > 0; length = nopLength(code, at, end)) at += length;
  return at;
}

/** True where bytes do nothing: NOPs, or (since 6.6, for more than fit one NOP) a jump over breakpoints. */
function isFill(code: Uint8Array, from: number, to: number): boolean {
  if (fillEnd(code, from, to) === to) return true;
  const isShort = code[from] === JMP_REL8 && code[from + 1] === to - from - 2;
  return isShort && code.subarray(from + 2, to).every((byte) => byte === INT3);
}

/** True for a jump of 5 bytes that became one of 2: behind it stands a NOP, or breakpoints since 6.6. */
function isShortJump(found: Uint8Array, wanted: Uint8Array, at: number): boolean {
  if (wanted[at] !== JMP_REL32 || found[at] !== JMP_REL8) return false;
  const view = new DataView(wanted.buffer, wanted.byteOffset);
  const near = ((found[at + 1] as number) << 24) >> 24;
  if (near + 2 !== view.getInt32(at + 1, true) + 5) return false;
  return (
    fillEnd(found, at + 2, at + 5) === at + 5 || found.subarray(at + 2, at + 5).every((byte) => byte === INT3)
  );
}
