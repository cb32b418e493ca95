// Code of clang's -mspeculative-load-hardening (LLVM, X86SpeculativeLoadHardening.cpp, tracePredStateThroughCall): behind
// each call it loads the return address from -8(%rsp) and compares it with the address that should be there.
import { decodeInstruction, InstructionKind, kindOf, lengthOf, modrmOf } from './length.ts';

/** How far behind a call the load may stand: it is among the first instructions, in front of any branch. */
const REACH = 16;

const MOV_LOAD = 0x8b;

/** As `Arch.readsReturnAddress`. No other code reads there: the call has overwritten what lies below the stack pointer. */
export function readsReturnAddress(code: Uint8Array, offset: number): boolean {
  let at = offset;
  for (let i = 0; i < REACH && at < code.length; i++) {
    const packed = decodeInstruction(code, at, code.length);
    if (packed === 0 || kindOf(packed) !== InstructionKind.other) return false;
    const modrm = at + modrmOf(packed);
    if (modrm > at) {
      const isBelowStack =
        (code[modrm]! & 0xc7) === 0x44 && code[modrm + 1] === 0x24 && code[modrm + 2] === 0xf8;
      if (isBelowStack) return code[modrm - 1] === MOV_LOAD;
    }
    at += lengthOf(packed);
  }
  return false;
}
