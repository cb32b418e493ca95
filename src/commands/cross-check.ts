// annotate --cross-check: our encodings for the machines at hand against keystone once, and every listed instruction
// against capstone.
import type { ObjectCheck } from '../annotate/options.ts';
import type { Arch } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { architectures, archOf } from '../arch/registry.ts';
import { isArchive, readArchive } from '../elf/archive.ts';
import { readElf } from '../elf/read.ts';
import {
  type CheckedInstruction,
  type CrossCheck,
  crossCheckEncodings,
  type Intent,
} from '../engines/cross-check.ts';
import { TextpokeError } from '../errors.ts';
import { readInput } from '../files/input.ts';
import { isOpenStream } from '../files/stream.ts';
import { kinds } from '../kinds/registry.ts';
import type { CodeSection, ObjectCode, Place } from '../object/object-code.ts';
import { readObjectTable } from '../object/tables.ts';

/** Longest instruction on any machine, in bytes. */
const longest = 15;

/**
 * Loads both engines for the machines of `files` and checks the encodings of each; the result checks one object of
 * theirs after another. Errors: `defect`, `machine-unsupported`.
 */
export async function makeCrossCheck(files: readonly string[]): Promise<ObjectCheck> {
  const checks = new Map<Arch, CrossCheck>();
  for (const arch of new Set(files.flatMap(machinesOf))) checks.set(arch, await crossCheckEncodings(arch));
  return (object) => {
    const check = checks.get(object.arch);
    if (!check) throw new TextpokeError('defect', `${object.arch.name} was not cross-checked at the start`);
    check.instructions(listedInstructions(object));
  };
}

/** The machines of a file's objects; what cannot be read has none, and annotate will say why. */
function machinesOf(path: string): Arch[] {
  // A pipe can be read only once.
  if (isOpenStream(path)) return architectures.map(({ arch }) => arch);
  return unlessRefused(() => {
    const bytes = readInput(path);
    if (!isArchive(bytes)) return [machineOf(path, bytes)];
    return readArchive(bytes)
      .filter(({ special }) => !special)
      .map(({ offset, size }) => bytes.subarray(offset, offset + size))
      .flatMap((member) => unlessRefused(() => [machineOf(path, member)]));
  });
}

const machineOf = (path: string, bytes: Uint8Array): Arch => archOf(readElf(path, bytes).header);

function unlessRefused<T>(body: () => T[]): T[] {
  try {
    return body();
  } catch (error) {
    if (error instanceof TextpokeError) return [];
    throw error;
  }
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
