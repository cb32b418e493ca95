// Finds static call sites: direct branches to `__SCT__` trampolines, as objtool's --static-call does
// (tools/objtool/check.c, add_call_destinations and create_static_call_sections).
import type { BranchKind, CallKind } from '../../arch/arch.ts';
import { isAllData } from '../../arch/code-map.ts';
import { placeOf } from '../../arch/code-pointer.ts';
import { keyNameOf, trampolineSection } from '../../bytes/static-call-names.ts';
import { TextpokeError } from '../../errors.ts';
import {
  type FieldTarget,
  type Found,
  type ListingRules,
  type NewEntry,
  type Search,
  sitesOf,
} from '../../object/found.ts';
import type { CodeSection, ObjectCode } from '../../object/object-code.ts';
import { readObjectTable } from '../../object/tables.ts';
import { Trampolines } from '../../object/trampolines.ts';
import { callTail, staticCallSites } from './table.ts';

export interface TrampolineBranch {
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
 * Finds the branches to trampolines that no entry lists yet. Error `site-unpatchable`: a branch to a trampoline is too
 * short to be patched, or conditional where such a branch cannot be one, or its return address is used.
 */
export function findStaticCalls({ object, rules }: Search): Found {
  const listed = readObjectTable(object, staticCallSites);
  const known = sitesOf(listed);
  const trampolines = new Trampolines(object);
  const entries: NewEntry[] = [];
  const sections = new Map(object.siteSections.map((code) => [code.section.index, code]));
  for (const site of branchesToTrampolines(object, trampolines)) {
    requireNoReturnAddress(object, sections.get(site.section) as CodeSection, site);
    if (known.has(site)) continue;
    entries.push({ row: staticCallSites, site, more: [keyOfCall(object, rules, trampolines, site)] });
  }
  return { entries, listed: [{ row: staticCallSites, entries: listed }] };
}

/** A call of NULL or RET0 is patched away and leaves no return address. Error `site-unpatchable`. */
function requireNoReturnAddress(
  object: ObjectCode,
  code: CodeSection,
  { section, offset, kind }: TrampolineBranch,
): void {
  const { readsReturnAddress } = object.arch;
  if (kind !== 'call' || !readsReturnAddress) return;
  const { size } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
  if (!readsReturnAddress(code.code, offset + size)) return;
  throw new TextpokeError(
    'site-unpatchable',
    `${object.describe(section, offset)}: the code behind the static call checks the return address of the call below ` +
      'the stack pointer (speculative load hardening), but a call that is patched to NULL or RET0 leaves none; ' +
      'compile without -mspeculative-load-hardening',
    { section: code.section.name, offset },
  );
}

/** The key's symbol; a missing one is to be added, or (kernel modules) represented by the trampoline. */
function keyOfCall(
  { symbols }: ObjectCode,
  { module }: ListingRules,
  trampolines: Trampolines,
  site: TrampolineBranch,
): FieldTarget {
  const offset = site.kind === 'call' ? 0 : callTail;
  const symbol = trampolines.keyOf(site.trampoline);
  if (symbol !== undefined) return { symbol, offset };
  if (module) return { symbol: site.trampoline, offset };
  return { undefinedName: keyNameOf(symbols.name(site.trampoline)), offset };
}

/** Every branch of an object to a trampoline, by section and offset. */
export function branchesToTrampolines(object: ObjectCode, trampolines: Trampolines): TrampolineBranch[] {
  if (trampolines.count === 0) return [];
  const sites: TrampolineBranch[] = [];
  for (const code of object.siteSections) {
    if (code.section.name === trampolineSection) continue;
    const found = new Map<number, TrampolineBranch>();
    collectRelocated(object, trampolines, code, found);
    if (trampolines.sections.has(code.section.index)) collectResolved(object, trampolines, code, found);
    for (const site of [...found.values()].sort((a, b) => a.offset - b.offset)) sites.push(site);
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
  found: Map<number, TrampolineBranch>,
): void {
  const map = object.codeMap(code.section);
  for (const relocations of code.relocations) {
    for (let i = 0; i < relocations.count; i++) {
      const symbol = relocations.symbol[i] as number;
      if (!trampolines.mayReach(symbol)) continue;
      const place = relocations.offset[i] as number;
      const branch = object.arch.branchOfRelocation(relocations.type[i] as number, code.code, place);
      if (!branch) continue;
      const trampoline = trampolines.at(symbol, (relocations.addend[i] as number) + branch.bias);
      // The relocation alone is proof, whatever a sweep makes of the bytes in front of the branch; but not in data.
      if (trampoline === undefined || isAllData(map, branch.offset, branch.size)) continue;
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
  found: Map<number, TrampolineBranch>,
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
