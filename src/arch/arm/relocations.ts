// 32-bit ARM relocations: names, and what an in-memory link carries out (aaelf32 sections 5.6.1.2 to 5.6.1.10).
// Their addends stand in the fields (REL).
import { eitherRange, signedRange } from '../../bytes/integer.ts';
import { ByteView } from '../../bytes/view.ts';
import type { LinkRelocation } from '../arch.ts';
import { encodeBlx, field24 } from './a32.ts';
import { decodeThumbBranch, distance21, distance25, encodeBranch25 } from './t32.ts';

/** What a row's formula is made of; `a` is the addend that the field holds. */
interface Terms extends LinkRelocation {
  readonly a: number;
}
type Formula = (r: Terms) => number;

/** (S + A) | T: with bit 0 set where S is a function in Thumb state. */
const pointer: Formula = (r) => r.symbol + r.a + (r.thumb && (r.symbol + r.a) % 2 === 0 ? 1 : 0);
const relativePointer: Formula = (r) => pointer(r) - r.place;
const absolute: Formula = (r) => r.symbol + r.a;
const relative: Formula = (r) => r.symbol + r.a - r.place;

/** How a field holds a number: data in the byte order of data, instructions in that of instructions. */
interface Field {
  /** Data of so many bytes, an A32 word, or Thumb halfwords. */
  readonly unit: 'u8' | 'u16' | 'u32' | 'a32' | 't16' | 't32';
  read(bits: number): number;
  /** The field with a value in it that is in `range`, or why that cannot be. */
  write(bits: number, value: number, r: Terms): number | string;
  /** Both ends of what the value may be; undefined: not checked. */
  readonly range?: readonly [low: number, high: number];
}

interface Row {
  readonly name: string;
  readonly value?: Formula;
  readonly field?: Field;
}

const signed = (value: number, bits: number) => (value << (32 - bits)) >> (32 - bits);

// 32 bits are all there are: what goes beyond wraps, as addresses do.
const word: Field = { unit: 'u32', read: (bits) => bits | 0, write: (_, value) => value };
const half: Field = {
  unit: 'u16',
  read: (bits) => signed(bits, 16),
  write: (_, value) => value,
  range: eitherRange(16),
};
const byte: Field = {
  unit: 'u8',
  read: (bits) => signed(bits, 8),
  write: (_, value) => value,
  range: eitherRange(8),
};
/** Exception tables: bit 31 is not part of the field. */
const prel31: Field = {
  unit: 'u32',
  read: (bits) => signed(bits, 31),
  write: (bits, value) => (bits & 0x8000_0000) | (value & 0x7fff_ffff),
  range: signedRange(31),
};

const otherState = 'would change state, which needs a veneer; link with ld';
const unencodable = (value: number) => `needs ${value}, which the branch cannot encode`;
const isBlx = (bits: number) => bits >>> 28 === 0xf;

/**
 * A32 b, bl and blx. bl and blx become each other as the target demands (aaelf32, 5.6.1.4); the value is that of a
 * code pointer. A branch to a weak symbol that nobody defines goes on behind itself.
 */
const branch24: Field = {
  unit: 'a32',
  read: (bits) => signed(bits << 2, 26) + (isBlx(bits) ? (bits >>> 23) & 2 : 0),
  write(bits, value, r) {
    // What the field counts begins at the pipelined PC, and so does the addend in it.
    const displacement = value + 8;
    if (r.thumb && r.symbol !== 0) {
      if (!isBlx(bits) && bits >>> 24 !== 0xeb) return otherState;
      return encodeBlx(displacement - 1) ?? unencodable(value);
    }
    const field = field24(displacement);
    if (field === undefined) return unencodable(value);
    return ((isBlx(bits) ? 0xeb00_0000 : bits & 0xff00_0000) | field) >>> 0;
  },
  range: [-0x200_0000, 0x1ff_ffff],
};

/** T32 b.w, bl and blx, likewise; blx counts from the place rounded down to a word. */
const branch25: Field = {
  unit: 't32',
  read: (bits) => distance25(bits >>> 16, bits & 0xffff),
  write(bits, value, r) {
    const found = decodeThumbBranch(bits >>> 16, bits & 0xffff);
    if (found?.size !== 4 || found.short) return 'is not at a b.w, bl or blx instruction';
    const toA32 = !r.thumb && r.symbol !== 0;
    if (toA32 && found.kind === 'jump') return otherState;
    const distance = toA32 ? value + (r.place & 2) : value - (value & 1);
    const second = found.kind === 'jump' ? 0x9000 : toA32 ? 0xc000 : 0xd000;
    const halves = toA32 && distance % 4 !== 0 ? undefined : encodeBranch25(second, distance);
    return halves ? ((halves[0] << 16) | halves[1]) >>> 0 : unencodable(value);
  },
  range: [-0x100_0000, 0xff_ffff],
};

/** b<cond>.w. */
const branch21: Field = {
  unit: 't32',
  read: (bits) => distance21(bits >>> 16, bits & 0xffff),
  write(bits, value, r) {
    if (!r.thumb && r.symbol !== 0) return otherState;
    const [s, j2, j1] = [(value >>> 20) & 1, (value >>> 19) & 1, (value >>> 18) & 1];
    const first = (s << 10) | ((value >>> 12) & 0x3f);
    const second = (j1 << 13) | (j2 << 11) | ((value >>> 1) & 0x7ff);
    return ((bits & 0xfbc0_d000) | (first << 16) | second) >>> 0;
  },
  range: [-0x10_0000, 0xf_ffff],
};

/** Thumb branches of 2 bytes. */
const shortBranch = (width: number): Field => ({
  unit: 't16',
  read: (bits) => signed(bits << 1, width + 1),
  write: (bits, value) => (bits & ~((1 << width) - 1)) | ((value >>> 1) & ((1 << width) - 1)),
  range: signedRange(width + 1),
});

/** movw takes the low half of the value, movt the high one; the addend is their 16 bits, signed (5.6.1.4). */
const move = (shift: 0 | 16): Field => ({
  unit: 'a32',
  read: (bits) => signed(((bits >>> 4) & 0xf000) | (bits & 0xfff), 16),
  write: (bits, value) => {
    const imm = (value >>> shift) & 0xffff;
    return ((bits & 0xfff0_f000) | ((imm & 0xf000) << 4) | (imm & 0xfff)) >>> 0;
  },
});
const thumbMove = (shift: 0 | 16): Field => ({
  unit: 't32',
  // imm4 in bits 19 to 16, i in bit 26, imm3 in bits 14 to 12, imm8
  read: (bits) =>
    signed(((bits >>> 4) & 0xf000) | ((bits >>> 15) & 0x800) | ((bits >>> 4) & 0x700) | (bits & 0xff), 16),
  write: (bits, value) => {
    const imm = (value >>> shift) & 0xffff;
    const spread = ((imm & 0xf000) << 4) | ((imm & 0x800) << 15) | ((imm & 0x700) << 4) | (imm & 0xff);
    return ((bits & 0xfbf0_8f00) | spread) >>> 0;
  },
});

const row = (name: string, value: Formula, field: Field): Row => ({ name, value, field });
/** S + A - P of a branch, where S has no definition: what the next instruction is to the field. */
const branch =
  (size: 2 | 4, pipeline: 4 | 8, value: Formula): Formula =>
  (r) =>
    r.symbol === 0 ? size - pipeline : value(r);
const slotRelative: Formula = (r) => r.slot() + r.a - r.place; // GOT(S) + A - P

/** By number. Rows without a value are only named. */
const rows: Readonly<Record<number, Row>> = {
  0: { name: 'NONE' },
  1: row('PC24', branch(4, 8, relativePointer), branch24),
  2: row('ABS32', pointer, word),
  3: row('REL32', relativePointer, word),
  4: { name: 'LDR_PC_G0' },
  5: row('ABS16', absolute, half),
  6: { name: 'ABS12' },
  7: { name: 'THM_ABS5' },
  8: row('ABS8', absolute, byte),
  9: { name: 'SBREL32' },
  10: row('THM_CALL', branch(4, 4, relativePointer), branch25),
  11: { name: 'THM_PC8' },
  13: { name: 'TLS_DESC' },
  16: row('THM_XPC22', branch(4, 4, relativePointer), branch25),
  17: { name: 'TLS_DTPMOD32' },
  18: { name: 'TLS_DTPOFF32' },
  19: { name: 'TLS_TPOFF32' },
  20: { name: 'COPY' },
  21: { name: 'GLOB_DAT' },
  22: { name: 'JUMP_SLOT' },
  23: { name: 'RELATIVE' },
  24: row('GOTOFF32', (r) => pointer(r) - r.got, word),
  25: row('BASE_PREL', (r) => r.got + r.a - r.place, word),
  26: row('GOT_BREL', (r) => r.slot() + r.a - r.got, word),
  27: row('PLT32', branch(4, 8, relativePointer), branch24),
  28: row('CALL', branch(4, 8, relativePointer), branch24),
  29: row('JUMP24', branch(4, 8, relativePointer), branch24),
  30: row('THM_JUMP24', branch(4, 4, relativePointer), branch25),
  31: { name: 'BASE_ABS' },
  38: row('TARGET1', pointer, word),
  40: { name: 'V4BX' },
  41: row('TARGET2', slotRelative, word), // on Linux GOT_PREL
  42: row('PREL31', relativePointer, prel31),
  43: row('MOVW_ABS_NC', pointer, move(0)),
  44: row('MOVT_ABS', absolute, move(16)),
  45: row('MOVW_PREL_NC', relativePointer, move(0)),
  46: row('MOVT_PREL', relative, move(16)),
  47: row('THM_MOVW_ABS_NC', pointer, thumbMove(0)),
  48: row('THM_MOVT_ABS', absolute, thumbMove(16)),
  49: row('THM_MOVW_PREL_NC', relativePointer, thumbMove(0)),
  50: row('THM_MOVT_PREL', relative, thumbMove(16)),
  51: row('THM_JUMP19', branch(4, 4, relativePointer), branch21),
  52: { name: 'THM_JUMP6' },
  53: { name: 'THM_ALU_PREL_11_0' },
  54: { name: 'THM_PC12' },
  55: row('ABS32_NOI', absolute, word),
  56: row('REL32_NOI', relative, word),
  57: { name: 'ALU_PC_G0_NC' },
  58: { name: 'ALU_PC_G0' },
  59: { name: 'ALU_PC_G1_NC' },
  60: { name: 'ALU_PC_G1' },
  61: { name: 'ALU_PC_G2' },
  62: { name: 'LDR_PC_G1' },
  63: { name: 'LDR_PC_G2' },
  90: { name: 'TLS_GOTDESC' },
  91: { name: 'TLS_CALL' },
  92: { name: 'TLS_DESCSEQ' },
  93: { name: 'THM_TLS_CALL' },
  95: { name: 'GOT_ABS' },
  96: row('GOT_PREL', slotRelative, word),
  97: { name: 'GOT_BREL12' },
  98: { name: 'GOTOFF12' },
  100: { name: 'GNU_VTENTRY' },
  101: { name: 'GNU_VTINHERIT' },
  102: row('THM_JUMP11', branch(2, 4, relative), shortBranch(11)),
  103: row('THM_JUMP8', branch(2, 4, relative), shortBranch(8)),
  104: { name: 'TLS_GD32' },
  105: { name: 'TLS_LDM32' },
  106: { name: 'TLS_LDO32' },
  107: { name: 'TLS_IE32' },
  108: { name: 'TLS_LE32' },
  109: { name: 'TLS_LDO12' },
  110: { name: 'TLS_LE12' },
  111: { name: 'TLS_IE12GP' },
  129: { name: 'THM_TLS_DESCSEQ16' },
  160: { name: 'IRELATIVE' },
};
/** Relocations that change nothing: what they say is for other linkers. */
const idle = new Set([0, 40, 100, 101]);

/** `R_ARM_…`, or the number of a type that has no row. */
export function armRelocationName(type: number): string {
  const found = rows[type];
  return found ? `R_ARM_${found.name}` : `relocation type ${type}`;
}

/** Carries out one relocation of an in-memory link; returns why not, when it cannot. */
export function applyArmRelocation(r: LinkRelocation, littleCode: boolean): string | undefined {
  if (idle.has(r.type)) return undefined;
  const name = armRelocationName(r.type);
  const { value: formula, field } = rows[r.type] ?? {};
  if (!formula || !field)
    return `${name} is not supported by the in-memory link; link with ld, and run boot on the image`;
  const view = new ByteView(r.bytes, field.unit.startsWith('u') ? r.little : littleCode);
  const bits = readUnit(field.unit, view, r.offset);
  const terms: Terms = { ...r, a: field.read(bits) + r.addend };
  const exact = formula(terms);
  // Addresses wrap, and so do distances; data may be taken for signed or unsigned.
  const [low, high] = field.range ?? [exact, exact];
  const value = exact >= low && exact <= high ? exact : exact | 0;
  if (field.range && (value < low || value > high))
    return `${name} needs ${value}, which is out of its range (${low} to ${high})`;
  const written = field.write(bits, value, terms);
  if (typeof written === 'string') return `${name} ${written}`;
  writeUnit(field.unit, view, r.offset, written);
  return undefined;
}

/** The two halfwords of a T32 instruction make one number, the first one in its upper bits. */
function readUnit(unit: Field['unit'], view: ByteView, at: number): number {
  if (unit === 't32') return ((view.u16(at) << 16) | view.u16(at + 2)) >>> 0;
  if (unit === 'u8') return view.u8(at);
  return unit === 'u32' || unit === 'a32' ? view.u32(at) : view.u16(at);
}

function writeUnit(unit: Field['unit'], view: ByteView, at: number, bits: number): void {
  if (unit === 'u8') view.setU8(at, bits & 0xff);
  else if (unit === 'u32' || unit === 'a32') view.setU32(at, bits >>> 0);
  else if (unit === 'u16' || unit === 't16') view.setU16(at, bits & 0xffff);
  else {
    view.setU16(at, bits >>> 16);
    view.setU16(at + 2, bits & 0xffff);
  }
}
