// Reads the tables of a relocatable object: each field is a relocation (REL: with its addend in the bytes), and
// one object may hold several sections of one table's name (COMDAT groups, `ld -r`): all of them are read.
import { ByteView } from '../bytes/view.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { Section } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import type { ObjectCode, Place } from '../sites/object-code.ts';
import { entryLayout, type TableRow } from './schema.ts';

/** One entry; `fields` in the row's order. Flag bits of the key are still part of its offset. */
export interface ObjectEntry {
  readonly section: Section;
  /** Position in its section. */
  readonly index: number;
  /** Byte offset of the entry in its section. */
  readonly offset: number;
  readonly fields: readonly Place[];
}

/** The sections that hold a table, in section order. */
export function tableSections(object: ObjectCode, row: TableRow): Section[] {
  return object.file.sections.filter((s) => s.name === row.name && s.type !== SHT_NOBITS);
}

/**
 * Every entry of a table. Errors: `table-malformed` for a torn table, a field without a relocation or with one
 * of another kind.
 */
export function readObjectTable(object: ObjectCode, row: TableRow): ObjectEntry[] {
  const { arch, file } = object;
  const layout = entryLayout(row, arch.wordSize);
  const entries: ObjectEntry[] = [];
  for (const section of tableSections(object, row)) {
    const data = file.data(section);
    if (data.length % layout.size !== 0) {
      throw new TextpokeError(
        'table-malformed',
        `the table has ${data.length} bytes; a multiple of ${layout.size} is required`,
        { section: section.name },
      );
    }
    const byOffset = object.fieldRelocations(section.index);
    const view = new ByteView(data, file.header.little, { section: section.name });
    for (let index = 0; index * layout.size < data.length; index++) {
      const base = index * layout.size;
      const fields = layout.fields.map(({ name, offset, width }): Place => {
        const at = base + offset;
        const found = byOffset.get(at);
        const required = width === 8 ? arch.relocations.placeLong : arch.relocations.place32;
        if (!found || found.relocations.type[found.index] !== required) {
          const has = found
            ? arch.relocations.name(found.relocations.type[found.index] as number)
            : 'no relocation';
          throw new TextpokeError(
            'table-malformed',
            `field ${name} of entry ${index} has ${has}; ${arch.relocations.name(required)} is required`,
            { section: section.name, offset: at },
          );
        }
        const { relocations, index: i } = found;
        const inField = width === 8 ? view.s64(at) : view.s32(at);
        const addend = relocations.rela ? (relocations.addend[i] as number) : inField;
        return object.placeOf(relocations.symbol[i] as number, addend);
      });
      entries.push({ section, index, offset: base, fields });
    }
  }
  return entries;
}
