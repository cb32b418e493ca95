// x86-64: instructions at sites and what patching writes there. Encodings: Intel SDM vol. 2; rules:
// arch/x86/kernel/static_call.c, jump_label.c, alternative.c; relocations: x86-64 psABI table 4.9.
import { EM_X86_64 } from '../../elf/constants.ts';
import type {
  Arch,
  BranchKind,
  CallKind,
  CallSiteBytes,
  CallSiteRequest,
  CallSupport,
  CallTarget,
  InstructionSet,
  RelocatedBranch,
  SiteInstruction,
} from '../arch.ts';
import type { CodeMap } from '../code-map.ts';
import { proveLocks } from './flow.ts';
import { readsReturnAddress } from './hardening.ts';
import {
  decodeInstruction,
  decodeTarget,
  InstructionKind,
  isLockable,
  kindOf,
  lengthOf,
  lockPrefixOf,
  readS32,
} from './length.ts';
import { moveCode } from './moved-code.ts';
import { isBehindOverride, overrideAt } from './overrides.ts';
import { applyX86Relocation, relocationName } from './relocations.ts';
import { isReplacement } from './replacement.ts';
import { findLockPrefixes, startsInstruction, sweep } from './sweep.ts';

const nop2 = Uint8Array.of(0x66, 0x90); // xchg ax, ax
const nop5 = Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00); // nopl 0(%rax,%rax,1)
const nop5K8 = Uint8Array.of(0x66, 0x66, 0x66, 0x66, 0x90); // on some processors before 5.13 (ideal_nops)
const clearResult = Uint8Array.of(0x2e, 0x2e, 0x2e, 0x31, 0xc0); // cs cs cs xor %eax, %eax (5.17 and later)
const oldClearResult = Uint8Array.of(0x66, 0x66, 0x48, 0x31, 0xc0); // data16 data16 xor %rax, %rax (before)
const warnTrap = Uint8Array.of(0x67, 0x48, 0x0f, 0xb9, 0x3a); // ud1 (%edx), %rdi
const spinUnlock = Uint8Array.of(0x3e, 0x3e, 0xc6, 0x07, 0x00); // ds ds movb $0, (%rdi)
const returnFill = Uint8Array.of(0xc3, 0xcc, 0xcc, 0xcc, 0xcc); // ret; int3 x4
const trampolineUd1 = Uint8Array.of(0x0f, 0xb9, 0xcc); // ud1 %esp, %ecx (6.6 and later)
const trampolineSct = Uint8Array.of(0x53, 0x43, 0x54); // "SCT" (before)

const CALL_REL32 = 0xe8;
const JMP_REL32 = 0xe9;
const JMP_REL8 = 0xeb;
const TWO_BYTE = 0x0f;
const RET = 0xc3;

const R_X86_64_PC32 = 2;
const R_X86_64_PLT32 = 4;
const R_X86_64_PC8 = 15;

const isJcc32 = (opcode: number | undefined) => opcode !== undefined && (opcode & 0xf0) === 0x80;
const isJcc8 = (opcode: number | undefined) => opcode !== undefined && (opcode & 0xf0) === 0x70;

function holds(code: Uint8Array, offset: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (code[offset + i] !== bytes[i]) return false;
  return true;
}

/** opcode bytes and a rel32 to `displacement` from the instruction's first byte; undefined when out of range. */
function withRel32(opcode: readonly number[], displacement: number): Uint8Array | undefined {
  const size = opcode.length + 4;
  const rel = displacement - size;
  if (rel < -0x8000_0000 || rel > 0x7fff_ffff) return undefined;
  return Uint8Array.of(...opcode, rel & 0xff, (rel >> 8) & 0xff, (rel >> 16) & 0xff, (rel >> 24) & 0xff);
}

function readInstruction(code: Uint8Array, offset: number): SiteInstruction {
  const left = code.length - offset;
  const first = code[offset];
  const make = (kind: SiteInstruction['kind'], size: number, displacement = 0, short = false) =>
    left >= size ? { kind, size, displacement, short } : other;
  const other: SiteInstruction = { kind: 'other', size: 0, displacement: 0, short: false };
  switch (first) {
    case CALL_REL32:
      return make('call', 5, readS32(code, offset + 1) + 5);
    case JMP_REL32:
      return make('jump', 5, readS32(code, offset + 1) + 5);
    case JMP_REL8:
      return make('jump', 2, (((code[offset + 1] as number) << 24) >> 24) + 2, true);
    case RET:
      return make('return', 1);
    case TWO_BYTE:
      if (isJcc32(code[offset + 1])) return make('conditional jump', 6, readS32(code, offset + 2) + 6);
      if (holds(code, offset, nop5)) return make('nop', 5);
      return other;
    default:
      if (isJcc8(first))
        return make('conditional jump', 2, (((code[offset + 1] as number) << 24) >> 24) + 2, true);
      if (holds(code, offset, nop2)) return make('nop', 2);
      if (holds(code, offset, nop5K8)) return make('nop', 5);
      if (holds(code, offset, clearResult) || holds(code, offset, oldClearResult))
        return make('clear result', 5);
      if (holds(code, offset, warnTrap) || holds(code, offset, spinUnlock)) return make('other', 5);
      return other;
  }
}

/** PC32 and PLT32 fields end the instruction, so it goes to S + A + 4 (rel8: S + A + 1). */
function branchOfRelocation(type: number, code: Uint8Array, place: number): RelocatedBranch | undefined {
  if (type === R_X86_64_PC32 || type === R_X86_64_PLT32) {
    const opcode = code[place - 1];
    const branch = { size: 5, short: false, bias: 4 };
    if (opcode === CALL_REL32) return { ...branch, offset: place - 1, kind: 'call' };
    if (opcode === JMP_REL32) return { ...branch, offset: place - 1, kind: 'jump' };
    if (isJcc32(opcode) && code[place - 2] === TWO_BYTE) {
      return { ...branch, size: 6, offset: place - 2, kind: 'conditional jump' };
    }
  } else if (type === R_X86_64_PC8) {
    const opcode = code[place - 1];
    const kind = opcode === JMP_REL8 ? 'jump' : isJcc8(opcode) ? 'conditional jump' : undefined;
    if (kind) return { offset: place - 1, kind, size: 2, short: true, bias: 1 };
  }
  return undefined;
}

function isInFrontOfLock(code: Uint8Array, map: CodeMap, offset: number): boolean {
  const packed = decodeInstruction(code, offset, code.length);
  return lockPrefixOf(packed) > 0 && isLockable(packed) && startsInstruction(code, map, offset);
}

/** Opcode and displacement of a branch, without prefixes, in bytes. */
const branchKinds: Readonly<Record<number, readonly [kind: BranchKind, size: number, short: boolean]>> = {
  [InstructionKind.callRel32]: ['call', 5, false],
  [InstructionKind.jmpRel32]: ['jump', 5, false],
  [InstructionKind.jccRel32]: ['conditional jump', 6, false],
  [InstructionKind.jmpRel8]: ['jump', 2, true],
  [InstructionKind.jccRel8]: ['conditional jump', 2, true],
};

function forEachBranch(
  code: Uint8Array,
  map: CodeMap,
  visit: (offset: number, target: number, kind: BranchKind, short: boolean) => void,
): void {
  sweep(code, map, (offset, packed) => {
    const branch = branchKinds[kindOf(packed)];
    if (!branch) return;
    const [kind, size, short] = branch;
    visit(offset + lengthOf(packed) - size, decodeTarget(code, offset, packed), kind, short);
  });
}

/** Segment overrides, branch hints, notrack and bnd may stand in front of a branch and mean nothing to patching. */
const branchPrefixes = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf2, 0xf3]);

function startsBranch(code: Uint8Array, map: CodeMap, offset: number): boolean {
  if (startsInstruction(code, map, offset)) return true;
  for (let at = offset - 1; at >= 0 && at > offset - 15 && branchPrefixes.has(code[at] as number); at--) {
    if (!startsInstruction(code, map, at)) continue;
    const packed = decodeInstruction(code, at, code.length);
    const branch = branchKinds[kindOf(packed)];
    return branch !== undefined && at + lengthOf(packed) - branch[1] === offset;
  }
  return false;
}

/** A PLT entry: [endbr64] [mov $index, %r11d (mold)] [bnd] jmp *slot(%rip), or a jmp rel32 put between by a linker. */
function readStub(
  code: Uint8Array,
  offset: number,
  address: number,
): { slot: number } | { target: number } | undefined {
  let at = offset;
  if (holds(code, at, Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfa))) at += 4; // endbr64
  if (code[at] === 0x41 && code[at + 1] === 0xbb) at += 6; // mov imm32, %r11d
  if (code[at] === 0xf2) at += 1; // bnd
  const next = (size: number) => address + (at - offset) + size;
  if (code[at] === 0xff && code[at + 1] === 0x25 && at + 6 <= code.length) {
    return { slot: next(6) + readS32(code, at + 2) };
  }
  if (code[at] === JMP_REL32 && at + 5 <= code.length) return { target: next(5) + readS32(code, at + 1) };
  return undefined;
}

/** Bit 5 of an address says in which half of a cache line it lies. */
const isInLowHalf = (address: number): boolean => (address & 0x20) === 0;

function encodeReturn(address: number, support: CallSupport): Uint8Array {
  if (support.returnThunk === undefined) return returnFill;
  if (support.returnsInLowHalf && !isInLowHalf(address)) return returnFill;
  return withRel32([JMP_REL32], support.returnThunk - address) ?? returnFill;
}

/** `function` and `return 0` both have an address to go to; NULL has none. */
function addressOf(target: CallTarget): number | undefined {
  return target.kind === 'null' ? undefined : target.address;
}

function encodeCallSite(request: CallSiteRequest): CallSiteBytes | undefined {
  const { address, kind, target, trampoline, current, support } = request;
  const direct = (opcode: readonly number[], to: number): CallSiteBytes | undefined => {
    const bytes = withRel32(opcode, to - address);
    if (bytes) return { bytes, onTrampoline: to === trampoline };
    const fallback = withRel32(opcode, trampoline - address);
    return fallback && { bytes: fallback, onTrampoline: true };
  };
  const to = addressOf(target);
  switch (kind) {
    case 'call': {
      if (to === undefined) return { bytes: support.nop5 ?? nop5, onTrampoline: false };
      const entry = support.countedEntry?.(to) ?? to;
      if (entry === support.warnTrap) return { bytes: warnTrap, onTrampoline: false };
      if (entry === support.spinUnlock) return { bytes: spinUnlock, onTrampoline: false };
      // With a counted entry the kernel does not know its function again: it is called.
      if (target.kind === 'function' || entry !== to) return direct([CALL_REL32], entry);
      const bytes = holds(current, 0, oldClearResult) ? oldClearResult : clearResult;
      return { bytes, onTrampoline: false };
    }
    case 'tail':
      if (to === undefined) return { bytes: encodeReturn(address, support), onTrampoline: false };
      return direct([JMP_REL32], to);
    case 'conditional tail': {
      const opcode = [TWO_BYTE, current[1] as number];
      // Without a return to go to, the trampoline serves: for NULL it holds one.
      return direct(opcode, to ?? support.returnThunk ?? support.returnStub ?? trampoline);
    }
  }
}

function encodeTrampoline(address: number, target: CallTarget, support: CallSupport): Uint8Array | undefined {
  const to = addressOf(target);
  return to === undefined ? encodeReturn(address, support) : withRel32([JMP_REL32], to - address);
}

function isCallSite(current: Uint8Array, kind: CallKind): boolean {
  switch (kind) {
    case 'call':
      return (
        (current[0] === CALL_REL32 && current.length >= 5) ||
        holds(current, 0, nop5) ||
        holds(current, 0, nop5K8) ||
        holds(current, 0, clearResult) ||
        holds(current, 0, oldClearResult) ||
        holds(current, 0, warnTrap) ||
        holds(current, 0, spinUnlock)
      );
    case 'tail':
      return current.length >= 5 && (current[0] === JMP_REL32 || current[0] === RET);
    case 'conditional tail':
      return current.length >= 6 && current[0] === TWO_BYTE && isJcc32(current[1]);
  }
}

const instructions: InstructionSet = {
  name: 'x86-64',
  mnemonics: { call: 'call', jump: 'jmp', 'conditional jump': 'jcc' },
  maxSite: 6,
  branchSizes: [2, 5],
  trampolineSize: 8,
  smpBarriers: [],
  readInstruction,
  explainShort: () => 'has an 8-bit displacement; a static call needs rel32',
  readStub,
  nop: (size) => (size === 2 ? nop2 : nop5),
  otherNops: false,
  jump(size, displacement) {
    if (size === 5) return withRel32([JMP_REL32], displacement);
    const rel = displacement - 2;
    return rel >= -128 && rel <= 127 ? Uint8Array.of(JMP_REL8, rel & 0xff) : undefined;
  },
  isCallSite,
  isTrampoline: (code, offset) =>
    (code[offset] === JMP_REL32 || code[offset] === RET) &&
    (holds(code, offset + 5, trampolineUd1) || holds(code, offset + 5, trampolineSct)),
  trampolineSlot: () => undefined,
  encodeCallSite,
  encodeTrampoline,
  makeTrampoline: (address, to) =>
    Uint8Array.of(...(withRel32([JMP_REL32], to - address) as Uint8Array), ...trampolineUd1),
};

export const x86_64: Arch = {
  name: 'x86-64',
  machine: EM_X86_64,
  class: 64,
  wordSize: 8,
  pageSize: 0x1000,
  relocations: {
    none: 0, // R_X86_64_NONE
    place32: R_X86_64_PC32,
    placeLong: 24, // R_X86_64_PC64
    rela: true,
    name: relocationName,
  },
  dynamic: { none: 0, relative: 8, symbolic: 1, jumpSlot: 7, globData: 6 },
  lockPrefix: {
    lock: 0xf0,
    up: 0x3e,
    nop: 0x90,
    find: findLockPrefixes,
    overrideAt,
    isBehindOverride,
    isInFront: isInFrontOfLock,
    prove: proveLocks,
  },
  breakpoint: Uint8Array.of(0xcc), // int3
  mappingSymbol: undefined,
  veneerName: undefined,
  thumbBit: false,
  maxSite: instructions.maxSite,
  trampolineSize: instructions.trampolineSize,
  instructionsAt: () => instructions,
  instructionsOf: () => instructions,
  branchOfRelocation,
  readsReturnAddress,
  undecodableBytes: (code, map) => sweep(code, map, () => {}).undecodableBytes,
  startsInstruction,
  startsBranch,
  forEachBranch,
  moveCode,
  isReplacement,
  trapFill: (size) => new Uint8Array(size).map((_, i) => (i % 2 === 0 ? 0x0f : 0x0b)), // ud2
  applyRelocation: applyX86Relocation,
};
