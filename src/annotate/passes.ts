// The passes of annotate, top to bottom.
import { archOf } from '../arch/registry.ts';
import { withSymbolTable } from '../elf/add-symbol-table.ts';
import { isArchive, readArchive, rewriteArchive } from '../elf/archive.ts';
import { type ElfChange, isEmptyChange } from '../elf/change.ts';
import { ET_REL, SHF_EXECINSTR } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { isBitcode, isElf } from '../elf/magic.ts';
import { readElf } from '../elf/read.ts';
import { rewriteObject } from '../elf/rewrite.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { kinds } from '../kinds/registry.ts';
import { type Found, Search } from '../object/found.ts';
import { ObjectCode } from '../object/object-code.ts';
import { checkResult } from './check.ts';
import { encodeTables } from './encode.ts';
import { type AnnotateOptions, kindsAskedFor, type ObjectCheck } from './options.ts';
import { type AnnotateStats, statsOf } from './stats.ts';
import { type UnitNotes, unitNotesOf } from './unit-notes.ts';

/** An object or an archive, annotated. */
export interface Annotated {
  /** The new file, or undefined when every byte would stay as it is. */
  readonly bytes: Uint8Array | undefined;
  /** One for each object that has code. */
  readonly stats: readonly AnnotateStats[];
}

/**
 * Annotates an object or an archive in memory; nothing is written. Archive members that are no ELF objects stay
 * as they are, but bitcode is refused, which a linker would take; `check` is shown each object that is annotated.
 * Errors: those of reading, `lto-object`, `site-unpatchable`, `site-mismatch`, `key-unaligned`.
 */
export function annotate(
  path: string,
  bytes: Uint8Array,
  options: AnnotateOptions = {},
  check?: ObjectCheck,
): Annotated {
  return isArchive(bytes)
    ? annotateArchive(path, bytes, options, check)
    : annotateObject(path, bytes, options, check);
}

/** Archives in archives that are looked into: no linker does, so there is no need for more. */
const deepest = 8;

/** Annotates the members of an archive, and those of archives in it. */
function annotateArchive(
  path: string,
  bytes: Uint8Array,
  options: AnnotateOptions,
  check: ObjectCheck | undefined,
  depth = 1,
): Annotated {
  return inFile(path, () => {
    if (depth > deepest)
      throw new TextpokeError('archive-malformed', `archives are nested more than ${deepest} deep`);
    const members = readArchive(bytes);
    const contents = new Map<number, Uint8Array>();
    const stats: AnnotateStats[] = [];
    members.forEach((member, i) => {
      const content = bytes.subarray(member.offset, member.offset + member.size);
      const name = `${path}(${member.name})`;
      if (member.special) return;
      let result: Annotated;
      if (isArchive(content)) result = annotateArchive(name, content, options, check, depth + 1);
      else if (isElf(content) || isBitcode(content)) result = annotateObject(name, content, options, check);
      else return;
      for (const one of result.stats) stats.push(one);
      if (result.bytes) contents.set(i, result.bytes);
    });
    return { bytes: contents.size > 0 ? rewriteArchive(bytes, members, contents) : undefined, stats };
  });
}

/** Annotates one object in memory. `path` names it in messages. */
function annotateObject(
  path: string,
  bytes: Uint8Array,
  options: AnnotateOptions,
  check: ObjectCheck | undefined,
): Annotated {
  return inFile(path, () => {
    const read = readElf(path, bytes);
    const arch = archOf(read.header);
    const bytecode = bytecodeOf(read);
    if (bytecode !== undefined && !hasCode(read)) refuseBytecode(bytecode, false);
    const file = read.header.type === ET_REL ? withSymbolTable(read) : read;
    // Stripped of everything, an object may have no symbol table; without code there is nothing to miss.
    if (!file.symtab && file.header.type === ET_REL && !hasCode(file)) return { bytes: undefined, stats: [] };
    const object = new ObjectCode(file, arch);
    const search = new Search(object, options, (of) =>
      kinds.flatMap(({ annotate: row }) => row?.waysOut?.(of) ?? []),
    );
    const asked = kindsAskedFor(options);
    const found = asked.flatMap(({ annotate: row }) => (row ? [row.find(search)] : []));
    // From here on the set of sites is final; what follows only writes it down.
    if (bytecode !== undefined && found.some(hasSites)) refuseBytecode(bytecode, true);
    const isMarked = options.mark === true && bytecode === undefined;
    const change = changeFor(object, found, unitNotesOf(search, found, asked, isMarked), options);
    const result = isEmptyChange(change) ? undefined : rewriteObject(file, change);
    const annotated = result
      ? checkResult(path, result, found, { file, inFront: change.groups.length })
      : object;
    check?.(annotated);
    return { bytes: result, stats: [statsOf(object, found, options)] };
  });
}

function hasCode(file: ElfFile): boolean {
  return file.sections.some((s) => (s.flags & SHF_EXECINSTR) !== 0 && s.size > 0);
}

function hasSites({ entries, listed }: Found): boolean {
  return entries.length > 0 || listed.some(({ entries: old }) => old.length > 0);
}

/** Whose bytecode an object holds from which a linker would compile its code again; undefined without any. */
function bytecodeOf({ sections }: ElfFile): 'GCC' | 'LLVM' | undefined {
  if (sections.some(({ name }) => name.startsWith('.gnu.lto_'))) return 'GCC';
  return sections.some(({ name }) => name === '.llvm.lto') ? 'LLVM' : undefined;
}

/** Throws `lto-object`: what is annotated would not be what is linked, or there is nothing to annotate yet. */
function refuseBytecode(of: 'GCC' | 'LLVM', hasMachineCode: boolean): never {
  const relocatable = of === 'GCC' ? 'gcc -flto -r -flinker-output=nolto-rel' : 'ld.lld -r';
  const section = of === 'GCC' ? '.gnu.lto_*' : '.llvm.lto';
  throw new TextpokeError(
    'lto-object',
    hasMachineCode
      ? `the object holds ${of} LTO bytecode beside its machine code, and a linker that takes the bytecode compiles ` +
          `the code again, without the tables; compile with -fno-lto, annotate the output of ${relocatable}, ` +
          `or remove the bytecode (objcopy -R '${section}')`
      : `the object holds ${of} LTO bytecode and no machine code; link it first (${relocatable}) or compile without -flto`,
  );
}

/** All that is to change in the object. */
function changeFor(
  object: ObjectCode,
  found: readonly Found[],
  { notes, patches }: UnitNotes,
  { module }: AnnotateOptions,
): ElfChange {
  const entries = found.flatMap((of) => of.entries);
  return {
    ...encodeTables(object, entries, notes, module !== true),
    patches: [...found.flatMap(({ change }) => change?.patches ?? []), ...patches],
    retyped: found.flatMap(({ change }) => change?.retyped ?? []),
    realigned: found.flatMap(({ change }) => change?.realigned ?? []),
  };
}
