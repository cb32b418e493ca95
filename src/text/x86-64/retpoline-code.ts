// What a call or jump through a retpoline thunk becomes where the processor needs no retpoline (arch/x86/kernel/alternative.c,
// patch_retpoline and emit_indirect). Kernels fill the room that is left in three ways.
import { csPrefix, int3, jumpOpcode, setS32 } from './branches.ts';

/**
 * How what is longer than the indirect branch is filled: `nops` (5.10): by a NOP. `int3` (6.1): behind a jump first an
 * int3, then a NOP. `filled` (6.18): in front of a call CS prefixes, behind a jump int3 alone.
 */
export type RetpolineForm = 'nops' | 'int3' | 'filled';
export const retpolineForms: readonly RetpolineForm[] = ['nops', 'int3', 'filled'];

/** The branch that a site has. */
export interface RetpolineSite {
  /** e8, e9, or 80 to 8f. */
  readonly opcode: number;
  readonly isConditional: boolean;
  /** Bytes of the whole instruction. */
  readonly length: number;
  /** Number of the register that the thunk jumps to. */
  readonly register: number;
}

const lfence = [0x0f, 0xae, 0xe8] as const;
/** Up to so many prefixes stand in front of a call; more would be slower to decode than a NOP. */
const mostPrefixes = 3;

/** Bytes in front of the indirect branch itself: the jump over it, and the fence. */
export function indirectOffset({ isConditional }: RetpolineSite, fenced: boolean): number {
  return (isConditional ? 2 : 0) + (fenced ? lfence.length : 0);
}

/** Bytes of `call *%reg` or `jmp *%reg`. */
const indirectSize = (register: number): number => (register < 8 ? 2 : 3);

/**
 * The indirect branch in place of a site; undefined where it has no room, so that the kernel leaves the site as it is.
 * `fenced`: behind lfence (RETPOLINE_LFENCE). `nops`: those of the kernel, by their length less 1.
 */
export function indirectBranch(
  site: RetpolineSite,
  fenced: boolean,
  form: RetpolineForm,
  nops: readonly Uint8Array[],
): Uint8Array | undefined {
  const { opcode, isConditional, length, register } = site;
  const isJump = isConditional || opcode === jumpOpcode;
  const size = indirectSize(register);
  const room = length - indirectOffset(site, fenced) - size;
  if (room < 0) return undefined;
  const prefixes = form === 'filled' && !isJump && room <= mostPrefixes ? room : 0;
  const traps = !isJump || form === 'nops' ? 0 : form === 'filled' ? room : Math.min(room, 1);
  return Uint8Array.of(
    ...(isConditional ? [0x70 + ((opcode & 0xf) ^ 1), length - 2] : []),
    ...(fenced ? lfence : []),
    ...Array<number>(prefixes).fill(csPrefix),
    ...(register >= 8 ? [0x41] : []),
    0xff,
    (isJump ? 0xe0 : 0xd0) + (register & 7),
    ...Array<number>(traps).fill(int3),
    ...(nops[room - prefixes - traps - 1] ?? []),
  );
}

/** The branch to another thunk in place of a site (__emit_trampoline); undefined where the kernel would leave the site. */
export function thunkBranch(
  { opcode, isConditional, length }: RetpolineSite,
  address: number,
  target: number,
): Uint8Array | undefined {
  const size = isConditional || length === 6 ? 6 : 5;
  const distance = target - (address + size);
  if (size !== length || distance !== (distance | 0)) return undefined;
  const bytes = new Uint8Array(size);
  if (size === 6) bytes[0] = isConditional ? 0x0f : csPrefix;
  bytes[size - 5] = opcode;
  setS32(bytes, size - 4, distance);
  return bytes;
}
