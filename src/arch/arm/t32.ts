// T32 (Thumb-2), the instructions of 32-bit ARM that are one or two halfwords: what stands at sites and what
// patching writes there. Encodings: Arm ARM for ARMv7-A/R (DDI 0406) chapters A6 and A8; stubs as GNU ld 2.40 and
// lld 14 make them.

import {
  type BranchKind,
  type CallKind,
  firstInReach,
  type InstructionSet,
  type SiteInstruction,
} from '../arch.ts';
import { dmbBarriers } from '../barriers.ts';
import { type ArmOrder, address32, readA32Stub } from './a32.ts';
import { bytesOfHalves, conditionNames, halfAt, wordAt } from './words.ts';

/** What an instruction reads of the PC is this much behind its own address. */
const PIPELINE = 4;

const NOP = 0xbf00;
const MOV_R8_R8 = 0x46c0; // the NOP before Thumb-2
const BX_LR = 0x4770;
const NOP_W = [0xf3af, 0x8000] as const; // nop.w
const CLEAR_RESULT = [0xf04f, 0x0000] as const; // mov.w r0, #0

// Second halfwords of the 4-byte branches; J1 (bit 13) and J2 (bit 11) are part of the displacement.
const B_W = 0x9000;
const BL = 0xd000;
const BLX = 0xc000;

/** imm25 counts bytes from the pipelined PC: branches reach 16 MiB to either side. */
const lowest = -0x100_0000;
const highest = 0xff_fffe;

/** 4 for an instruction of two halfwords, else 2 (A6.1). */
export const sizeOfHalf = (first: number): 2 | 4 => (first >= 0xe800 ? 4 : 2);

/**
 * b.w, bl or blx by `distance` from the PC: S, imm10 and imm11 with J1 = NOT(I1 EOR S) and J2 likewise (A8.8.18,
 * A8.8.25). Undefined when it is odd or out of range.
 */
export function encodeBranch25(
  second: number,
  distance: number,
): [first: number, second: number] | undefined {
  if (distance % 2 !== 0 || distance < lowest || distance > highest) return undefined;
  const s = (distance >>> 24) & 1;
  const j1 = ~((distance >>> 23) ^ s) & 1;
  const j2 = ~((distance >>> 22) ^ s) & 1;
  return [
    0xf000 | (s << 10) | ((distance >>> 12) & 0x3ff),
    second | (j1 << 13) | (j2 << 11) | ((distance >>> 1) & 0x7ff),
  ];
}

/** The distance from the PC that b.w, bl or blx goes. */
export function distance25(first: number, second: number): number {
  const s = (first >>> 10) & 1;
  const i1 = ~((second >>> 13) ^ s) & 1;
  const i2 = ~((second >>> 11) ^ s) & 1;
  return -s * 0x100_0000 + ((i1 << 23) | (i2 << 22) | ((first & 0x3ff) << 12) | ((second & 0x7ff) << 1));
}

/** The distance from the PC that b<cond>.w goes: S:J2:J1:imm6:imm11:0. */
export function distance21(first: number, second: number): number {
  const s = (first >>> 10) & 1;
  const j1 = (second >>> 13) & 1;
  const j2 = (second >>> 11) & 1;
  return -s * 0x10_0000 + ((j2 << 19) | (j1 << 18) | ((first & 0x3f) << 12) | ((second & 0x7ff) << 1));
}

export interface ThumbBranch {
  readonly kind: BranchKind;
  readonly size: 2 | 4;
  /** From the PC (for blx rounded down to a word) to the place that the branch goes to. */
  readonly distance: number;
  readonly short: boolean;
  /** The only branch to the other state. */
  readonly toA32: boolean;
}

function branch(kind: BranchKind, size: 2 | 4, distance: number, short: boolean, toA32 = false): ThumbBranch {
  return { kind, size, distance, short, toA32 };
}

/** The direct branches: b, bl, blx, b<cond>, cbz and cbnz, of either size. */
export function decodeThumbBranch(first: number, second: number): ThumbBranch | undefined {
  if (first >= 0xf000) {
    if (first >= 0xf800 || second < 0x8000) return undefined;
    switch (second & 0xd000) {
      case B_W:
        return branch('jump', 4, distance25(first, second), false);
      case BL:
        return branch('call', 4, distance25(first, second), false);
      case BLX:
        // With bit 0 set it is another instruction, or none.
        return (second & 1) === 0 ? branch('call', 4, distance25(first, second), false, true) : undefined;
      default:
        // Conditions 14 and 15 are other instructions: nop.w, msr, dmb, udf.w and more.
        if (((first >>> 6) & 0xe) === 0xe) return undefined;
        return branch('conditional jump', 4, distance21(first, second), true);
    }
  }
  if ((first & 0xf800) === 0xe000) return branch('jump', 2, (first << 21) >> 20, true);
  if ((first & 0xf000) === 0xd000 && (first & 0x0e00) !== 0x0e00)
    return branch('conditional jump', 2, (first << 24) >> 23, true);
  if ((first & 0xf500) === 0xb100)
    return branch('conditional jump', 2, ((first >>> 3) & 0x40) | ((first >>> 2) & 0x3e), true);
  return undefined;
}

/** The code pointer that a branch leads to, minus its own place, which is `address`. */
export function displacementOf({ distance, toA32 }: ThumbBranch, address: number): number {
  return distance + PIPELINE + (toA32 ? -(address & 2) : 1);
}

function kindOf(first: number, second: number): SiteInstruction['kind'] {
  if (first === NOP || first === MOV_R8_R8 || (first === NOP_W[0] && second === NOP_W[1])) return 'nop';
  if (first === BX_LR) return 'return';
  return first === CLEAR_RESULT[0] && second === CLEAR_RESULT[1] ? 'clear result' : 'other';
}

function explainShort(first: number, second: number): string {
  const need = 'a static call needs bl or b.w';
  const found = decodeThumbBranch(first, second);
  if (found?.size === 4)
    return `is a b${conditionNames[(first >>> 6) & 15]}.w, which is conditional and has a displacement of 21 bits; ${need}`;
  if (found?.kind === 'jump') return `is a 2-byte b, whose displacement has 12 bits; ${need}`;
  const name =
    first >>> 12 === 0xb
      ? `cb${(first & 0x0800) === 0 ? '' : 'n'}z`
      : `b${conditionNames[(first >>> 8) & 15]}`;
  return `is a 2-byte ${name}, which is conditional; ${need}`;
}

// A trampoline jumps through its key (include/textpoke/arch/arm.h) and begins at a multiple of 4:
//   ldr.w ip, [pc, #8]; add ip, pc; ldr.w pc, [ip]; udf #0x53; .word key - (trampoline + 8)
// One that returns has bx lr; nop in place of the first.
const LOAD_KEY = [0xf8df, 0xc008] as const;
const RETURN = [BX_LR, NOP] as const;
const REST = [0x44fc, 0xf8dc, 0xf000, 0xde53] as const;

const BX_PC = 0x4778;
/** What linkers put behind bx pc, for the A32 code to be aligned. */
const behindBxPc = new Set([0xe7fd, MOV_R8_R8, NOP]);
const ADD_IP_PC = 0x44fc;
const BX_IP = 0x4760;
const MOV_IP_PC = 0x46fc;
/** The immediate of movw and movt, imm4:i:imm3:imm8. */
const wide = (first: number, second: number) =>
  ((first & 0xf) << 12) | ((first & 0x400) << 1) | ((second >>> 4) & 0x700) | (second & 0xff);

/** The instruction set, in one byte order of code and of the data among it. */
export function t32(order: ArmOrder): InstructionSet {
  const { littleCode, littleData } = order;
  const half = (code: Uint8Array, offset: number) => halfAt(code, offset, littleCode);
  const bytes = (...halves: readonly number[]) => bytesOfHalves(littleCode, ...halves);
  const holds = (code: Uint8Array, offset: number, halves: readonly number[]) =>
    halves.every((expected, i) => half(code, offset + 2 * i) === expected);

  function readInstruction(code: Uint8Array, offset: number, address = offset): SiteInstruction {
    const first = half(code, offset);
    const size = sizeOfHalf(first);
    if (offset + size > code.length) return { kind: 'other', size: 0, displacement: 0, short: false };
    const second = half(code, offset + 2);
    const branch = decodeThumbBranch(first, second);
    if (!branch) return { kind: kindOf(first, second), size, displacement: 0, short: false };
    const { kind, short } = branch;
    return { kind, size, displacement: displacementOf(branch, address), short };
  }

  /**
   * What linkers put between a branch and its target:
   *   lld, in reach      b.w target
   *   either             bx pc; b . - 2 (or a NOP), and then a stub of A32
   *   mold               mov ip, pc; bx ip, and then a stub of A32
   *   GNU ld, no A32     ldr.w pc, .+4; .word target
   *   lld                movw ip, #low; movt ip, #high; bx ip
   *   the same, PIC      movw ip, #low; movt ip, #high; add ip, pc; bx ip; of target - (stub + 12)
   *   GNU ld's PLT       the same with ldr.w pc, [ip] at its end, where there is no A32
   */
  function readStub(
    code: Uint8Array,
    offset: number,
    address: number,
  ): { slot: number } | { target: number } | undefined {
    const at = (i: number) => half(code, offset + 2 * i);
    const branch = decodeThumbBranch(at(0), at(1));
    if (branch) {
      const isJump = branch.kind === 'jump' && branch.size === 4;
      return isJump ? { target: address32(address + PIPELINE + branch.distance + 1) } : undefined;
    }
    const toA32 = (at(0) === BX_PC && behindBxPc.has(at(1))) || (at(0) === MOV_IP_PC && at(1) === BX_IP);
    if (toA32) return address % 4 === 0 ? readA32Stub(order, code, offset + 4, address + 4) : undefined;
    if (at(0) === 0xf85f && at(1) === 0xf000 && address % 4 === 0 && offset + 8 <= code.length)
      return { target: wordAt(code, offset + 4, littleData) };
    // movw ip; movt ip
    if ((at(0) & 0xfbf0) !== 0xf240 || (at(1) & 0x8f00) !== 0x0c00) return undefined;
    if ((at(2) & 0xfbf0) !== 0xf2c0 || (at(3) & 0x8f00) !== 0x0c00) return undefined;
    const value = (wide(at(2), at(3)) << 16) | wide(at(0), at(1));
    if (at(4) === BX_IP) return { target: address32(value) };
    if (at(4) !== ADD_IP_PC) return undefined;
    const sum = address32(value + address + 12);
    if (at(5) === BX_IP) return { target: sum };
    return at(5) === 0xf8dc && at(6) === 0xf000 ? { slot: sum } : undefined;
  }

  function isCallSite(current: Uint8Array, kind: CallKind): boolean {
    if (current.length < 4) return false;
    const found = readInstruction(current, 0);
    switch (kind) {
      case 'call':
        return found.size === 4 && ['call', 'nop', 'clear result'].includes(found.kind);
      case 'tail':
        return (found.kind === 'jump' && found.size === 4) || holds(current, 0, RETURN);
      case 'conditional tail':
        return false;
    }
  }

  const branchTo = (second: number, distance: number) => {
    const halves = encodeBranch25(second, distance);
    return halves && bytes(...halves);
  };

  return {
    name: littleCode ? 'T32' : 'T32 big-endian',
    mnemonics: { call: 'bl', jump: 'b.w', 'conditional jump': 'b<cond>' },
    maxSite: 4,
    branchSizes: [4],
    trampolineSize: 16,
    smpBarriers: dmbBarriers(
      (option) => bytes(0xf3bf, 0x8f50 | option),
      (register) => bytes(0xea4f, (register << 8) | register),
    ),
    readInstruction,
    explainShort: (code, offset) => explainShort(half(code, offset), half(code, offset + 2)),
    readStub,
    nop: () => bytes(...NOP_W),
    otherNops: true,
    jump: (_size, displacement) => branchTo(B_W, (displacement | 0) - PIPELINE),
    isCallSite,

    isTrampoline: (code, offset) =>
      (holds(code, offset, LOAD_KEY) || holds(code, offset, RETURN)) && holds(code, offset + 4, REST),
    trampolineSlot(code, offset, address) {
      if (!holds(code, offset, LOAD_KEY)) return undefined;
      return address32(address + 8 + wordAt(code, offset + 12, littleData));
    },

    /** A site may be the last of an IT block: what is written there keeps the block's condition, as b.w did. */
    encodeCallSite(request) {
      const { address, kind, target } = request;
      if (kind === 'conditional tail') return undefined; // b<cond>.w reaches too little to be one
      const whole = (halves: readonly number[]) => ({ bytes: bytes(...halves), onTrampoline: false });
      if (target.kind === 'null') return whole(kind === 'call' ? NOP_W : RETURN);
      if (target.kind === 'return 0' && kind === 'call') return whole(CLEAR_RESULT);
      return firstInReach(request, (pointer) => {
        const isThumb = pointer % 2 !== 0;
        if (kind === 'tail' && !isThumb) return undefined;
        // blx counts from the PC rounded down to a word, and in words.
        const pc = isThumb ? address + PIPELINE + 1 : ((address + PIPELINE) & ~3) >>> 0;
        if (!isThumb && pointer % 4 !== 0) return undefined;
        return branchTo(kind === 'tail' ? B_W : isThumb ? BL : BLX, (pointer - pc) | 0);
      });
    },
    encodeTrampoline: (_address, target) => bytes(...(target.kind === 'null' ? RETURN : LOAD_KEY)),
  };
}
