// Jump entries as they enter a table: those that the compiler wrote (the kernel's asm goto), each checked, their
// build-time jumps rewritten as objtool's --hacks=jump_label does (tools/objtool/check.c, handle_jump_alt), and
// those that markers ask for.

import type { FieldTarget, NewEntry } from '../annotate/encode.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { hex, hexBytes } from '../bytes/integer.ts';
import { entryLayout, jumpBit1, jumpBranch, jumpTable } from '../bytes/schema.ts';
import type { ElfChange } from '../elf/change.ts';
import { SHF_EXECINSTR } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { BranchMarker } from './markers.ts';
import type { CodeSection, FieldRelocation, ObjectCode, Place } from './object-code.ts';
import type { ObjectEntry } from './tables.ts';

export interface JumpEntry {
  readonly entry: ObjectEntry;
  readonly code: Place;
  readonly target: Place;
  /** Without flag bits. */
  readonly key: Place;
  readonly branch: boolean;
  readonly bit1: boolean;
}

/** Splits an entry's key into place and flags. */
export function asJumpEntry(entry: ObjectEntry): JumpEntry {
  const [code, target, key] = entry.fields as [Place, Place, Place];
  const flags = ((key.offset % 4) + 4) % 4;
  return {
    entry,
    code,
    target,
    key: { ...key, offset: key.offset - flags },
    branch: (flags & jumpBranch) !== 0,
    bit1: (flags & jumpBit1) !== 0,
  };
}

/** Where the direct branch at `offset` goes, by its relocation if it has one; undefined for other instructions. */
export function branchTarget(object: ObjectCode, code: CodeSection, offset: number): Place | undefined {
  const { kind, size, displacement } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
  if (kind !== 'jump' && kind !== 'call' && kind !== 'conditional jump') return undefined;
  const field = findField(object, code, offset, size);
  if (!field)
    return { section: code.section.index, offset: placeOf(object.arch, offset + displacement), symbol: 0 };
  const { relocations, index, bias } = field;
  return object.placeOf(relocations.symbol[index] as number, (relocations.addend[index] as number) + bias);
}

/** Where the jump at `offset` goes; undefined for other instructions. */
function jumpTarget(object: ObjectCode, code: CodeSection, offset: number): Place | undefined {
  const { kind } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
  return kind === 'jump' ? branchTarget(object, code, offset) : undefined;
}

/** The relocation of a branch's displacement. */
function findField(object: ObjectCode, code: CodeSection, offset: number, size: number) {
  const fields = object.fieldRelocations(code.section.index);
  for (let place = offset; place < offset + size; place++) {
    const field = fields.get(place);
    if (!field) continue;
    const type = field.relocations.type[field.index] as number;
    const branch = object.arch.branchOfRelocation(type, code.code, place);
    if (branch?.offset === offset) return { ...field, bias: branch.bias };
  }
  return undefined;
}

function samePlace(a: Place, b: Place): boolean {
  return a.section === b.section && a.offset === b.offset && (a.section !== 0 || a.symbol === b.symbol);
}

function requireBranchSite(
  object: ObjectCode,
  code: CodeSection,
  offset: number,
  target: Place,
): 'nop' | 'jump' {
  const where = { section: code.section.name, offset };
  const name = () => object.describe(code.section.index, offset);
  const { branchSizes, readInstruction } = object.instructionsAt(code, offset);
  const instruction = readInstruction(code.code, offset);
  if (!object.isInstructionStart(code, offset)) {
    throw new TextpokeError(
      'site-mismatch',
      `${name()}: a static branch site lies inside an instruction`,
      where,
    );
  }
  if (instruction.kind === 'nop') return 'nop';
  const goes = jumpTarget(object, code, offset);
  if (!goes) {
    throw new TextpokeError(
      'site-mismatch',
      `${name()}: found ${hexBytes(code.code.subarray(offset, offset + Math.max(...branchSizes)))}; a static branch site holds a NOP or a jump of ${branchSizes.join(' or ')} bytes`,
      where,
    );
  }
  if (!samePlace(goes, target)) {
    throw new TextpokeError(
      'site-mismatch',
      `${name()}: the jump goes to ${describePlace(object, goes)}, but its entry says ${describePlace(object, target)}`,
      where,
    );
  }
  return 'jump';
}

function describePlace(object: ObjectCode, place: Place): string {
  if (place.section > 0) return object.describe(place.section, place.offset);
  return `${object.symbolName(place.symbol)}+${hex(place.offset)}`;
}

/** Throws `key-unaligned` when flag bits would fall on address bits. */
function requireAlignedKey(object: ObjectCode, key: Place, where: { section: string; offset: number }): void {
  if (key.offset % 4 !== 0) {
    throw new TextpokeError(
      'key-unaligned',
      `the key ${describePlace(object, key)} is not aligned to 4 bytes, but the low two bits of its field are flags`,
      where,
    );
  }
}

export interface CheckedEntries {
  readonly patches: ElfChange['patches'];
  readonly retyped: ElfChange['retyped'];
  /** `section:offset` of every site that has its entry. */
  readonly listed: ReadonlySet<string>;
}

/**
 * Checks every existing jump entry and plans the rewrite of build-time jumps (bit 1) to NOPs of their own size.
 * Bit 1 stays, as objtool leaves it: boot code overwrites it. Errors: `site-mismatch`, `table-malformed`.
 */
export function checkJumpEntries(object: ObjectCode, entries: readonly JumpEntry[]): CheckedEntries {
  const patches: { section: number; offset: number; bytes: Uint8Array }[] = [];
  const retyped: ElfChange['retyped'][number][] = [];
  const listed = new Set<string>();
  const bySection = new Map(object.codeSections.map((code) => [code.section.index, code]));
  for (const { entry, code: site, target, bit1 } of entries) {
    const code = bySection.get(site.section);
    if (!code || site.offset < 0 || site.offset >= code.code.length) {
      throw new TextpokeError(
        'table-malformed',
        `entry ${entry.index} names ${describePlace(object, site)}, which is not code of this object`,
        { section: entry.section.name, offset: entry.offset },
      );
    }
    if (((object.file.sections[target.section]?.flags ?? 0) & SHF_EXECINSTR) === 0) {
      throw new TextpokeError(
        'table-malformed',
        `entry ${entry.index} jumps to ${describePlace(object, target)}, which is not code of this object`,
        { section: entry.section.name, offset: entry.offset },
      );
    }
    const found = requireBranchSite(object, code, site.offset, target);
    listed.add(`${site.section}:${site.offset}`);
    if (!bit1 || found === 'nop') continue;
    const instructions = object.instructionsAt(code, site.offset);
    const { size } = instructions.readInstruction(code.code, site.offset);
    patches.push({ section: site.section, offset: site.offset, bytes: instructions.nop(size) });
    const field = findField(object, code, site.offset, size);
    // As objtool does: the jump's displacement must not be written over the NOP again.
    const type = object.arch.relocations.none;
    if (field) retyped.push({ section: field.relocations.section, index: field.index, type });
  }
  return { patches, retyped, listed };
}

/** The table entry that a marker asks for. Errors: `site-mismatch`, `key-unaligned`. */
export function entryOfMarker(object: ObjectCode, code: CodeSection, marker: BranchMarker): NewEntry {
  requireBranchSite(object, code, marker.offset, marker.target);
  requireAlignedKey(object, marker.key, { section: code.section.name, offset: marker.offset });
  const key: FieldTarget = {
    symbol: marker.key.symbol,
    offset: addendOf(object, marker.key) + (marker.likely ? jumpBranch : 0),
  };
  return {
    row: jumpTable,
    code: code.section.index,
    fields: [
      { section: code.section.index, offset: marker.offset },
      { section: marker.target.section, offset: marker.target.offset },
      key,
    ],
  };
}

/**
 * Makes absolute entries PC-relative ones. Their addends stand in the fields and stay: S + A becomes S + A - P.
 * Error `table-malformed` for a field named by a Thumb function's symbol, which would put the Thumb bit into a place.
 */
export function makeRelative(
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
          `field ${name} of entry ${entry.index} names the Thumb function ${object.symbolName(symbol)}; a relative entry names its section`,
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
