// Finds barriers between CPUs: dmb of the inner shareable domain (ish, ishst, ishld), which one CPU does not need.
// Never dmb sy, osh or nsh, dsb or isb: those order more than the CPUs of one program.
import { type InstructionSet, instructionSetsOf } from '../arch/arch.ts';
import { sameBytes } from '../bytes/integer.ts';
import type { CodeSection, ObjectCode } from './object-code.ts';

/** The form of the barrier that `code` has at `offset`, or of the NOP that stands for one. */
export function barrierAt(
  { smpBarriers }: InstructionSet,
  code: Uint8Array,
  offset: number,
): InstructionSet['smpBarriers'][number] | undefined {
  return smpBarriers.find(
    ({ barrier, nop }) =>
      sameBytes(code.subarray(offset, offset + barrier.length), barrier) ||
      sameBytes(code.subarray(offset, offset + nop.length), nop),
  );
}

/**
 * Section-relative places of the barriers of one code section, ascending; those in `kept` carry the marker that
 * keeps them (lock.h).
 */
export function findBarriers(object: ObjectCode, code: CodeSection, kept: ReadonlySet<number>): number[] {
  const sets = instructionSetsOf(object.arch);
  const firstBytes = new Set(sets.flatMap((set) => set.smpBarriers.map(({ barrier }) => barrier[0])));
  if (firstBytes.size === 0) return [];
  const found: number[] = [];
  for (let offset = 0; offset + 4 <= code.code.length; offset += 2) {
    if (!firstBytes.has(code.code[offset]) || kept.has(offset)) continue;
    const instructions = object.instructionsAt(code, offset);
    const form = barrierAt(instructions, code.code, offset);
    if (!form || form.barrier[0] !== code.code[offset]) continue;
    if (object.isInstructionStart(code, offset)) found.push(offset);
  }
  return found;
}
