// Reads the tables of a relocatable object: each field is a relocation (REL: with its addend in the bytes), and
// one object may hold several sections of one table's name (COMDAT groups, `ld -r`): all of them are read.

import { entryLayout, type TableRow } from '../bytes/table.ts';
import { ByteView } from '../bytes/view.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { Section } from '../elf/file.ts';
import { sectionAbsolute } from '../elf/symbols.ts';
import { TextpokeError } from '../errors.ts';
import type { ObjectCode, Place } from './object-code.ts';

/** One entry; `fields` in the row's order. Flag bits of the key are still part of its offset. */
export interface ObjectEntry {
  readonly section: Section;
  /** Position in its section. */
  readonly index: number;
  /** Byte offset of the entry in its section. */
  readonly offset: number;
  readonly fields: readonly Place[];
  /** Fields hold addresses, not distances (32-bit ARM kernels). */
  readonly absolute: boolean;
}

/** The sections that hold a table, in section order. */
export function tableSections(object: ObjectCode, row: TableRow): Section[] {
  const isNamed = (name: string) => row.matches?.test(name) ?? name === row.name;
  return object.file.sections.filter((s) => isNamed(s.name) && s.type !== SHT_NOBITS);
}

/** An entry that cannot be read, for a reader that goes on with the next. */
export interface UnreadableEntry {
  readonly section: Section;
  /** Position in its section; undefined when the table as a whole is torn. */
  readonly index: number | undefined;
  readonly error: TextpokeError;
}

/**
 * Every entry of a table. Errors: `table-malformed` for a torn table, a field without a relocation or with one
 * of another kind; a caller that gives `unreadable` gets them there, one an entry, and all other entries back.
 */
export function readObjectTable(
  object: ObjectCode,
  row: TableRow,
  unreadable?: (entry: UnreadableEntry) => void,
): ObjectEntry[] {
  const layout = entryLayout(row, object.arch.wordSize);
  const entries: ObjectEntry[] = [];
  for (const section of tableSections(object, row)) {
    const attempt = (index: number | undefined, body: () => void): void => {
      try {
        body();
      } catch (error) {
        if (!unreadable || !(error instanceof TextpokeError)) throw error;
        unreadable({ section, index, error });
      }
    };
    const data = object.file.data(section);
    attempt(undefined, () => {
      if (data.length % layout.size === 0) return;
      throw new TextpokeError(
        'table-malformed',
        `the table has ${data.length} bytes; a multiple of ${layout.size} is required`,
        { section: section.name },
      );
    });
    const view = new ByteView(data, object.file.header.little, { section: section.name });
    for (let index = 0; (index + 1) * layout.size <= data.length; index++) {
      attempt(index, () => {
        entries.push({
          section,
          index,
          offset: index * layout.size,
          ...readFields(object, row, section, view, index),
        });
        // The linker makes one table of them, and its reader knows one form.
        if (entries[0]?.absolute === entries.at(-1)?.absolute) return;
        entries.pop();
        throw new TextpokeError('table-malformed', 'the table mixes absolute and relative entries', {
          section: section.name,
          offset: index * layout.size,
        });
      });
    }
  }
  return entries;
}

function readFields(
  object: ObjectCode,
  row: TableRow,
  section: Section,
  view: ByteView,
  entry: number,
): Pick<ObjectEntry, 'fields' | 'absolute'> {
  const { arch } = object;
  const layout = entryLayout(row, arch.wordSize);
  const byOffset = object.fieldRelocations(section.index);
  const typeAt = (at: number) => {
    const found = byOffset.get(at);
    return found?.relocations.type[found.index];
  };
  const { absolute32 } = arch.relocations;
  const absolute =
    row.mayBeAbsolute === true && absolute32 !== undefined && typeAt(entry * layout.size) === absolute32;
  const fields = layout.fields.map(({ name, offset, width, plain }): Place => {
    const at = entry * layout.size + offset;
    if (plain) return { section: sectionAbsolute, offset: view.u32(at), symbol: 0 };
    const found = byOffset.get(at);
    const required =
      absolute && absolute32 !== undefined
        ? absolute32
        : width === 8
          ? arch.relocations.placeLong
          : arch.relocations.place32;
    if (!found || found.relocations.type[found.index] !== required) {
      const has = found
        ? arch.relocations.name(found.relocations.type[found.index] as number)
        : 'no relocation';
      throw new TextpokeError(
        'table-malformed',
        `field ${name} of entry ${entry} has ${has}; ${arch.relocations.name(required)} is required`,
        { section: section.name, offset: at },
      );
    }
    const { relocations, index } = found;
    const inField = width === 8 ? view.s64(at) : view.s32(at);
    const addend = relocations.rela ? (relocations.addend[index] as number) : inField;
    return object.placeOf(relocations.symbol[index] as number, addend);
  });
  return { fields, absolute };
}
