// Finds static branches: entries that the compiler wrote (the kernel's asm goto), each checked, their build-time jumps
// rewritten as objtool's --hacks=jump_label does (tools/objtool/check.c, handle_jump_alt), and those that markers ask
// for.
import { hex, hexBytes, largestOf } from '../../bytes/integer.ts';
import { entryLayout, splitKey } from '../../bytes/table.ts';
import type { ElfChange } from '../../elf/change.ts';
import { SHF_EXECINSTR } from '../../elf/constants.ts';
import { TextpokeError } from '../../errors.ts';
import { fieldOfBranch, targetOfBranch } from '../../object/branches.ts';
import {
  type Found,
  type NewEntry,
  PlaceSet,
  type Search,
  sitesOf,
  type WayOut,
} from '../../object/found.ts';
import type { BranchMarker } from '../../object/markers.ts';
import {
  type CodeSection,
  type FieldRelocation,
  isSamePlace,
  type ObjectCode,
  type Place,
} from '../../object/object-code.ts';
import { type ObjectEntry, readObjectTable } from '../../object/tables.ts';
import { jumpBit1, jumpBranch, jumpTable } from './table.ts';

interface JumpEntry {
  readonly entry: ObjectEntry;
  readonly code: Place;
  readonly target: Place;
  readonly bit1: boolean;
}

function asJumpEntry(entry: ObjectEntry): JumpEntry {
  const [code, target, key] = entry.fields as [Place, Place, Place];
  return { entry, code, target, bit1: (splitKey(key.offset).flags & jumpBit1) !== 0 };
}

/**
 * Checks the entries that are there, rewrites their build-time jumps, and lists marked branches without entry. Errors:
 * `site-mismatch`, `table-malformed`, `key-unaligned`.
 */
export function findStaticBranches(search: Search): Found {
  const { object, rules } = search;
  const listed = readObjectTable(object, jumpTable);
  const old = listed.map(asJumpEntry);
  const checked = checkJumpEntries(object, old, markedPlaces(search));
  const isAbsolute = listed[0]?.absolute === true;
  const relative = isAbsolute && rules.relative ? makeRelative(object, old) : { retyped: [], realigned: [] };
  const known = sitesOf(listed);
  const entries: NewEntry[] = [];
  for (const code of object.siteSections) {
    for (const marker of search.markersIn(code).branches) {
      if (known.has({ section: code.section.index, offset: marker.offset })) continue;
      if (isAbsolute && !rules.relative) {
        throw new TextpokeError(
          'table-malformed',
          'the object has absolute jump entries, and one table cannot mix absolute and relative entries; ' +
            'annotate --relative makes all entries relative',
          { section: jumpTable.name },
        );
      }
      entries.push(entryOfMarker(object, code, marker));
    }
  }
  return {
    entries,
    listed: [{ row: jumpTable, entries: listed }],
    change: {
      patches: checked.patches,
      retyped: [...checked.retyped, ...relative.retyped],
      realigned: relative.realigned,
    },
    counts: {
      rewrittenJumps: checked.patches.length,
      madeRelative: isAbsolute && rules.relative ? listed.length : 0,
    },
  };
}

/** Where the static branches of an object lead: those of entries, and those of markers. */
export function findWaysOut(search: Search): WayOut[] {
  const listed = readObjectTable(search.object, jumpTable, () => {}).map(asJumpEntry);
  const marked = search.object.siteSections.flatMap((code) =>
    search.markersIn(code).branches.map(({ offset, target }) => ({
      site: { section: code.section.index, offset },
      target,
    })),
  );
  return [...listed.map(({ code, target }) => ({ site: code, target })), ...marked];
}

/** The sites that markers name. */
function markedPlaces(search: Search): PlaceSet {
  return new PlaceSet(
    search.object.siteSections.flatMap((code) =>
      search.markersIn(code).branches.map(({ offset }) => ({ section: code.section.index, offset })),
    ),
  );
}

/** Where the jump at `offset` goes; undefined for other instructions. */
function jumpTarget(object: ObjectCode, code: CodeSection, offset: number): Place | undefined {
  const { kind } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
  return kind === 'jump' ? targetOfBranch(object, code, offset) : undefined;
}

function requireBranchSite(
  object: ObjectCode,
  code: CodeSection,
  offset: number,
  target: Place,
  isMarked: boolean,
): 'nop' | 'jump' {
  const where = { section: code.section.name, offset };
  const name = () => object.describe(code.section.index, offset);
  const { branchSizes, readInstruction } = object.instructionsAt(code, offset);
  const instruction = readInstruction(code.code, offset);
  // A marker is proof: the assembler put it in front of the instruction that the header's macro writes.
  if (!isMarked && !object.isInstructionStart(code, offset)) {
    throw new TextpokeError(
      'site-mismatch',
      `${name()}: a static branch site is inside an instruction`,
      where,
    );
  }
  if (instruction.kind === 'nop') return 'nop';
  const goes = jumpTarget(object, code, offset);
  if (!goes) {
    throw new TextpokeError(
      'site-mismatch',
      `${name()}: found ${hexBytes(code.code.subarray(offset, offset + largestOf(branchSizes)))}; a static branch site must hold a NOP or a jump of ${branchSizes.join(' or ')} bytes`,
      where,
    );
  }
  if (!isSamePlace(goes, target)) {
    throw new TextpokeError(
      'site-mismatch',
      `${name()}: the jump goes to ${object.describePlace(goes)}, but its entry names ${object.describePlace(target)}`,
      where,
    );
  }
  return 'jump';
}

/**
 * Throws `elf-malformed` for a marker's target outside its section, as a section symbol with a value can make it. A
 * label behind the last instruction is one of the section's.
 */
function requireTarget(object: ObjectCode, target: Place, where: { section: string; offset: number }): void {
  const section = object.file.sections[target.section];
  if (section && target.offset >= 0 && target.offset <= section.size) return;
  throw new TextpokeError(
    'elf-malformed',
    `the marker of the static branch leads to ${section?.name}+${hex(target.offset)}, outside the ${section?.size} bytes of the section; a label of the code is required`,
    where,
  );
}

/** Throws `key-unaligned` when flag bits would fall on address bits. */
function requireAlignedKey(object: ObjectCode, key: Place, where: { section: string; offset: number }): void {
  if (key.offset % 4 !== 0) {
    throw new TextpokeError(
      'key-unaligned',
      `the key ${object.describePlace(key)} is not aligned to 4 bytes, but the low two bits of its field are flags`,
      where,
    );
  }
}

type Rewritten = Pick<ElfChange, 'patches' | 'retyped'>;

/**
 * Checks every existing jump entry and plans the rewrite of build-time jumps (bit 1) to NOPs of their own size.
 * Bit 1 stays, as objtool leaves it: boot code overwrites it. Errors: `site-mismatch`, `table-malformed`.
 */
function checkJumpEntries(object: ObjectCode, entries: readonly JumpEntry[], marked: PlaceSet): Rewritten {
  const patches: { section: number; offset: number; bytes: Uint8Array }[] = [];
  const retyped: ElfChange['retyped'][number][] = [];
  const bySection = new Map(object.codeSections.map((code) => [code.section.index, code]));
  for (const { entry, code: site, target, bit1 } of entries) {
    const code = bySection.get(site.section);
    if (!code || site.offset < 0 || site.offset >= code.code.length) {
      throw new TextpokeError(
        'table-malformed',
        `entry ${entry.index} names ${object.describePlace(site)}, which is not code of this object`,
        { section: entry.section.name, offset: entry.offset },
      );
    }
    const to = object.file.sections[target.section];
    const isCode = to && (to.flags & SHF_EXECINSTR) !== 0;
    if (!isCode || target.offset < 0 || target.offset > to.size) {
      throw new TextpokeError(
        'table-malformed',
        `entry ${entry.index} jumps to ${object.describePlace(target)}, which is not code of this object`,
        { section: entry.section.name, offset: entry.offset },
      );
    }
    const found = requireBranchSite(object, code, site.offset, target, marked.has(site));
    if (!bit1 || found === 'nop') continue;
    const instructions = object.instructionsAt(code, site.offset);
    const { size } = instructions.readInstruction(code.code, site.offset);
    patches.push({ section: site.section, offset: site.offset, bytes: instructions.nop(size) });
    const field = fieldOfBranch(object, code, site.offset, size);
    // As objtool does: the jump's displacement must not be written over the NOP again.
    const type = object.arch.relocations.none;
    if (field) retyped.push({ section: field.relocations.section, index: field.index, type });
  }
  return { patches, retyped };
}

/** The table entry that a marker asks for. Errors: `site-mismatch`, `table-malformed`, `key-unaligned`. */
function entryOfMarker(object: ObjectCode, code: CodeSection, marker: BranchMarker): NewEntry {
  requireBranchSite(object, code, marker.offset, marker.target, true);
  requireTarget(object, marker.target, { section: code.section.name, offset: marker.offset });
  requireAlignedKey(object, marker.key, { section: code.section.name, offset: marker.offset });
  return {
    row: jumpTable,
    site: { section: code.section.index, offset: marker.offset },
    more: [
      { section: marker.target.section, offset: marker.target.offset },
      {
        symbol: marker.key.symbol,
        offset: addendOf(object, marker.key) + (marker.likely ? jumpBranch : 0),
      },
    ],
  };
}

/**
 * Makes absolute entries PC-relative ones. Their addends stand in the fields and stay: S + A becomes S + A - P.
 * Error `table-malformed` for a field named by a Thumb function's symbol, which would put the Thumb bit into a place.
 */
function makeRelative(
  object: ObjectCode,
  entries: readonly JumpEntry[],
): Pick<ElfChange, 'retyped' | 'realigned'> {
  const retyped: ElfChange['retyped'][number][] = [];
  const sections = new Set<number>();
  for (const { entry } of entries) {
    sections.add(entry.section.index);
    const fields = object.fieldRelocations(entry.section.index);
    for (const { offset, name } of entryLayout(jumpTable, object.arch.wordSize).fields) {
      const { relocations, index } = fields.get(entry.offset + offset) as FieldRelocation;
      const symbol = relocations.symbol[index] as number;
      if (object.placeOfSymbol(symbol) !== object.symbols.value[symbol]) {
        throw new TextpokeError(
          'table-malformed',
          `field ${name} of entry ${entry.index} names the Thumb function ${object.symbolName(symbol)}; a relative entry must name the section of the function`,
          { section: entry.section.name, offset: entry.offset + offset },
        );
      }
      retyped.push({ section: relocations.section, index, type: object.arch.relocations.place32 });
    }
  }
  return { retyped, realigned: [...sections].map((section) => ({ section, addralign: 4 })) };
}

/** The addend that names `place` through the symbol it was named by. */
function addendOf(object: ObjectCode, place: Place): number {
  return place.section === 0 ? place.offset : place.offset - object.placeOfSymbol(place.symbol);
}
