// Tables that hold nothing but places: s32 each, read-only.
import { code, type TableRow } from '../bytes/table.ts';
import { SHF_ALLOC } from '../elf/constants.ts';

/** The row of a table of places; `bounds` are its linker symbols. */
export function placesTable(
  name: string,
  field: string,
  bounds: readonly [start: string, stop: string],
): TableRow {
  return { name, fields: [code(field)], flags: SHF_ALLOC, addralign: 4, entsize: 0, bounds: [bounds] };
}
