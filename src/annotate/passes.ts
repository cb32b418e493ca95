// The passes of annotate, top to bottom.
import { archOf } from '../arch/registry.ts';
import { withSymbolTable } from '../elf/add-symbol-table.ts';
import { isArchive, readArchive, rewriteArchive } from '../elf/archive.ts';
import { type ElfChange, isEmptyChange } from '../elf/change.ts';
import { ET_REL, SHF_EXECINSTR } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { isElf } from '../elf/magic.ts';
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
 * as they are; `check` is shown each object that is annotated. Errors: those of reading, `site-unpatchable`,
 * `site-mismatch`, `key-unaligned`.
 */
export function annotate(
  path: string,
  bytes: Uint8Array,
  options: AnnotateOptions = {},
  check?: ObjectCheck,
): Annotated {
  if (!isArchive(bytes)) return annotateObject(path, bytes, options, check);
  return inFile(path, () => {
    const members = readArchive(bytes);
    const contents = new Map<number, Uint8Array>();
    const stats: AnnotateStats[] = [];
    members.forEach((member, i) => {
      const content = bytes.subarray(member.offset, member.offset + member.size);
      if (member.special || !isElf(content)) return;
      const result = annotateObject(`${path}(${member.name})`, content, options, check);
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
    refuseSlimLto(read);
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
    const change = changeFor(
      object,
      found,
      unitNotesOf(search, found, asked, options.mark === true),
      options,
    );
    const result = isEmptyChange(change) ? undefined : rewriteObject(file, change);
    const annotated = result ? checkResult(path, result, found, change.groups.length) : object;
    check?.(annotated);
    return { bytes: result, stats: [statsOf(object, found, options)] };
  });
}

function hasCode(file: ElfFile): boolean {
  return file.sections.some((s) => (s.flags & SHF_EXECINSTR) !== 0 && s.size > 0);
}

/** Slim GCC LTO objects are ELF files without machine code. */
function refuseSlimLto(file: ElfFile): void {
  if (!hasCode(file) && file.sections.some((s) => s.name.startsWith('.gnu.lto_'))) {
    throw new TextpokeError(
      'lto-object',
      'the object holds GCC LTO bytecode and no machine code; link it first (gcc -flto -r -flinker-output=nolto-rel) ' +
        'or compile with -ffat-lto-objects or without -flto',
    );
  }
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
