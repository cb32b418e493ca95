// Finds barriers between CPUs: dmb of the inner shareable domain (ish, ishst, ishld), which one CPU does not need.
// Never dmb sy, osh or nsh, dsb or isb: those order more than the CPUs of one program.
import { instructionSetsOf } from '../../arch/arch.ts';
import { barrierAt } from '../../arch/barriers.ts';
import { type Found, type NewEntry, type Search, sitesOf } from '../../object/found.ts';
import type { CodeSection, ObjectCode } from '../../object/object-code.ts';
import { readObjectTable } from '../../object/tables.ts';
import { smpBarriers } from './table.ts';

/** Finds the barriers that no entry lists yet, but for those that are marked to be kept (lock.h). */
export function findBarriers(search: Search): Found {
  const { object } = search;
  const listed = readObjectTable(object, smpBarriers);
  const known = sitesOf(listed);
  const entries: NewEntry[] = [];
  for (const code of object.siteSections) {
    const section = code.section.index;
    for (const offset of barriersOf(object, code, search.markersIn(code).keptLocks)) {
      const site = { section, offset };
      if (!known.has(site)) entries.push({ row: smpBarriers, site, more: [] });
    }
  }
  return { entries, listed: [{ row: smpBarriers, entries: listed }] };
}

/**
 * Section-relative places of the barriers of one code section, ascending; those in `kept` carry the marker that
 * keeps them (lock.h).
 */
function barriersOf(object: ObjectCode, code: CodeSection, kept: ReadonlySet<number>): number[] {
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
