// A32, the instructions of 32-bit ARM that are words: what stands at sites and what patching writes there.
// Encodings: Arm ARM for ARMv7-A/R (DDI 0406) chapter A8; rules: arch/arm/kernel/insn.c and jump_label.c; stubs as
// GNU ld 2.40 and lld 14 make them.
import {
  type BranchKind,
  type CallKind,
  firstInReach,
  type InstructionSet,
  type SiteInstruction,
} from '../arch.ts';
import { dmbBarriers } from '../barriers.ts';
import { bytesOfWord, wordAt } from './words.ts';

/** Byte orders, which differ in BE8 images: there instructions are little-endian and data are not. */
export interface ArmOrder {
  readonly littleCode: boolean;
  readonly littleData: boolean;
}

/** Addresses are 32 bits, unsigned, and distances between them signed: both wrap. */
export const address32 = (value: number): number => value >>> 0;
const distance32 = (from: number, to: number): number => (to - from) | 0;

const SIZE = 4;
/** What an instruction reads of the PC is this much behind its own address. */
const PIPELINE = 8;

const AL = 0xe;
/** Where others have a condition this says: another instruction, without one. */
const UNCONDITIONAL = 0xf;
const conditionOf = (word: number) => word >>> 28;

// Without their conditions.
const MOV_R0_R0 = 0x01a0_0000; // the NOP before ARMv6K, and still what arm_gen_nop writes
const NOP_HINT = 0x0320_f000; // nop
const BX_LR = 0x012f_ff1e; // bx lr
const CLEAR_RESULT = 0x03a0_0000; // mov r0, #0
const B = 0x0a00_0000;
const BL = 0x0b00_0000;
/** blx to Thumb; bit 24 (H) is bit 1 of the displacement. */
const BLX = 0xfa00_0000;

/** imm24 counts words from the pipelined PC: branches reach 32 MiB to either side. */
const lowest = -0x200_0000;
const highest = 0x1ff_fffc;

/** The field of b or bl; undefined when the displacement is odd or out of range. */
export function field24(displacement: number): number | undefined {
  const distance = displacement - PIPELINE;
  if (distance % SIZE !== 0 || distance < lowest || distance > highest) return undefined;
  return (distance >> 2) & 0xff_ffff;
}

/** blx to a place with Thumb code: a halfword, so it reaches one farther. */
export function encodeBlx(displacement: number): number | undefined {
  const half = displacement & 2;
  const field = field24(displacement - half);
  return field === undefined ? undefined : (BLX | (half << 23) | field) >>> 0;
}

/** b, bl, blx; displacements are of code pointers. */
export function decodeA32Branch(word: number): { kind: BranchKind; displacement: number } | undefined {
  if ((word & 0x0e00_0000) !== B) return undefined;
  const displacement = ((word << 8) >> 6) + PIPELINE;
  const condition = conditionOf(word);
  if (condition === UNCONDITIONAL)
    return { kind: 'call', displacement: displacement + ((word >>> 23) & 2) + 1 };
  const kind = (word & 0x0100_0000) !== 0 ? 'call' : condition === AL ? 'jump' : 'conditional jump';
  return { kind, displacement };
}

const isNop = (bare: number) => bare === MOV_R0_R0 || bare === NOP_HINT;

/** A branch with a condition has the reach of others and can be patched, so no branch is short. */
function decode(word: number): SiteInstruction {
  const branch = decodeA32Branch(word);
  if (branch) return { ...branch, size: SIZE, short: false };
  const condition = conditionOf(word);
  const bare = word & 0x0fff_ffff;
  let kind: SiteInstruction['kind'] = 'other';
  if (condition === AL && isNop(bare)) kind = 'nop';
  else if (condition !== UNCONDITIONAL && bare === BX_LR) kind = 'return';
  else if (condition !== UNCONDITIONAL && bare === CLEAR_RESULT) kind = 'clear result';
  return { kind, size: SIZE, displacement: 0, short: false };
}

function isCallSite(word: number, kind: CallKind): boolean {
  const condition = conditionOf(word);
  const bare = word & 0x0fff_ffff;
  if (condition === UNCONDITIONAL) return kind === 'call' && decodeA32Branch(word) !== undefined;
  if (kind === 'call') return (bare & 0x0f00_0000) === BL || isNop(bare) || bare === CLEAR_RESULT;
  const mayJump = (bare & 0x0f00_0000) === B || bare === BX_LR;
  return mayJump && (condition === AL) === (kind === 'tail');
}

// A trampoline jumps through its key, since b alone reaches too little (include/textpoke/arch/arm.h):
//   ldr ip, [pc, #4]; ldr pc, [pc, ip]; udf #0x4353; .word key - (trampoline + 12)
const LOAD_KEY = 0xe59f_c004;
const JUMP_THROUGH_KEY = 0xe79f_f00c;
const SIGNATURE = 0xe7f4_35f3;
const RETURN = 0xe12f_ff1e;

const LDR_PC_NEXT = 0xe51f_f004; // ldr pc, [pc, #-4]
const LDR_IP_NEXT2 = 0xe59f_c000; // ldr ip, [pc]
const LDR_IP_NEXT3 = 0xe59f_c004; // ldr ip, [pc, #4]
const ADD_IP_PC_IP = 0xe08f_c00c;
const ADD_IP_IP_PC = 0xe08c_c00f;
const ADD_PC_PC_IP = 0xe08f_f00c;
const ADD_PC_IP_PC = 0xe08c_f00f;
const BX_IP = 0xe12f_ff1c;
const LDR_PC_IP = 0xe59c_f000; // ldr pc, [ip]

/** A modified immediate: 8 bits rotated right by twice the 4 bits in front of them (A5.2.4). */
function expand(word: number): number {
  const by = (word >>> 7) & 0x1e;
  const value = word & 0xff;
  return ((value >>> by) | (value << (32 - by))) >>> 0;
}
/** The immediate of movw and movt, imm4:imm12. */
const wide = (word: number) => ((word >>> 4) & 0xf000) | (word & 0xfff);

/**
 * What linkers put between a branch and its target:
 *   either, in reach   b target
 *   PLT entry          add ip, pc, #a; add ip, ip, #b; [add ip, ip, #c;] ldr pc, [ip, #d]!
 *   lld's, far         ldr ip, .+12; add ip, ip, pc; ldr pc, [ip]; .word slot - (stub + 12)
 *   GNU ld             ldr pc, .+4; .word target                   or ldr ip, .+8; bx ip; .word target
 *   the same, PIC      ldr ip, .+8; add pc, pc, ip; .word target - (stub + 12)
 *                      ldr ip, .+12; add ip, pc, ip; bx ip; .word target - (stub + 12)
 *   lld                movw ip, #low; movt ip, #high; bx ip
 *   the same, PIC      movw ip, #low; movt ip, #high; add ip, ip, pc; bx ip; of target - (stub + 16)
 */
export function readA32Stub(
  { littleCode, littleData }: ArmOrder,
  code: Uint8Array,
  offset: number,
  address: number,
): { slot: number } | { target: number } | undefined {
  const word = (i: number) => wordAt(code, offset + i * SIZE, littleCode);
  const literal = (i: number, base = 0) => {
    if (offset + (i + 1) * SIZE > code.length) return undefined;
    return address32(wordAt(code, offset + i * SIZE, littleData) + base);
  };
  const to = (target: number | undefined) => (target === undefined ? undefined : { target });
  const [first, second, third] = [word(0), word(1), word(2)];
  const branch = decodeA32Branch(first);
  if (branch) return branch.kind === 'jump' ? to(address32(address + branch.displacement)) : undefined;
  if (first === LDR_PC_NEXT) return to(literal(1));
  if (first === LDR_IP_NEXT2) {
    if (second === BX_IP) return to(literal(2));
    const isRelative = second === ADD_PC_PC_IP || second === ADD_PC_IP_PC;
    return isRelative ? to(literal(2, address + 12)) : undefined;
  }
  if (first === LDR_IP_NEXT3 && (second === ADD_IP_PC_IP || second === ADD_IP_IP_PC)) {
    const value = literal(3, address + 12);
    if (third === BX_IP) return to(value);
    return third === LDR_PC_IP && value !== undefined ? { slot: value } : undefined;
  }
  // movw ip; movt ip
  if ((first & 0xfff0_f000) >>> 0 === 0xe300_c000 && (second & 0xfff0_f000) >>> 0 === 0xe340_c000) {
    const value = (wide(second) << 16) | wide(first);
    if (third === BX_IP) return to(address32(value));
    return third === ADD_IP_IP_PC && word(3) === BX_IP ? to(address32(value + address + 16)) : undefined;
  }
  if ((first & 0xffff_f000) >>> 0 !== 0xe28f_c000) return undefined; // add ip, pc, #a
  let sum = address + PIPELINE + expand(first);
  for (let i = 1; i < 4; i++) {
    const next = word(i);
    if ((next & 0xffff_f000) >>> 0 === 0xe5bc_f000) return { slot: address32(sum + (next & 0xfff)) };
    if ((next & 0xffff_f000) >>> 0 !== 0xe28c_c000) return undefined; // add ip, ip, #b
    sum += expand(next);
  }
  return undefined;
}

/** The instruction set, in one byte order of code and of the data among it. */
export function a32(order: ArmOrder): InstructionSet {
  const { littleCode, littleData } = order;
  const at = (code: Uint8Array, offset: number) => wordAt(code, offset, littleCode);
  const bytes = (word: number) => bytesOfWord(littleCode, word >>> 0);
  const opcode = (condition: number, operation: number, field: number | undefined) =>
    field === undefined ? undefined : bytes((condition << 28) | operation | field);

  return {
    name: littleCode ? 'A32' : 'A32 big-endian',
    mnemonics: { call: 'bl', jump: 'b', 'conditional jump': 'b<cond>' },
    maxSite: SIZE,
    branchSizes: [SIZE],
    trampolineSize: 4 * SIZE,
    smpBarriers: dmbBarriers(
      (option) => bytes(0xf57f_f050 | option),
      (register) => bytes(0xe1a0_0000 | (register << 12) | register),
    ),

    readInstruction(code, offset) {
      if (offset + SIZE > code.length) return { kind: 'other', size: 0, displacement: 0, short: false };
      return decode(at(code, offset));
    },
    explainShort: () => 'is not a branch with imm24; a static call needs bl or b',
    readStub: (code, offset, address) => readA32Stub(order, code, offset, address),
    nop: () => bytes((AL << 28) | MOV_R0_R0),
    otherNops: true,
    jump: (_size, displacement) => opcode(AL, B, field24(displacement | 0)),
    isCallSite: (current, kind) => current.length >= SIZE && isCallSite(at(current, 0), kind),

    isTrampoline(code, offset) {
      const first = at(code, offset);
      if (first !== LOAD_KEY && first !== RETURN) return false;
      return at(code, offset + 4) === JUMP_THROUGH_KEY && at(code, offset + 8) === SIGNATURE;
    },
    trampolineSlot(code, offset, address) {
      if (at(code, offset) !== LOAD_KEY) return undefined;
      return address32(address + 12 + wordAt(code, offset + 12, littleData));
    },

    /** The condition of the instruction that stands there stays; a call to Thumb is blx, which can have none. */
    encodeCallSite(request) {
      const { address, kind, target, current } = request;
      const found = conditionOf(at(current, 0));
      const condition = kind === 'tail' || found === UNCONDITIONAL ? AL : found;
      const whole = (operation: number) => ({
        bytes: bytes((condition << 28) | operation),
        onTrampoline: false,
      });
      if (target.kind === 'null') return whole(kind === 'call' ? MOV_R0_R0 : BX_LR);
      if (target.kind === 'return 0' && kind === 'call') return whole(CLEAR_RESULT);
      return firstInReach(request, (pointer) => {
        const displacement = distance32(address, pointer);
        if (pointer % 2 === 0) return opcode(condition, kind === 'call' ? BL : B, field24(displacement));
        if (kind !== 'call' || condition !== AL) return undefined;
        const word = encodeBlx(displacement - 1);
        return word === undefined ? undefined : bytes(word);
      });
    },
    encodeTrampoline: (_address, target) => bytes(target.kind === 'null' ? RETURN : LOAD_KEY),
  };
}
