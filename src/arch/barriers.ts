// Barriers between CPUs: dmb of the inner shareable domain, and the NOP that stands for each on one CPU.
import { sameBytes } from '../bytes/integer.ts';
import type { InstructionSet, SmpBarrier } from './arch.ts';

/** Options of dmb that order the CPUs of one inner shareable domain, by CRm (Arm ARM, "DMB"). */
const innerShareable = { ishld: 9, ishst: 10, ish: 11 } as const;

/**
 * The barriers of an instruction set by their encodings. Each NOP moves the register of the option's number to
 * itself, so that what it stands for can be put back.
 */
export function dmbBarriers(
  barrierOf: (option: number) => Uint8Array,
  moveToItself: (register: number) => Uint8Array,
): SmpBarrier[] {
  return Object.entries(innerShareable).map(([name, option]) => ({
    name: `dmb ${name}`,
    barrier: barrierOf(option),
    nop: moveToItself(option),
  }));
}

/** The form of the barrier that `code` has at `offset`, or of the NOP that stands for one. */
export function barrierAt(
  { smpBarriers }: InstructionSet,
  code: Uint8Array,
  offset: number,
): SmpBarrier | undefined {
  return smpBarriers.find(
    ({ barrier, nop }) =>
      sameBytes(code.subarray(offset, offset + barrier.length), barrier) ||
      sameBytes(code.subarray(offset, offset + nop.length), nop),
  );
}
