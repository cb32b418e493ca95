// Prints what dump found: one JSON document (schema textpoke.dump/1), or text for people who know readelf and
// objdump. Both come in pieces, so that nothing but the file at hand has to be held.
import {
  type AllEntries,
  type DumpedFile,
  type DumpedTable,
  type TablePart,
  tablesOf,
} from '../dump/model.ts';
import type { TableKind } from '../kinds/kind.ts';
import { tableKinds } from '../kinds/registry.ts';
import {
  type CellTools,
  type DumpedDeadEntry,
  type DumpedEntry,
  type DumpedInstruction,
  type DumpedPlace,
  isDead,
  placeName,
  siteColumns,
  sourceName,
} from '../kinds/shown.ts';
import { textTableKinds } from '../kinds/text-tables.ts';
import { inPieces } from './pieces.ts';
import { type Colours, coloursOf, jsonText, lineOf, readable, textOf } from './text.ts';

const allTables: readonly TableKind[] = [...tableKinds, ...textTableKinds];

type Files = Iterable<DumpedFile> | AsyncIterable<DumpedFile>;

const dumpSchema = 'textpoke.dump/1';

/** What `textpoke dump --json` prints (docs/dump.schema.json). */
export interface DumpDocument {
  readonly schema: 'textpoke.dump/1';
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
function partsOf({ tables, linesProblem, member: _, ...head }: DumpedFile) {
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

export interface DumpTextOptions {
  readonly color?: boolean;
}

/** Left out of a table where no site has a source line. */
const sourceColumn = siteColumns[2];

const typeNames = { rel: 'relocatable object', exec: 'executable', dyn: 'shared object or PIE' } as const;

/** The text for all files, in pieces: per file and table a header with counts, then a line an entry. */
export async function* dumpText(files: Files, options: DumpTextOptions = {}): AsyncGenerator<string> {
  const colour = coloursOf(options.color);
  let between: string[] = [];
  for await (const file of files) {
    const head = colour.bold(`${file.file}: ELF${file.class} ${file.machine}, ${typeNames[file.type]}`);
    yield textOf([...between, head]);
    yield* inPieces(finished(fileText(file, colour)));
    between = [''];
  }
}

function* finished(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${lineOf(line)}\n`;
}

function* fileText(file: DumpedFile, colour: Colours): Generator<string> {
  const { type, linesProblem } = file;
  const tools: CellTools = {
    site: (place) => [location(place, type), placeName(place), sourceName(place) ?? '-'],
    key: (place) => (place.undefined ? `${placeName(place)} (undefined)` : placeName(place)),
    instruction: instructionCells,
  };
  const shown = tablesOf(file, allTables).filter(({ table }) => !isAbsent(table));
  if (shown.length === 0) yield '  no tables';
  if (linesProblem !== undefined) yield `  ${colour.red('problem')}: ${linesProblem}`;
  for (const { row, table } of shown) {
    yield* tableText(table, row.columns, colour, (entry) => row.cells(entry, tools));
  }
}

function isAbsent({ parts, problems }: Pick<DumpedTable<DumpedEntry>, 'parts' | 'problems'>): boolean {
  return parts.length === 0 && problems.length === 0;
}

/** An object's sections all begin at 0, so an offset needs its section. */
function location(place: DumpedPlace, type: DumpedFile['type']): string {
  if (type !== 'rel') return place.address ?? '-';
  return place.section === undefined ? '-' : `${place.section}+0x${(place.offset ?? 0).toString(16)}`;
}

function instructionCells(instruction: DumpedInstruction | undefined): [bytes: string, text: string] {
  if (!instruction) return ['-', '-'];
  return [instruction.bytes.replace(/..(?=.)/g, '$& '), instruction.text];
}

function* tableText(
  table: DumpedTable<DumpedEntry>,
  allColumns: readonly string[],
  colour: Colours,
  cellsOf: (entry: DumpedEntry) => string[],
): Generator<string> {
  // What is shown has the width.
  const cells = (entry: DumpedEntry) => cellsOf(entry).map(readable);
  const { widths, hasSource, last, discarded } = measure(table, allColumns, cells);
  yield '';
  yield `${colour.bold(table.name)}: ${countText(table, discarded)}`;
  for (const problem of table.problems) yield `  ${colour.red('problem')}: ${problem}`;
  if (table.entries.length === 0) return;
  const shown = [...allColumns.keys()].filter((i) => hasSource || allColumns[i] !== sourceColumn);
  const indexWidth = Math.max(5, String(last).length);
  const line = (index: string, row: readonly string[]) => {
    const padded = row.length > 0 ? shown.map((i) => row[i]?.padEnd(widths[i] as number)) : [];
    return `  ${index.padStart(indexWidth)}  ${padded.join('  ')}`.trimEnd();
  };
  yield colour.dim(line('index', allColumns));
  for (const entry of table.entries) {
    const index = String(entry.index);
    if (isDead(entry)) yield `${line(index, [])}  ${deadText(entry, colour)}`;
    else {
      const problem = entry.problem === undefined ? '' : `  ${colour.red('malformed')}: ${entry.problem}`;
      yield `${line(index, cells(entry))}${problem}`;
    }
  }
}

/** What has to be known of all entries before the first one is shown. */
function measure(
  { entries }: DumpedTable<DumpedEntry>,
  columns: readonly string[],
  cells: (entry: DumpedEntry) => string[],
): { widths: number[]; hasSource: boolean; last: number; discarded: number } {
  const widths = columns.map((name) => name.length);
  const source = columns.indexOf(sourceColumn);
  let [hasSource, last, discarded] = [false, 0, 0];
  for (const entry of entries) {
    last = entry.index;
    if (isDead(entry)) discarded += entry.discarded ? 1 : 0;
    else {
      const row = cells(entry);
      hasSource ||= source >= 0 && row[source] !== '-';
      row.forEach((cell, i) => {
        widths[i] = Math.max(widths[i] ?? 0, cell.length);
      });
    }
  }
  return { widths, hasSource, last, discarded };
}

function deadText({ bytes, discarded, problem }: DumpedDeadEntry, colour: Colours): string {
  if (discarded) return colour.dim('discarded: the linker dropped the code and wrote zeros to the entry');
  return `${colour.red('malformed')}: ${problem} (bytes ${bytes})`;
}

/** What a linker discarded is no entry to the other commands, which give the same number. */
function countText(table: DumpedTable<DumpedEntry>, discarded: number): string {
  const { entries, total, parts } = table;
  const live = total - discarded;
  const count = entries.length === total ? `${live}` : `${entries.length} of ${total}`;
  const noun = `${table.absolute ? 'absolute ' : ''}${live === 1 ? 'entry' : 'entries'}`;
  const besides = discarded > 0 ? `, ${discarded} discarded` : '';
  return `${count} ${noun}${parts.length > 0 ? ` ${partsText(table.name, parts)}` : ''}${besides}`;
}

/** Many sections of one name are usual with -ffunction-sections; the first few tell where to look. */
function partsText(name: string, parts: readonly TablePart[]): string {
  const first = parts.slice(0, 4);
  const more = parts.length > first.length ? ` and ${parts.length - first.length} more` : '';
  if (parts[0]?.number !== undefined) {
    return `in section${parts.length > 1 ? 's' : ''} ${first.map((part) => part.number).join(', ')}${more}`;
  }
  const places = first.map(({ address, section }) =>
    section === name ? address : `${address} (${section})`,
  );
  return `at ${places.join(', ')}${more}`;
}
