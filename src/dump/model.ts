// What `dump` finds in a file; its JSON document is made of it (output/dump.ts).
import type { TableKind } from '../kinds/kind.ts';
import type { TableEntries } from '../kinds/registry.ts';
import type { DumpedDeadEntry, DumpedEntry } from '../kinds/shown.ts';
import type { TextTableEntries } from '../kinds/text-tables.ts';
import type { FileTally } from './groups.ts';

/** Where a table lies: a section of its own, or a stretch of a larger one. */
export interface TablePart {
  readonly section: string;
  /** Section number, in an object. */
  readonly number?: number;
  /** Of the first entry, in an image. */
  readonly address?: string;
  readonly entries: number;
}

/** Entries in order. Those of `dumpFile` are decoded anew each time they are gone through, so that none is held. */
export interface Entries<Entry> extends Iterable<Entry> {
  readonly length: number;
}

export interface DumpedTable<Entry extends DumpedEntry> {
  /** Section name of the table. */
  readonly name: string;
  /** Entries hold addresses, as those of 32-bit ARM kernels do, and not distances. */
  readonly absolute?: true;
  readonly parts: readonly TablePart[];
  /** Entries in the file, before `--key` chose among them. */
  readonly total: number;
  readonly entries: Entries<Entry | DumpedDeadEntry>;
  /** Flags of entries are those of the build: nothing has booted the file. */
  readonly isAsBuilt: boolean;
  /** Something is wrong with one of the entries. */
  readonly isMalformed: boolean;
  /** What is wrong with the table as a whole. */
  readonly problems: readonly string[];
}

/** The tables of a file; those that were not asked for are absent. */
export type DumpedTables = {
  readonly [Name in keyof AllEntries]?: DumpedTable<AllEntries[Name]>;
};

/** Of the tables that are shown whenever there are some, and of those that are named. */
export interface AllEntries extends TableEntries, TextTableEntries {}

export interface DumpedFile {
  readonly file: string;
  /** Name of the member, when the file is an archive. */
  readonly member?: string;
  /** The same object for all members of an archive. */
  readonly archive?: { readonly path: string };
  readonly class: 32 | 64;
  readonly machine: string;
  readonly type: 'rel' | 'exec' | 'dyn';
  /** What was unpacked, of a kernel file. */
  readonly unpacked?: string;
  readonly tables: DumpedTables;
  /** What a summary is made of, where one was asked for. */
  readonly tally?: FileTally;
  /** Why some places have no source line though the file has line tables. */
  readonly linesProblem?: string;
}

/** The tables of a file with their rows, in the order of dump. */
export function tablesOf(
  { tables }: Pick<DumpedFile, 'tables'>,
  rows: readonly TableKind[],
): { readonly row: TableKind; readonly table: DumpedTable<DumpedEntry> }[] {
  return rows.flatMap((row) => {
    const table = (tables as Readonly<Record<string, DumpedTable<DumpedEntry> | undefined>>)[row.id];
    return table ? [{ row, table }] : [];
  });
}

/** The file with at most so many entries of each table. */
export function limited(file: DumpedFile, most: number): DumpedFile {
  const tables = Object.entries<DumpedTable<DumpedEntry>>(file.tables).map(([id, table]) => [
    id,
    { ...table, entries: firstOf(table.entries, most) },
  ]);
  return { ...file, tables: Object.fromEntries(tables) as DumpedTables };
}

function firstOf<Entry>(entries: Entries<Entry>, most: number): Entries<Entry> {
  const length = Math.min(entries.length, most);
  function* first(): Generator<Entry> {
    let left = length;
    if (left === 0) return;
    for (const entry of entries) {
      yield entry;
      if (--left === 0) return;
    }
  }
  return { length, [Symbol.iterator]: first };
}
