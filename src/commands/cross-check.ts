// annotate --cross-check: our encodings against keystone once, and every listed instruction against capstone.
import type { Arch } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { architectures } from '../arch/registry.ts';
import {
  type CheckedInstruction,
  type CrossCheck,
  crossCheckEncodings,
  type Intent,
} from '../engines/cross-check.ts';
import { kinds } from '../kinds/registry.ts';
import type { CodeSection, ObjectCode, Place } from '../object/object-code.ts';
import { readObjectTable } from '../object/tables.ts';

/** Longest instruction on any machine, in bytes. */
const longest = 15;

/** Loads both engines and checks the encodings of every machine; the result checks one object after another. */
export async function makeCrossCheck(): Promise<(annotated: ObjectCode) => void> {
  const checks = new Map<Arch, CrossCheck>();
  for (const { arch } of architectures)
    if (!checks.has(arch)) checks.set(arch, await crossCheckEncodings(arch));
  return (object) => checks.get(object.arch)?.instructions(listedInstructions(object));
}

/** What stands at every listed site, and what it is meant to be. */
function listedInstructions(object: ObjectCode): CheckedInstruction[] {
  const sections = new Map(object.codeSections.map((code) => [code.section.index, code]));
  const at = (
    place: Place | undefined,
    intentOf: (code: CodeSection, offset: number) => Intent | undefined,
  ) => {
    const code = place && sections.get(place.section);
    const intent = code && intentOf(code, place.offset);
    if (!intent) return [];
    const bytes = code.code.subarray(place.offset, place.offset + longest);
    const instructions = object.instructionsAt(code, place.offset);
    const { size } = instructions.readInstruction(bytes, 0, place.offset);
    const shown = intent.kind === 'lock' ? bytes : bytes.subarray(0, size); // capstone finds a lock's end itself
    const name = object.describe(place.section, place.offset);
    return [{ instructions, address: place.offset, bytes: shown, intent, name }];
  };
  const branchIntent = (code: CodeSection, offset: number): Intent | undefined => {
    const { kind, displacement } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
    switch (kind) {
      case 'call':
      case 'jump':
      case 'conditional jump':
        return { kind, target: placeOf(object.arch, offset + displacement) };
      case 'other':
        return undefined;
      default:
        return { kind };
    }
  };
  // A prefix is no instruction alone.
  const isLock = (code: CodeSection, offset: number) => code.code[offset] === object.arch.lockPrefix?.lock;
  const intentOf = (code: CodeSection, offset: number): Intent | undefined =>
    isLock(code, offset) ? { kind: 'lock' } : branchIntent(code, offset);
  return kinds
    .filter(({ annotate }) => annotate)
    .flatMap(({ table }) => readObjectTable(object, table))
    .flatMap(({ fields: [site] }) => at(site, intentOf));
}
