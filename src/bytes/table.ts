// What a table is: one row of facts (name, fields, flags, alignment, symbols) from which reader, writer and layout
// are derived. The rows themselves stand in kinds/. Each field is "target minus the field's own address".

export interface TableField {
  readonly name: string;
  /** `word` is the width of a long, `half` two bytes. */
  readonly width: 's32' | 'word' | 'half';
  /** The field names code. */
  readonly code?: true;
  /** The field is no address, but its bytes as they stand. */
  readonly plain?: true;
  /** The field is an address, and no distance to one. */
  readonly absolute?: true;
}

export interface TableRow {
  /** Section name. */
  readonly name: string;
  readonly fields: readonly TableField[];
  /** SHF_… of the section. */
  readonly flags: number;
  /** Alignment in bytes on a 64-bit machine; a 32-bit one aligns to 4. */
  readonly addralign: number;
  /** sh_entsize, where the kernel's objtool sets it; else 0. */
  readonly entsize: number;
  /** True where kernels of some machine write absolute addresses instead (`ArchRelocations.absolute32`). */
  readonly mayBeAbsolute?: true;
  /** A linked kernel keeps it inside a larger section, so that only the symbols tell where. */
  readonly insideOther?: true;
  /** The last entry may lack the fill behind it. */
  readonly lastIsShort?: true;
  /** The names of its sections, where there are several; `name` is what people call the table. */
  readonly matches?: RegExp;
  /** A kernel's script fills the table with zeros up to the next multiple of so many bytes; they are no entries. */
  readonly paddedTo?: number;
  /** Linker symbols at the table's two ends, the names tried in turn (include/asm-generic/vmlinux.lds.h). */
  readonly bounds: readonly (readonly [start: string, stop: string])[];
}

/** A field of 32 bits that names a key. */
export const s32 = (name: string): TableField => ({ name, width: 's32' });
/** A field of 32 bits that names code. */
export const code = (name: string): TableField => ({ name, width: 's32', code: true });

export interface EntryLayout {
  /** Entry size in bytes. */
  readonly size: number;
  /** Byte offset and width of each field, in the row's order. */
  readonly fields: readonly (Pick<TableField, 'name' | 'code' | 'plain' | 'absolute'> & {
    readonly offset: number;
    readonly width: 2 | 4 | 8;
  })[];
}

const layouts = { 4: new WeakMap<TableRow, EntryLayout>(), 8: new WeakMap<TableRow, EntryLayout>() };

/** Size of an entry and offsets of its fields for a machine whose long has `wordSize` bytes; made once for a row. */
export function entryLayout(row: TableRow, wordSize: 4 | 8): EntryLayout {
  let layout = layouts[wordSize].get(row);
  if (!layout) {
    let size = 0;
    const fields = row.fields.map((field) => {
      const width: 2 | 4 | 8 = field.width === 'word' ? wordSize : field.width === 'half' ? 2 : 4;
      const offset = size;
      size += width;
      return { ...field, offset, width };
    });
    layout = { size, fields };
    layouts[wordSize].set(row, layout);
  }
  return layout;
}

/**
 * Splits a key field's value into address and flags, which are its low two bits. The kernel's two ways to do it
 * (jump entries mask the stored value, static call sites the sum) agree where keys are 4-aligned.
 */
export function splitKey(value: number): { key: number; flags: number } {
  const flags = ((value % 4) + 4) % 4;
  return { key: value - flags, flags };
}
