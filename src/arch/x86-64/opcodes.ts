// The x86-64 opcode maps as data: what follows each opcode in 64-bit mode. After Intel SDM volume 2 appendix A
// and AMD APM volume 3 appendix A; where the vendors differ, what `objdump -d` does.

/** What sort of direct branch an instruction is. The displacement is its last four bytes, or its last one. */
export const InstructionKind = {
  other: 0,
  callRel32: 1,
  jmpRel32: 2,
  jccRel32: 3,
  jmpRel8: 4,
  /** Conditional jumps, and loop, loope, loopne, jrcxz. */
  jccRel8: 5,
} as const;
export type InstructionKind = (typeof InstructionKind)[keyof typeof InstructionKind];

// A form is one byte: the immediate (3 bits), whether there is a ModRM byte, the kind of branch (3 bits), and
// whether more must be looked at: then it is a group, which has a ModRM byte, or one of `Special`.
export const IMMEDIATE = 0x07;
export const MODRM = 0x08;
export const KIND = 0x70;
export const KIND_SHIFT = 4;
export const EXCEPTION = 0x80;

const NONE = 0;
export const IMM8 = 1;
const IMM16 = 2;
const IMM16_IMM8 = 3;
/** 4 bytes; 2 after 66 without REX.W. */
const IMM_Z = 4;
/** Like IMM_Z, but 8 bytes with REX.W. */
const IMM_V = 5;
/** An address: 8 bytes, 4 after 67. */
const MOFFS = 6;
export const IMM8_IMM8 = 7;

export const Special = {
  undefined: EXCEPTION,
  prefix: 0x81,
  // Escapes and the rest; with MODRM clear, or they would be groups.
  twoByte: 0x90,
  map38: 0x91,
  map3a: 0x92,
  vex2: 0x93,
  vex3: 0x94,
  evex: 0x95,
  popOrXop: 0x96,
  movControl: 0x97,
  rex2: 0xa0,
  vmreadOrExtrq: 0xa1,
} as const;

const LETTERS: Readonly<Record<string, number>> = {
  '-': Special.undefined,
  '.': NONE,
  b: IMM8,
  w: IMM16,
  e: IMM16_IMM8,
  z: IMM_Z,
  v: IMM_V,
  o: MOFFS,
  m: MODRM,
  B: MODRM | IMM8,
  Z: MODRM | IMM_Z,
  // Groups: see REG_FIELDS.
  g: EXCEPTION | MODRM,
  h: EXCEPTION | MODRM | IMM8,
  H: EXCEPTION | MODRM | IMM_Z,
  // Direct branches. Intel CPUs ignore 66 on those with a rel32, AMD CPUs read a rel16, and so does objdump
  // unless told `-M intel64`: a rel16 it is. No compiler makes one.
  s: IMM8 | (InstructionKind.jccRel8 << KIND_SHIFT),
  j: IMM8 | (InstructionKind.jmpRel8 << KIND_SHIFT),
  c: IMM_Z | (InstructionKind.jccRel32 << KIND_SHIFT),
  J: IMM_Z | (InstructionKind.jmpRel32 << KIND_SHIFT),
  C: IMM_Z | (InstructionKind.callRel32 << KIND_SHIFT),
  p: Special.prefix,
  '^': Special.twoByte,
  '8': Special.map38,
  a: Special.map3a,
  2: Special.vex2,
  3: Special.vex3,
  E: Special.evex,
  P: Special.popOrXop,
  q: Special.movControl,
  R: Special.rex2,
  x: Special.vmreadOrExtrq,
};

const ONE_BYTE_MAP = [
  'mmmmbz--mmmmbz-^', // 00 add, or
  'mmmmbz--mmmmbz--', // 10 adc, sbb
  'mmmmbzp-mmmmbzp-', // 20 and, sub; es, cs
  'mmmmbzp-mmmmbzp-', // 30 xor, cmp; ss, ds
  'pppppppppppppppp', // 40 REX
  '................', // 50 push, pop
  '--EmppppzZbB....', // 60 EVEX, movsxd, fs, gs, 66, 67, push, imul, ins, outs
  'ssssssssssssssss', // 70 jcc rel8
  'BZ-BmmmmmmmmmmmP', // 80 group 1, test, xchg, mov, lea, pop or XOP
  '..........-.....', // 90 xchg, fwait, pushf, sahf
  'oooo....bz......', // a0 mov moffs, strings, test
  'bbbbbbbbvvvvvvvv', // b0 mov imm
  'BBw.32hHe.w..b-.', // c0 shifts, ret, VEX, group 11, enter, leave, lret, int
  'mmmm-R-.mmmmmmmm', // d0 shifts, REX2, xlat, x87
  'ssssbbbbCJ-j....', // e0 loop, jrcxz, in, out, call, jmp
  'p.pp..hH......gg', // f0 lock, int1, repne, rep, hlt, cmc, groups 3, 4 and 5
].join('');

const TWO_BYTE_MAP = [
  'gmmm-.....-.-m.B', // 00 groups 6 and 7, lar, lsl, syscall, ud2, prefetch, femms, 3DNow! (its opcode is last)
  'mmmmmmmmmmmmmmmm', // 10 SSE moves, nop
  'qqqq----mmmmmmmm', // 20 mov control and debug registers, SSE conversions
  '......-.8-a-----', // 30 wrmsr, rdtsc, sysenter, getsec
  'mmmmmmmmmmmmmmmm', // 40 cmovcc
  'mmmmmmmmmmmmmmmm', // 50 SSE
  'mmmmmmmmmmmmmmmm', // 60 MMX
  'BBBBmmm.xm--mmmm', // 70 pshuf, shifts, emms, vmread or extrq, SSE
  'cccccccccccccccc', // 80 jcc rel32
  'mmmmmmmmmmmmmmmm', // 90 setcc
  '...mBmmm...mBmmm', // a0 push fs and gs, cpuid, bt, shld, PadLock, rsm, bts, shrd, group 15, imul
  'mmmmmmmmmmhmmmmm', // b0 cmpxchg, btr, movzx, popcnt, ud1, group 8, btc, bsf, movsx
  'mmBmBBBg........', // c0 xadd, cmpps, movnti, pinsrw, shufps, group 9, bswap
  'mmmmmmmmmmmmmmmm', // d0 MMX
  'mmmmmmmmmmmmmmmm', // e0 MMX
  'mmmmmmmmmmmmmmmm', // f0 MMX, ud0
].join('');

/** Both maps in a row: an index is an opcode, or `TWO_BYTE` plus the opcode after 0F. */
export const FORMS = Uint8Array.from(ONE_BYTE_MAP + TWO_BYTE_MAP, (letter) => LETTERS[letter]!);
export const TWO_BYTE = 0x100;

/** For a group, a bit for each ModRM.reg that is an instruction; for group 3, each that takes the immediate. */
export const REG_FIELDS = new Uint8Array(0x200);
REG_FIELDS[0x8f] = 0b0000_0001; // pop, behind REX2
REG_FIELDS[0xc6] = 0b0000_0001; // mov; xabort is C6 F8
REG_FIELDS[0xc7] = 0b0000_0001; // mov; xbegin is C7 F8
REG_FIELDS[0xf6] = 0b0000_0011; // test; the others are not, neg, mul, imul, div, idiv
REG_FIELDS[0xf7] = 0b0000_0011;
REG_FIELDS[0xfe] = 0b0000_0011; // inc, dec
REG_FIELDS[0xff] = 0b0111_1111; // inc, dec, call, lcall, jmp, ljmp, push
REG_FIELDS[TWO_BYTE | 0x00] = 0b0011_1111; // sldt, str, lldt, ltr, verr, verw
REG_FIELDS[TWO_BYTE | 0xba] = 0b1111_0000; // bt, bts, btr, btc
REG_FIELDS[TWO_BYTE | 0xc7] = 0b1111_1010; // cmpxchg8b, xrstors, xsavec, xsaves, vmptrld, rdrand, rdseed

/** For the one-byte map and the 0F map, a bit for each row of 16 opcodes that REX2 leaves out (Intel APX, 3.1.1.1). */
const ROWS_WITHOUT_REX2 = [0b0100_0100_1001_0000, 0b0000_0001_0000_1000] as const;
const JMPABS = 0xa1;
const escapes = new Set<number>([
  Special.prefix,
  Special.twoByte,
  Special.map38,
  Special.map3a,
  Special.vex2,
  Special.vex3,
  Special.evex,
  Special.rex2,
]);

/** What `FORMS` has for each opcode, as it is behind a REX2 prefix: no escapes, and no XOP in place of pop. */
export const REX2_FORMS = FORMS.map((form, opcode) => {
  if (opcode === JMPABS) return IMM_V;
  const isLeftOut = ((ROWS_WITHOUT_REX2[opcode >> 8]! >> ((opcode >> 4) & 0xf)) & 1) !== 0;
  if (isLeftOut || escapes.has(form)) return Special.undefined;
  if (form === Special.vmreadOrExtrq) return MODRM;
  return form === Special.popOrXop ? EXCEPTION | MODRM : form;
});

/** True for the one instruction whose immediate has 8 bytes behind REX2, with or without W. */
export const isJmpabs = (opcode: number): boolean => opcode === JMPABS;

/** The forms of the maps that VEX, EVEX and XOP prefixes choose by number. */
const PREFIXED_MAPS = new Uint8Array(32).fill(Special.undefined);
PREFIXED_MAPS[1] = MODRM; // 0F; see `prefixedForm`
PREFIXED_MAPS[2] = MODRM; // 0F38
PREFIXED_MAPS[3] = MODRM | IMM8; // 0F3A
PREFIXED_MAPS[5] = MODRM;
PREFIXED_MAPS[6] = MODRM;
PREFIXED_MAPS[7] = MODRM | IMM_Z; // urdmsr, uwrmsr
PREFIXED_MAPS[8] = MODRM | IMM8; // XOP
PREFIXED_MAPS[9] = MODRM;
PREFIXED_MAPS[10] = MODRM | IMM_Z; // bextr, lwpins, lwpval
export const FIRST_XOP_MAP = 8;

/** The legacy instructions that EVEX promotes (APX); most have a ModRM byte and no more. */
const PROMOTED_FORMS = new Uint8Array(0x100).fill(MODRM);
for (const opcode of [0x24, 0x2c, 0x6b, 0x80, 0x83, 0xc0, 0xc1, 0xd4]) PROMOTED_FORMS[opcode] = MODRM | IMM8;
for (const opcode of [0x69, 0x81]) PROMOTED_FORMS[opcode] = MODRM | IMM_Z;
for (const opcode of [0xf6, 0xf7]) PROMOTED_FORMS[opcode] = FORMS[opcode]!;
export const PROMOTED_MAP = 4;

/** The form of `opcode` in one of the maps that VEX, EVEX and XOP prefixes choose by number. */
export function prefixedForm(map: number, opcode: number): number {
  if (map === PROMOTED_MAP) return PROMOTED_FORMS[opcode]!;
  if (map !== 1) return PREFIXED_MAPS[map]!;
  if (opcode === 0x77) return NONE; // vzeroupper, vzeroall
  const hasImm8 = (opcode >= 0x70 && opcode <= 0x73) || opcode === 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
  return hasImm8 ? MODRM | IMM8 : MODRM;
}

/** For each opcode, a bit for each ModRM.reg with which F0 is legal on a memory operand (Intel SDM, LOCK). */
export const LOCKABLE = new Uint8Array(0x200);
for (const opcode of [0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30]) LOCKABLE.fill(0xff, opcode, opcode + 2);
for (const opcode of [0x80, 0x81, 0x83]) LOCKABLE[opcode] = 0b0111_1111; // all of group 1 but cmp
for (const opcode of [0x86, 0x87]) LOCKABLE[opcode] = 0xff; // xchg
for (const opcode of [0xf6, 0xf7]) LOCKABLE[opcode] = 0b0000_1100; // not, neg
for (const opcode of [0xfe, 0xff]) LOCKABLE[opcode] = 0b0000_0011; // inc, dec
for (const opcode of [0xab, 0xb0, 0xb1, 0xb3, 0xbb, 0xc0, 0xc1]) LOCKABLE[TWO_BYTE | opcode] = 0xff;
LOCKABLE[TWO_BYTE | 0xba] = 0b1110_0000; // bts, btr, btc
LOCKABLE[TWO_BYTE | 0xc7] = 0b0000_0010; // cmpxchg8b, cmpxchg16b

// What prefixes amount to. All but REPNE are an index into IMMEDIATE_LENGTH, together with the form's immediate.
export const OPERAND_SIZE = 0x08;
export const REX_W = 0x10;
const ADDRESS_SIZE = 0x20;
export const REPNE = 0x40;
export const LOCK_PREFIX = 0xf0;
export const PREFIX_BITS = new Uint8Array(0x100).fill(REX_W, 0x48, 0x50);
PREFIX_BITS[0x66] = OPERAND_SIZE;
PREFIX_BITS[0x67] = ADDRESS_SIZE;
PREFIX_BITS[0xf2] = REPNE;

/** Every prefix that may stand in front of an opcode or of an escape, REX included. */
export const PREFIXES: ReadonlySet<number> = new Set(
  Array.from({ length: 0x100 }, (_, byte) => byte).filter((byte) => FORMS[byte] === Special.prefix),
);

export const IMMEDIATE_LENGTH = new Uint8Array(0x80);
for (let prefixes = 0; prefixes < IMMEDIATE_LENGTH.length; prefixes += OPERAND_SIZE) {
  const z = (prefixes & (OPERAND_SIZE | REX_W)) === OPERAND_SIZE ? 2 : 4;
  const v = prefixes & REX_W ? 8 : z;
  const moffs = prefixes & ADDRESS_SIZE ? 4 : 8;
  IMMEDIATE_LENGTH.set([0, 1, 2, 3, z, v, moffs, 2], prefixes);
}

/** Bytes of SIB and displacement, by ModRM; all but the disp32 of a SIB without a base. */
export const ADDRESS_LENGTH = Uint8Array.from({ length: 0x100 }, (_, modrm) => {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (mod === 3) return 0;
  const displacement = mod === 1 ? 1 : mod === 2 || rm === 5 ? 4 : 0;
  return displacement + (rm === 4 ? 1 : 0);
});
