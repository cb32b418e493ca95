// How long an x86-64 instruction is, whether it has a lock prefix, and whether it is a direct branch: 64-bit
// mode only. The facts about opcodes are in x86-64-opcodes.ts; the order of the parts is Intel SDM volume 2,
// chapter 2.
import {
  ADDRESS_LENGTH,
  EXCEPTION,
  FIRST_XOP_MAP,
  FORMS,
  IMM8,
  IMM8_IMM8,
  IMMEDIATE,
  IMMEDIATE_LENGTH,
  InstructionKind,
  isJmpabs,
  KIND,
  KIND_SHIFT,
  LOCK_PREFIX,
  LOCKABLE,
  MODRM,
  OPERAND_SIZE,
  PREFIX_BITS,
  PROMOTED_MAP,
  prefixedForm,
  REG_FIELDS,
  REPNE,
  REX_W,
  REX2_FORMS,
  Special,
  TWO_BYTE,
} from './opcodes.ts';

export { InstructionKind };

// The packed result: length, index of the lock prefix plus 1, kind, lockable, index of the ModRM byte.
const LENGTH_BITS = 0x0f;
const LOCK_BITS = 0xf0;
const LOCK_SHIFT = 4;
const PACKED_KIND_SHIFT = 8;
const KIND_BITS = 7;
const LOCKABLE_BIT = 1 << 11;
const MODRM_SHIFT = 12;

/** Length in bytes, 1 to 15; 0 for what could not be decoded. */
export const lengthOf = (packed: number): number => packed & LENGTH_BITS;

/** Index within the instruction of its first F0 prefix, or -1. */
export const lockPrefixOf = (packed: number): number => ((packed & LOCK_BITS) >> LOCK_SHIFT) - 1;

/** True for an instruction with a lock prefix that may have one. Any other lock raises #UD, so is no code. */
export const isLockable = (packed: number): boolean => (packed & LOCKABLE_BIT) !== 0;

/** Index within the instruction of its ModRM byte; 0 for an instruction without one. */
export const modrmOf = (packed: number): number => packed >> MODRM_SHIFT;

/** The sort of direct branch. A call, jmp or jcc made rel16 by a 66 prefix is `other`. */
export const kindOf = (packed: number): InstructionKind =>
  ((packed >> PACKED_KIND_SHIFT) & KIND_BITS) as InstructionKind;

/** Bytes of displacement at the very end of a direct branch: 4 or 1; 0 for other instructions. */
export function displacementLengthOf(packed: number): 0 | 1 | 4 {
  const kind = kindOf(packed);
  if (kind === InstructionKind.other) return 0;
  return kind === InstructionKind.jmpRel8 || kind === InstructionKind.jccRel8 ? 1 : 4;
}

/** The four bytes at `at`, little-endian with a sign: a displacement or an immediate. */
export function readS32(code: Uint8Array, at: number): number {
  return code[at]! | (code[at + 1]! << 8) | (code[at + 2]! << 16) | (code[at + 3]! << 24);
}

/** Where the direct branch at `offset` goes, as an offset into `code` that may lie outside of it. */
export function decodeTarget(code: Uint8Array, offset: number, packed: number): number {
  const end = offset + lengthOf(packed);
  if (displacementLengthOf(packed) === 1) return end + ((code[end - 1]! << 24) >> 24);
  return end + readS32(code, end - 4);
}

export const MAX_INSTRUCTION_LENGTH = 15;
/** The bit of REX2's payload that chooses the 0F map. */
const REX2_0F = 0x80;
/** Fifteen prefixes and the longest opcode with its ModRM and SIB: `decode` reads no further than this. */
const LOOKAHEAD = 24;
const padded = new Uint8Array(LOOKAHEAD);

/**
 * Packed facts about the instruction at `offset`, or 0 when it is undecodable or does not end by `end`; both
 * are byte offsets into `code`.
 *
 * Undecodable are opcodes that 64-bit mode does not define, reg fields that a group does not define, map
 * numbers that VEX, EVEX or XOP do not have, and what is longer than 15 bytes. Everything else gets its
 * length: prefixes and operands that an instruction does not take are not judged, and in the maps whose opcodes
 * all look alike (0F38, 0F3A, VEX, EVEX, XOP) unassigned ones are taken for assigned, so that the instructions
 * of the next CPU do not put a sweep out of step.
 */
export function decodeInstruction(code: Uint8Array, offset: number, end: number): number {
  const left = code.length - offset;
  if (left >= LOOKAHEAD) return decode(code, offset, end);
  // The last bytes are decoded in a copy: one read past the end of a typed array makes every later one slow.
  for (let i = 0; i < LOOKAHEAD; i++) padded[i] = i < left ? code[offset + i]! : 0;
  return decode(padded, 0, Math.min(end - offset, left));
}

function decode(code: Uint8Array, offset: number, end: number): number {
  let at = offset;
  let opcode = code[at++]!;
  let form = FORMS[opcode]!;
  let prefixes = 0;
  let lock = 0;

  while (form === Special.prefix) {
    // REX counts only right before the opcode: the CPU ignores one that another prefix follows.
    prefixes = (prefixes & ~REX_W) | PREFIX_BITS[opcode]!;
    // To the CPU several F0 are like one.
    if (opcode === LOCK_PREFIX && lock === 0) lock = at - offset;
    if (at - offset === MAX_INSTRUCTION_LENGTH) return 0;
    opcode = code[at++]!;
    form = FORMS[opcode]!;
  }

  if (form === Special.twoByte) {
    opcode = TWO_BYTE | code[at++]!;
    form = FORMS[opcode]!;
  } else if (form === Special.rex2) {
    const payload = code[at++]!;
    opcode = ((payload & REX2_0F) << 1) | code[at++]!;
    form = REX2_FORMS[opcode]!;
    prefixes = (prefixes & ~REX_W) | ((payload & 0x08) !== 0 || isJmpabs(opcode) ? REX_W : 0);
  }

  // VEX, EVEX and XOP carry their own REX bits, and the prefixes above make them #UD; objdump decodes them all
  // the same, and so does this.
  if (form >= EXCEPTION) {
    switch (form) {
      case Special.undefined:
        return 0;
      case Special.map38:
        at++;
        form = MODRM;
        break;
      case Special.map3a:
        at++;
        form = MODRM | IMM8;
        break;
      case Special.vex2:
        form = prefixedForm(1, code[at + 1]!);
        at += 2;
        break;
      case Special.vex3: {
        const map = code[at]! & 0x1f;
        if (map >= FIRST_XOP_MAP || map === PROMOTED_MAP) return 0;
        form = prefixedForm(map, code[at + 2]!);
        at += 3;
        prefixes = 0;
        break;
      }
      case Special.evex: {
        const map = code[at]! & 7;
        const [second, promoted] = [code[at + 1]!, code[at + 3]!];
        form = prefixedForm(map, promoted);
        at += 4;
        prefixes = 0;
        if (map !== PROMOTED_MAP) break;
        if ((second & 0x80) !== 0) prefixes = REX_W;
        else if ((second & 0x03) === 1) prefixes = OPERAND_SIZE;
        if (form >= EXCEPTION) form = groupForm(form, promoted, code[at]!);
        break;
      }
      case Special.popOrXop: {
        form = MODRM;
        if ((code[at]! & 0x38) === 0) break;
        const map = code[at]! & 0x1f;
        if (map < FIRST_XOP_MAP) return 0;
        form = prefixedForm(map, code[at + 2]!);
        at += 3;
        prefixes = 0;
        break;
      }
      case Special.movControl:
        // Always a register, whatever the mod field says.
        at++;
        form = 0;
        break;
      case Special.vmreadOrExtrq:
        form = prefixes & (OPERAND_SIZE | REPNE) ? MODRM | IMM8_IMM8 : MODRM;
        break;
      default:
        form = groupForm(form, opcode, code[at]!);
    }
    if (form === Special.undefined) return 0;
  }

  let modrm = 0xc0;
  let modrmAt = 0;
  if ((form & MODRM) !== 0) {
    modrmAt = at - offset;
    modrm = code[at++]!;
    at += ADDRESS_LENGTH[modrm]!;
    // No displacement in ModRM, but a SIB byte without a base register, which is now the last byte: disp32.
    if ((modrm & 0xc7) === 0x04 && (code[at - 1]! & 7) === 5) at += 4;
  }
  at += IMMEDIATE_LENGTH[(form & IMMEDIATE) | prefixes]!;

  const length = at - offset;
  if (length > MAX_INSTRUCTION_LENGTH || at > end) return 0;

  let packed = length | (modrmAt << MODRM_SHIFT);
  const kind = form & KIND;
  // With rel16 instead of rel32 it is no branch that anything here could retarget.
  if (kind !== 0 && ((form & IMMEDIATE) === IMM8 || (prefixes & (OPERAND_SIZE | REX_W)) !== OPERAND_SIZE)) {
    packed |= kind << (PACKED_KIND_SHIFT - KIND_SHIFT);
  }
  if (lock !== 0) {
    packed |= lock << LOCK_SHIFT;
    if (mayHaveLock(opcode, modrm)) packed |= LOCKABLE_BIT;
  }
  return packed;
}

/**
 * True where the F0 byte at `offset` begins an instruction that may be locked. Opcode and operand say no for all but a few
 * of the F0 bytes in code, before anything is decoded.
 */
export function isLockableAt(code: Uint8Array, offset: number): boolean {
  if (offset + LOOKAHEAD <= code.length) {
    let at = offset + 1;
    while (FORMS[code[at]!] === Special.prefix && at - offset < MAX_INSTRUCTION_LENGTH) at++;
    const form = FORMS[code[at]!]!;
    const opcode = form === Special.twoByte ? TWO_BYTE | code[++at]! : code[at]!;
    if (form !== Special.rex2 && !mayHaveLock(opcode, code[at + 1]!)) return false;
  }
  return isLockable(decodeInstruction(code, offset, code.length));
}

/** Whether an instruction may be locked by its opcode and its ModRM byte. */
const mayHaveLock = (opcode: number, modrm: number): boolean =>
  modrm < 0xc0 && ((LOCKABLE[opcode]! >> ((modrm >> 3) & 7)) & 1) !== 0;

/** What the reg field of `modrm` makes of a group. */
function groupForm(form: number, opcode: number, modrm: number): number {
  const plain = form & ~EXCEPTION;
  const defined = ((REG_FIELDS[opcode]! >> ((modrm >> 3) & 7)) & 1) !== 0;
  if (defined) return plain;
  if (opcode === 0xf6 || opcode === 0xf7) return MODRM; // not, neg, mul, imul, div, idiv
  const isTransaction = (opcode === 0xc6 || opcode === 0xc7) && modrm === 0xf8; // xabort, xbegin
  return isTransaction ? plain : Special.undefined;
}
