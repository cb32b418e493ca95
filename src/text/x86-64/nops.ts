// The NOPs that a kernel writes where code of an alternative ends or is left out, and how it finds those that are there
// (arch/x86/kernel/alternative.c: add_nops and add_nop, optimize_nops; arch/x86/include/asm/nops.h).
import { decodeInstruction, lengthOf, modrmOf, readS32 } from '../../arch/x86-64/length.ts';
import { sameBytes } from '../../bytes/integer.ts';
import type { Image } from '../../image/image.ts';
import type { X86State } from './state.ts';

const NOP = 0x90;
const INT3 = 0xcc;
const JMP_REL8 = 0xeb;
const JMP_REL32 = 0xe9;
const TWO_BYTE = 0x0f;
/** Fill that is longer needs a jump of 5 bytes. */
const farthestShort = 128;

const hexNops = (...texts: readonly string[]) =>
  texts.map((text) => Uint8Array.from(Buffer.from(text, 'hex')));

/** By length less 1: those of Intel's manual; kernels up to 6.3 have eight of them, later ones eleven. */
const longNops = hexNops(
  '90',
  '6690',
  '0f1f00',
  '0f1f4000',
  '0f1f440000',
  '660f1f440000',
  '0f1f8000000000',
  '0f1f840000000000',
  '2e0f1f840000000000',
  '662e0f1f840000000000',
  '66662e0f1f840000000000',
);
/** K8_NOP1 to K8_NOP8, which kernels before 5.13 choose for some processors (arch_init_ideal_nops). */
const k8Nops = hexNops(
  '90',
  '6690',
  '666690',
  '66666690',
  '6666906690',
  '666690666690',
  '66666690666690',
  '6666669066666690',
);

/** How one kernel fills code. */
export interface NopStyle {
  /** By length less 1. */
  readonly nops: readonly Uint8Array[];
  /** What is longer than the longest NOP becomes a jump with breakpoints behind it; else several NOPs. */
  readonly jumps: boolean;
  /** Single NOPs of one byte alone are made longer; else any NOP, and those behind it. */
  readonly singleBytes: boolean;
  /** Moves to the same register and the like are NOPs as well (insn_is_nop of insn-eval.c). */
  readonly wide: boolean;
}

/** The style of a kernel; undefined where what its memory says it has chosen is no list of NOPs. */
export function nopStyleOf(image: Image, state: Pick<X86State, 'version' | 'word'>): NopStyle | undefined {
  const [major, minor] = state.version;
  const isOld = major < 6 || (major === 6 && minor < 4);
  if (!isOld) {
    const wide = image.symbols.globalAddressOf('insn_is_nop') !== undefined;
    return { nops: longNops, jumps: true, singleBytes: false, wide };
  }
  const style = { jumps: false, singleBytes: true, wide: false };
  const { symbols } = image;
  if (symbols.addressOf('ideal_nops') === undefined) return { ...style, nops: longNops.slice(0, 8) };
  const chosen = state.word('ideal_nops');
  if (chosen === undefined) return undefined;
  if (symbols.addressesOf('k8_nops').includes(chosen)) return { ...style, nops: k8Nops };
  if (symbols.addressesOf('p6_nops').includes(chosen)) return { ...style, nops: longNops.slice(0, 8) };
  return undefined;
}

/** The styles that a kernel can choose, whatever its memory says. */
export function nopStyles(image: Image, state: Pick<X86State, 'version'>): readonly NopStyle[] {
  const { symbols } = image;
  const choices = ['p6_nops', 'k8_nops'].flatMap((name) => symbols.addressesOf(name).slice(0, 1));
  const chosen = symbols.addressOf('ideal_nops') === undefined ? [undefined] : choices;
  return chosen.flatMap((word) => nopStyleOf(image, { ...state, word: () => word }) ?? []);
}

/** Fills [from, to) of a buffer. */
export function addNops(style: NopStyle, buffer: Uint8Array, from: number, to: number): void {
  const { nops } = style;
  let at = from;
  if (style.jumps && to - from > nops.length) {
    const length = to - from;
    buffer.fill(INT3, from, to);
    if (length < farthestShort) buffer.set([JMP_REL8, length - 2], from);
    else {
      buffer[from] = JMP_REL32;
      new DataView(buffer.buffer, buffer.byteOffset).setInt32(from + 1, length - 5, true);
    }
    return;
  }
  while (at < to) {
    const nop = nops[Math.min(to - at, nops.length) - 1] as Uint8Array;
    buffer.set(nop, at);
    at += nop.length;
  }
}

/**
 * Makes the NOPs among the first `length` bytes as long as they can be. `code` may go on behind these, as the text does
 * in which older kernels do this. `wrote` is told of each stretch that is written.
 */
export function optimizeNops(
  style: NopStyle,
  code: Uint8Array,
  length: number,
  wrote: (from: number, to: number) => void = () => undefined,
): void {
  for (let at = 0; at < length; ) {
    const size = lengthOf(decodeInstruction(code, at, code.length));
    if (size === 0) return;
    let next = at + size;
    if (style.singleBytes) {
      if (size === 1 && code[at] === NOP) {
        next = at + 1;
        while (next < length && code[next] === NOP) next++;
        if (next - at > 1) {
          addNops(style, code, at, next);
          wrote(at, next);
        }
      }
    } else if (isNop(code, at, style.wide)) {
      if (next === length) return;
      while (next < length && isNop(code, next, style.wide))
        next += lengthOf(decodeInstruction(code, next, code.length));
      addNops(style, code, at, next);
      wrote(at, next);
    }
    at = next;
  }
}

/** Whether the kernel takes the instruction at a place for a NOP (insn_is_nop). */
export function isNop(code: Uint8Array, at: number, wide: boolean): boolean {
  const packed = decodeInstruction(code, at, code.length);
  const size = lengthOf(packed);
  if (size === 0) return false;
  const { opcode, rex, prefixes } = headOf(code, at, at + size);
  const modrm = modrmOf(packed) > 0 ? (code[at + modrmOf(packed)] as number) : 0;
  if (!wide) {
    if (code[opcode] === NOP) return prefixes[0] !== 0xf3;
    return code[opcode] === TWO_BYTE && code[opcode + 1] === 0x1f;
  }
  const [mod, reg, rm] = [modrm >> 6, ((modrm >> 3) & 7) | ((rex & 4) << 1), (modrm & 7) | ((rex & 1) << 3)];
  const isNative = (rex & 8) !== 0;
  switch (code[opcode]) {
    case NOP:
      return (rex & 1) === 0 && !prefixes.includes(0xf3);
    case TWO_BYTE:
      return code[opcode + 1] === 0x1f && reg === 0;
    case 0x89:
      return mod === 3 && isNative && reg === rm;
    case 0x8d: {
      if (mod === 0 || mod === 3 || !isNative || prefixes.some((one) => one !== 0x3e)) return false;
      const hasSib = (modrm & 7) === 4;
      const sib = hasSib ? (code[opcode + 2] as number) : 0x20;
      const base = hasSib ? (sib & 7) | ((rex & 1) << 3) : rm;
      if (hasSib && (sib >> 6 !== 0 || (((sib >> 3) & 7) | ((rex & 2) << 2)) !== 4)) return false;
      const distance = code.subarray(at + size - (mod === 1 ? 1 : 4), at + size);
      return distance.every((byte) => byte === 0) && reg === base;
    }
    case JMP_REL8:
      return code[opcode + 1] === 0;
    case JMP_REL32:
      return size - (opcode - at) === 5 && readS32(code, opcode + 1) === 0;
    default:
      return false;
  }
}

const legacyPrefixes = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** Where the opcode stands behind the prefixes of an instruction; REX counts only right in front of it. */
function headOf(
  code: Uint8Array,
  from: number,
  end: number,
): { readonly opcode: number; readonly rex: number; readonly prefixes: readonly number[] } {
  const prefixes: number[] = [];
  let at = from;
  while (at < end && legacyPrefixes.has(code[at] as number)) prefixes.push(code[at++] as number);
  const first = code[at] as number;
  const rex = first >> 4 === 4 ? first : 0;
  return { opcode: rex !== 0 ? at + 1 : at, rex, prefixes };
}

/** True for bytes that are one of the kernel's NOPs of their length. */
export function isOneNop(style: NopStyle, bytes: Uint8Array): boolean {
  const nop = style.nops[bytes.length - 1];
  return nop !== undefined && sameBytes(nop, bytes);
}
