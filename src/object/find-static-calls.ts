// Finds static call sites: direct branches to `__SCT__` trampolines, as objtool's --static-call does
// (tools/objtool/check.c, add_call_destinations and create_static_call_sections).
import type { BranchKind, CallKind } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { trampolineSection } from '../bytes/static-call-names.ts';
import { TextpokeError } from '../errors.ts';
import type { CodeSection, ObjectCode } from './object-code.ts';
import type { Trampolines } from './trampolines.ts';

export interface StaticCallSite {
  /** Code section and section-relative byte offset of the branch instruction. */
  readonly section: number;
  readonly offset: number;
  readonly kind: CallKind;
  /** Symbol number of the trampoline. */
  readonly trampoline: number;
}

const callKinds: Readonly<Record<BranchKind, CallKind>> = {
  call: 'call',
  jump: 'tail',
  'conditional jump': 'conditional tail',
};

/**
 * Every static call site of an object, by section and offset. Error `site-unpatchable`: a branch to a
 * trampoline is too short to be patched, or conditional where such a branch cannot be one.
 */
export function findStaticCalls(object: ObjectCode, trampolines: Trampolines): StaticCallSite[] {
  if (trampolines.count === 0) return [];
  const sites: StaticCallSite[] = [];
  for (const code of object.siteSections) {
    if (code.section.name === trampolineSection) continue; // a trampoline's own jump is no site
    const found = new Map<number, StaticCallSite>();
    collectRelocated(object, trampolines, code, found);
    if (trampolines.sections.has(code.section.index)) collectResolved(object, trampolines, code, found);
    sites.push(...[...found.values()].sort((a, b) => a.offset - b.offset));
  }
  return sites;
}

function refuseShort(object: ObjectCode, code: CodeSection, offset: number, trampoline: number): never {
  throw new TextpokeError(
    'site-unpatchable',
    `${object.describe(code.section.index, offset)}: the branch to ${object.symbols.name(trampoline)} ` +
      object.instructionsAt(code, offset).explainShort(code.code, offset),
    { section: code.section.name, offset },
  );
}

function collectRelocated(
  object: ObjectCode,
  trampolines: Trampolines,
  code: CodeSection,
  found: Map<number, StaticCallSite>,
): void {
  for (const relocations of code.relocations) {
    for (let i = 0; i < relocations.count; i++) {
      const symbol = relocations.symbol[i] as number;
      if (!trampolines.mayReach(symbol)) continue;
      const place = relocations.offset[i] as number;
      const branch = object.arch.branchOfRelocation(relocations.type[i] as number, code.code, place);
      if (!branch) continue;
      const trampoline = trampolines.at(symbol, (relocations.addend[i] as number) + branch.bias);
      if (trampoline === undefined || !object.isBranchStart(code, branch.offset)) continue;
      if (branch.short) refuseShort(object, code, branch.offset, trampoline);
      found.set(branch.offset, {
        section: code.section.index,
        offset: branch.offset,
        kind: callKinds[branch.kind],
        trampoline,
      });
    }
  }
}

/** Branches within one section carry no relocation once the assembler has resolved them. */
function collectResolved(
  object: ObjectCode,
  trampolines: Trampolines,
  code: CodeSection,
  found: Map<number, StaticCallSite>,
): void {
  const section = code.section.index;
  const relocated = object.fieldRelocations(section);
  object.arch.forEachBranch(code.code, object.codeMap(code.section), (offset, target, kind, short) => {
    if (found.has(offset)) return;
    const trampoline = trampolines.inSection(section, placeOf(object.arch, target));
    if (trampoline === undefined) return;
    const { size } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
    for (let at = offset; at < offset + size; at++) {
      if (relocated.has(at)) return; // what stands in the field means nothing yet
    }
    // A trampoline's own jump may lead to the next trampoline; it still is no site.
    if (trampolines.inSection(section, offset) !== undefined) return;
    if (short) refuseShort(object, code, offset, trampoline);
    found.set(offset, { section, offset, kind: callKinds[kind], trampoline });
  });
}
