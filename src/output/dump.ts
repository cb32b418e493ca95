// What dump found as JSON: one document (schema textpoke.dump/2). It comes in pieces, so that nothing but the file at hand
// has to be held. Its text is made by dump-text.ts.
import { type AllEntries, type DumpedFile, tablesOf } from '../dump/model.ts';
import type { TableKind } from '../kinds/kind.ts';
import { tableKinds } from '../kinds/registry.ts';
import type { DumpedDeadEntry } from '../kinds/shown.ts';
import { textTableKinds } from '../kinds/text-tables.ts';
import { inPieces } from './pieces.ts';
import { jsonText } from './text.ts';

/** Rows of all tables, in the order of dump. */
export const allTables: readonly TableKind[] = [...tableKinds, ...textTableKinds];

/** What dump found, a file or member at a time. */
export type Files = Iterable<DumpedFile> | AsyncIterable<DumpedFile>;

const dumpSchema = 'textpoke.dump/2';

/** What `textpoke dump --json` prints (docs/dump.schema.json). */
export interface DumpDocument {
  readonly schema: 'textpoke.dump/2';
  /** One for an object or an image, one a member for an archive. */
  readonly files: readonly FileDocument[];
}

/** Entries in order, by table, all sections of the table together; absent where a table was not asked for. */
export type TableDocuments = {
  readonly [Name in keyof AllEntries]?: readonly (AllEntries[Name] | DumpedDeadEntry)[];
};

/** The tables of a file. */
export interface FileDocument extends TableDocuments {
  /** By the name that it was given; `lib.a(member.o)` for a member of an archive. */
  readonly file: string;
  /** Bits of an address. */
  readonly class: 32 | 64;
  /** Machine and byte order, as messages call them. */
  readonly machine: string;
  /** A relocatable object; an executable; a shared object or PIE. */
  readonly type: 'rel' | 'exec' | 'dyn';
  /** What was unpacked, of a kernel file: `bzImage, zstd, 57,575,404 bytes; 148,055 symbols of kallsyms`. */
  readonly unpacked?: string;
  /** Tables whose entries hold addresses and not distances; absent where there are none. */
  readonly absolute?: readonly string[];
  /** What is wrong with a table as a whole, by its name; under `sourceLines`: why places have no file and line. */
  readonly problems?: Readonly<Record<string, readonly string[]>>;
}

/** What the document of a file is made of. A table's own problems stand beside its entries. */
export function partsOf({ tables, linesProblem, member: _, archive: __, tally: ___, ...head }: DumpedFile) {
  const shown = tablesOf({ tables }, allTables).map(({ row: { id }, table }) => ({ id, ...table }));
  const absolute = shown.flatMap((table) => (table.absolute ? [table.id] : []));
  const problems: Record<string, readonly string[]> = {};
  for (const table of shown) if (table.problems.length > 0) problems[table.id] = table.problems;
  if (linesProblem !== undefined) problems.sourceLines = [linesProblem];
  const besides = {
    ...(absolute.length > 0 ? { absolute } : {}),
    ...(Object.keys(problems).length > 0 ? { problems } : {}),
  };
  return { head, shown, besides };
}

/** The document of a file. */
export function fileJson(file: DumpedFile): FileDocument {
  const { head, shown, besides } = partsOf(file);
  const tables = Object.fromEntries(shown.map(({ id, entries }) => [id, [...entries]])) as TableDocuments;
  return { ...head, ...tables, ...besides };
}

/** The document of what was dumped. */
export function dumpDocument(files: readonly FileDocument[]): DumpDocument {
  return { schema: dumpSchema, files };
}

/** The JSON document for all files, in pieces: an entry a line. */
export async function* dumpJson(files: Files): AsyncGenerator<string> {
  yield `{"schema":${jsonText(dumpSchema)},"files":[`;
  let between = '\n';
  for await (const file of files) {
    yield between;
    yield* inPieces(fileLines(file));
    between = ',\n';
  }
  yield '\n]}\n';
}

function* fileLines(file: DumpedFile): Generator<string> {
  const { head, shown, besides } = partsOf(file);
  yield jsonText(head).slice(0, -1);
  for (const { id, entries } of shown) {
    yield `,\n "${id}":[`;
    let between = '\n  ';
    for (const entry of entries) {
      yield between + jsonText(entry);
      between = ',\n  ';
    }
    yield ']';
  }
  for (const [name, value] of Object.entries(besides)) yield `,\n "${name}":${jsonText(value)}`;
  yield '}';
}
