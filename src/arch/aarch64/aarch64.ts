// AArch64, little-endian: instructions at sites and what patching writes there. Encodings: Arm ARM (DDI 0487)
// section C6.2; rules: arch/arm64/kernel/jump_label.c and insn.c; relocations: AArch64 psABI (aaelf64) section 5.7;
// mapping symbols: section 5.5.4.
import { countUpTo } from '../../bytes/search.ts';
import { EM_AARCH64 } from '../../elf/constants.ts';
import {
  type Arch,
  type BranchKind,
  type CallKind,
  type CallSiteBytes,
  type CallSiteRequest,
  firstInReach,
  type InstructionSet,
  type RelocatedBranch,
  type SiteInstruction,
} from '../arch.ts';
import { bytesOfWord, conditionNames, wordAt as littleOrBigWordAt, mappingSymbols } from '../arm/words.ts';
import { dmbBarriers } from '../barriers.ts';
import type { CodeMap } from '../code-map.ts';
import { aarch64RelocationName, applyAArch64Relocation, pageOf } from './relocations.ts';

/** Every instruction has 4 bytes and lies at a multiple of 4, least significant byte first. */
const SIZE = 4;

const NOP = 0xd503201f; // nop
const RET = 0xd65f03c0; // ret
const CLEAR_RESULT = 0xd2800000; // mov x0, #0
const BRK = 0xd4200020; // brk #1
/** What makes a trampoline known: the word behind its branch (include/textpoke/arch/aarch64.h). */
const SIGNATURE = 0x00004353; // udf #0x4353

const R_AARCH64_TSTBR14 = 279;
const R_AARCH64_CONDBR19 = 280;
const R_AARCH64_JUMP26 = 282;
const R_AARCH64_CALL26 = 283;

/** imm26 counts words: branches reach 128 MiB to either side, one word less forwards. */
const lowest = -0x800_0000;
const highest = 0x7ff_fffc;

const wordAt = (code: Uint8Array, offset: number) => littleOrBigWordAt(code, offset, true);
const bytesOf = (word: number) => bytesOfWord(true, word);

/** Bits `low` to `low + width - 1` of a word as a signed number. */
function signedField(word: number, low: number, width: number): number {
  return (word << (32 - low - width)) >> (32 - width);
}

/** b (opcode 0x14000000) or bl (0x94000000); undefined when the displacement is odd or out of range. */
function branch26(opcode: number, displacement: number): Uint8Array | undefined {
  if (displacement % SIZE !== 0 || displacement < lowest || displacement > highest) return undefined;
  return bytesOf((opcode | ((displacement / SIZE) & 0x3ff_ffff)) >>> 0);
}
const encodeB = (displacement: number) => branch26(0x1400_0000, displacement);
const encodeBl = (displacement: number) => branch26(0x9400_0000, displacement);

interface DecodedBranch {
  readonly kind: BranchKind;
  /** Target minus the instruction's own address. */
  readonly displacement: number;
}

/** The direct branches: b, bl, b.cond (and bc.cond), cbz, cbnz, tbz, tbnz. */
function decodeBranch(word: number): DecodedBranch | undefined {
  if ((word & 0x7c00_0000) === 0x1400_0000) {
    return { kind: word >>> 31 === 1 ? 'call' : 'jump', displacement: signedField(word, 0, 26) * SIZE };
  }
  if ((word & 0xff00_0000) >>> 0 === 0x5400_0000 || (word & 0x7e00_0000) === 0x3400_0000) {
    return { kind: 'conditional jump', displacement: signedField(word, 5, 19) * SIZE };
  }
  if ((word & 0x7e00_0000) === 0x3600_0000) {
    return { kind: 'conditional jump', displacement: signedField(word, 5, 14) * SIZE };
  }
  return undefined;
}

/** A conditional branch is as wide as others, but holds neither bl's reach nor its meaning: it cannot be a site. */
const isShort = (kind: BranchKind) => kind === 'conditional jump';

function readInstruction(code: Uint8Array, offset: number): SiteInstruction {
  if (offset + SIZE > code.length) return { kind: 'other', size: 0, displacement: 0, short: false };
  const word = wordAt(code, offset);
  const branch = decodeBranch(word);
  if (branch) return { ...branch, size: SIZE, short: isShort(branch.kind) };
  const kind =
    word === NOP ? 'nop' : word === RET ? 'return' : word === CLEAR_RESULT ? 'clear result' : 'other';
  return { kind, size: SIZE, displacement: 0, short: false };
}

const branchRelocations = new Set([
  R_AARCH64_TSTBR14,
  R_AARCH64_CONDBR19,
  R_AARCH64_JUMP26,
  R_AARCH64_CALL26,
]);

function branchOfRelocation(type: number, code: Uint8Array, place: number): RelocatedBranch | undefined {
  if (!branchRelocations.has(type)) return undefined;
  const branch = decodeBranch(wordAt(code, place));
  return branch && { offset: place, kind: branch.kind, size: SIZE, short: isShort(branch.kind), bias: 0 };
}

function explainShort(code: Uint8Array, offset: number): string {
  const word = wordAt(code, offset);
  const [name, bits] =
    (word & 0x7e00_0000) === 0x3600_0000
      ? [(word & 0x0100_0000) === 0 ? 'tbz' : 'tbnz', 14]
      : (word & 0x7e00_0000) === 0x3400_0000
        ? [(word & 0x0100_0000) === 0 ? 'cbz' : 'cbnz', 19]
        : [`b.${conditionNames[word & 15] ?? 'al'}`, 19];
  return `is a ${name}, which is conditional and has a displacement of ${bits} bits; a static call needs bl or b`;
}

function startsInstruction(code: Uint8Array, map: CodeMap, offset: number): boolean {
  if (offset % SIZE !== 0 || offset < 0 || offset + SIZE > code.length) return false;
  return countUpTo(map.data, offset) % 2 === 0;
}

function forEachBranch(
  code: Uint8Array,
  { data }: CodeMap,
  visit: (offset: number, target: number, kind: BranchKind, short: boolean) => void,
): void {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  let next = 0;
  for (let offset = 0; offset + SIZE <= code.length; offset += SIZE) {
    while (next < data.length && offset >= (data[next + 1] as number)) next += 2;
    if (offset >= (data[next] ?? code.length)) continue;
    const word = view.getUint32(offset, true);
    // All of them, and little else, have 101 in bits 28 to 26 or 26 to 29.
    if ((word & 0x7c00_0000) !== 0x1400_0000 && (word & 0x7c00_0000) !== 0x3400_0000 && word >>> 24 !== 0x54)
      continue;
    const branch = decodeBranch(word);
    if (branch) visit(offset, offset + branch.displacement, branch.kind, isShort(branch.kind));
  }
}

const BTI_C = 0xd503245f; // bti c
const AUTIA1716 = 0xd503219f; // autia1716
const BR_X16 = 0xd61f0200; // br x16
const BR_X17 = 0xd61f0220; // br x17

/**
 * What linkers put between a call and its target. GNU ld 2.40 and lld 14:
 *   PLT entry       [bti c]  adrp x16, page; ldr x17, [x16, #lo12]; add x16, x16, #lo12; [autia1716]  br x17
 *   near veneer     adrp x16, page; add x16, x16, #lo12; br x16          reaches 4 GiB
 *   lld's thunk     ldr x16, .+8; br x16; .xword target
 *   GNU ld's stub   ldr x16, .+16; adr x17, .; add x16, x16, x17; br x16; .xword target - (stub + 4)
 */
function readStub(
  code: Uint8Array,
  offset: number,
  address: number,
): { slot: number } | { target: number } | undefined {
  const start = wordAt(code, offset) === BTI_C ? offset + SIZE : offset;
  const word = (i: number) => wordAt(code, start + i * SIZE);
  const here = address + (start - offset);
  const xword = (i: number) => Number(BigInt.asIntN(64, (BigInt(word(i + 1)) << 32n) | BigInt(word(i))));
  if ((word(0) & 0x9f00_001f) >>> 0 === 0x9000_0010) {
    const base = pageOf(here) + adrpDistance(word(0)); // adrp x16
    const lo12 = (word(1) >>> 10) & 0xfff;
    if ((word(1) & 0xffc0_03ff) >>> 0 === 0xf940_0211) {
      const branch = word(3) === AUTIA1716 ? word(4) : word(3);
      return branch === BR_X17 ? { slot: base + lo12 * 8 } : undefined; // ldr x17, [x16, #8 * lo12]
    }
    // add x16, x16, #lo12
    if ((word(1) & 0xffc0_03ff) >>> 0 === 0x9100_0210 && word(2) === BR_X16) return { target: base + lo12 };
    return undefined;
  }
  if (word(0) === 0x5800_0050 && word(1) === BR_X16) return { target: xword(2) }; // ldr x16, .+8
  // ldr x16, .+16; adr x17, .; add x16, x16, x17
  const isLong = word(0) === 0x5800_0090 && word(1) === 0x1000_0011 && word(2) === 0x8b11_0210;
  if (isLong && word(3) === BR_X16) return { target: here + SIZE + xword(4) };
  return undefined;
}

/** The distance from the page of `adrp` to the page that it loads: immlo in bits 30 and 29, immhi in bits 23 to 5. */
const adrpDistance = (word: number): number => (signedField(word, 5, 19) * 4 + ((word >>> 29) & 3)) * 0x1000;

/** As arch/arm64/include/asm/static_call.h has it since 7.1: bti c; adrp x16, page; ldr x16, [x16, #lo12]; br x16 */
function trampolineLiteral(code: Uint8Array, offset: number, address: number): number | undefined {
  if (offset + 4 * SIZE > code.length) return undefined;
  const [first, adrp, load, last] = [0, 1, 2, 3].map((i) => wordAt(code, offset + i * SIZE)) as Four;
  const isShape =
    first === BTI_C &&
    (adrp & 0x9f00_001f) >>> 0 === 0x9000_0010 &&
    (load & 0xffc0_03ff) >>> 0 === 0xf940_0210 &&
    last === BR_X16;
  return isShape ? pageOf(address + SIZE) + adrpDistance(adrp) + ((load >>> 10) & 0xfff) * 8 : undefined;
}
type Four = [number, number, number, number];

function encodeCallSite(request: CallSiteRequest): CallSiteBytes | undefined {
  const { address, kind, target } = request;
  const encode = kind === 'call' ? encodeBl : encodeB;
  if (target.kind === 'null') return { bytes: bytesOf(kind === 'call' ? NOP : RET), onTrampoline: false };
  if (target.kind === 'return 0' && kind === 'call')
    return { bytes: bytesOf(CLEAR_RESULT), onTrampoline: false };
  return firstInReach(request, (pointer) => encode(pointer - address));
}

function isCallSite(current: Uint8Array, kind: CallKind): boolean {
  const found = readInstruction(current, 0).kind;
  switch (kind) {
    case 'call':
      return found === 'call' || found === 'nop' || found === 'clear result';
    case 'tail':
      return found === 'jump' || found === 'return';
    case 'conditional tail':
      return false;
  }
}

const instructions: InstructionSet = {
  name: 'A64',
  mnemonics: { call: 'bl', jump: 'b', 'conditional jump': 'b.cond' },
  maxSite: SIZE,
  branchSizes: [SIZE],
  trampolineSize: 2 * SIZE,
  smpBarriers: dmbBarriers(
    (option) => bytesOf(0xd503_30bf | (option << 8)),
    (register) => bytesOf(0xaa00_03e0 | (register << 16) | register),
  ),
  readInstruction,
  explainShort,
  readStub,
  nop: () => bytesOf(NOP),
  otherNops: false,
  jump: (_size, displacement) => encodeB(displacement),
  isCallSite,
  isTrampoline(code, offset) {
    const { kind } = readInstruction(code, offset);
    return (kind === 'jump' || kind === 'return') && wordAt(code, offset + SIZE) === SIGNATURE;
  },
  trampolineSlot: () => undefined,
  trampolineLiteral,
  encodeCallSite,
  encodeTrampoline: (address, target) =>
    target.kind === 'null' ? bytesOf(RET) : encodeB(target.address - address),
};

/** Instructions are little-endian in either; the name tells whether data are. */
const aarch64Of = (name: string): Arch => ({
  name,
  machine: EM_AARCH64,
  class: 64,
  wordSize: 8,
  pageSize: 0x10000,
  relocations: {
    none: 0, // R_AARCH64_NONE
    place32: 261, // R_AARCH64_PREL32
    placeLong: 260, // R_AARCH64_PREL64
    rela: true,
    name: aarch64RelocationName,
  },
  dynamic: { none: 0, relative: 1027, symbolic: 257, jumpSlot: 1026, globData: 1025 },
  lockPrefix: undefined,
  breakpoint: undefined,
  mappingSymbol: mappingSymbols({ x: 'code', d: 'data' }),
  veneerName: /^(__.*_veneer|__AArch64\w*Thunk_.*|.*\$thunk\d*)$/,
  thumbBit: false,
  maxSite: instructions.maxSite,
  trampolineSize: instructions.trampolineSize,
  instructionsAt: () => instructions,
  instructionsOf: () => instructions,
  branchOfRelocation,
  startsInstruction,
  startsBranch: startsInstruction,
  forEachBranch,
  trapFill: (size) => new Uint8Array(size).map((_, i) => bytesOf(BRK)[i % SIZE] as number),
  applyRelocation: applyAArch64Relocation,
});

export const aarch64 = aarch64Of('AArch64');
export const aarch64_be = aarch64Of('AArch64 big-endian');
