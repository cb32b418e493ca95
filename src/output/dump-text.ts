// The tables of dump as text, for people who know readelf and objdump. It comes in pieces, so that nothing but the file at
// hand has to be held. On a terminal, columns fit its width.

import { largestOf } from '../bytes/integer.ts';
import { type DumpedFile, type DumpedTable, type TablePart, tablesOf } from '../dump/model.ts';
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
import { type Column, columnsOf, layOut, measureRow, nothing, rowText } from './columns.ts';
import { count } from './count.ts';
import { allTables, type Files } from './dump.ts';
import { inPieces } from './pieces.ts';
import { type Colours, coloursOf, lineOf, readable, textOf } from './text.ts';

export interface DumpTextOptions {
  readonly color?: boolean;
  /** Columns of the terminal; undefined: lines are as long as they are. */
  readonly width?: number | undefined;
}

/** Left out of a table where no site has a source line. */
const sourceColumn = siteColumns[2];

const typeNames = { rel: 'relocatable object', exec: 'executable', dyn: 'shared object or PIE' } as const;

/** `vmlinux: ELF64 x86-64, executable` */
export function headOf(
  { file, class: bits, machine, type }: Pick<DumpedFile, 'file' | 'class' | 'machine' | 'type'>,
  what: string = typeNames[type],
): string {
  return `${file}: ELF${bits} ${machine}, ${what}`;
}

/** The text for all files, in pieces: per file and table a header with counts, then a line an entry. */
export async function* dumpText(files: Files, options: DumpTextOptions = {}): AsyncGenerator<string> {
  const colour = coloursOf(options.color);
  let between: string[] = [];
  let archive: ArchiveTotals | undefined;
  for await (const file of files) {
    if (archive && archive.archive !== file.archive) {
      yield textOf([...between, ...archive.lines(colour)]);
      between = [''];
      archive = undefined;
    }
    if (file.archive) {
      archive ??= new ArchiveTotals(file.archive);
      if (!archive.add(file)) continue;
    }
    yield textOf([...between, colour.bold(headOf(file))]);
    yield* inPieces(finished(fileText(file, colour, options.width)));
    between = [''];
  }
  if (archive) yield textOf([...between, ...archive.lines(colour)]);
}

/** What all members of an archive have together. */
class ArchiveTotals {
  readonly archive: { readonly path: string };
  private members = 0;
  private withTables = 0;
  private readonly entries = new Map<string, number>();

  constructor(archive: { readonly path: string }) {
    this.archive = archive;
  }

  /** True for a member that has something to be shown. */
  add(file: DumpedFile): boolean {
    this.members++;
    const shown = tablesOf(file, allTables).filter(({ table }) => !isAbsent(table));
    if (shown.length === 0 && file.linesProblem === undefined) return false;
    if (shown.length > 0) this.withTables++;
    for (const { table } of shown)
      this.entries.set(table.name, (this.entries.get(table.name) ?? 0) + table.entries.length);
    return true;
  }

  lines(colour: Colours): string[] {
    const { archive, members, withTables, entries } = this;
    const head = `${archive.path}: ${count(members, 'member')}, ${withTables} with tables`;
    const widest = largestOf(Array.from(entries.values(), (number) => String(number).length));
    const tables = Array.from(
      entries,
      ([name, number]) =>
        `  ${String(number).padStart(widest)} ${number === 1 ? 'entry' : 'entries'} in ${name}`,
    );
    return [colour.bold(head), ...tables];
  }
}

function* finished(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${lineOf(line)}\n`;
}

function* fileText(file: DumpedFile, colour: Colours, width: number | undefined): Generator<string> {
  const { type, linesProblem } = file;
  const tools: Omit<CellTools, 'isAsBuilt'> = {
    site: (place) => [location(place, type), placeName(place), sourceName(place) ?? nothing],
    key: (place) => (place.undefined ? `${keyText(place)} (undefined)` : keyText(place)),
    instruction: instructionCells,
  };
  const shown = tablesOf(file, allTables).filter(({ table }) => !isAbsent(table));
  if (shown.length === 0) yield '  no tables';
  if (linesProblem !== undefined) yield `  ${colour.red('problem')}: ${linesProblem}`;
  for (const { row, table } of shown) {
    const own = { ...tools, isAsBuilt: table.isAsBuilt };
    yield* tableText(table, row.columns, colour, width, (entry) => row.cells(entry, own));
  }
}

function keyText(key: DumpedPlace): string {
  return key.owner ?? placeName(key);
}

function isAbsent({ parts, problems }: Pick<DumpedTable<DumpedEntry>, 'parts' | 'problems'>): boolean {
  return parts.length === 0 && problems.length === 0;
}

/** An object's sections all begin at 0, so an offset needs its section. */
function location(place: DumpedPlace, type: DumpedFile['type']): string {
  if (type !== 'rel') return place.address ?? nothing;
  return place.section === undefined ? nothing : `${place.section}+0x${(place.offset ?? 0).toString(16)}`;
}

function instructionCells(instruction: DumpedInstruction | undefined): [bytes: string, text: string] {
  if (!instruction) return [nothing, nothing];
  return [instruction.bytes.replace(/..(?=.)/g, '$& '), instruction.text];
}

function* tableText(
  table: DumpedTable<DumpedEntry>,
  heads: readonly string[],
  colour: Colours,
  width: number | undefined,
  cellsOf: (entry: DumpedEntry) => string[],
): Generator<string> {
  // What is shown has the width.
  const cells = (entry: DumpedEntry) => cellsOf(entry).map(readable);
  const { columns, last, discarded } = measure(table, heads, cells);
  yield '';
  yield `${colour.bold(table.name)}: ${countText(table, discarded)}`;
  for (const problem of table.problems) yield `  ${colour.red('problem')}: ${problem}`;
  if (table.entries.length === 0) return;
  const indexWidth = Math.max(5, String(last).length);
  const layout = layOut(columns, width === undefined ? undefined : width - indexWidth - 2);
  if (layout.leftOut.length > 0) yield colour.dim(`  --wide also shows ${layout.leftOut.join(', ')}`);
  const line = (index: string, row: readonly string[] | undefined) =>
    `  ${index.padStart(indexWidth)}${row ? rowText(layout, row) : '  '}`;
  yield colour.dim(line('index', heads).trimEnd());
  for (const entry of table.entries) {
    const index = String(entry.index);
    if (isDead(entry)) yield `${line(index, undefined)}${deadText(entry, colour)}`;
    else {
      const problem = entry.problem === undefined ? '' : `  ${colour.red('malformed')}: ${entry.problem}`;
      yield `${line(index, cells(entry)).trimEnd()}${problem}`;
    }
  }
}

/** What has to be known of all entries before the first one is shown. */
function measure(
  { entries }: DumpedTable<DumpedEntry>,
  heads: readonly string[],
  cells: (entry: DumpedEntry) => string[],
): { columns: Column[]; last: number; discarded: number } {
  const columns = columnsOf(heads);
  let [last, discarded] = [0, 0];
  for (const entry of entries) {
    last = entry.index;
    if (isDead(entry)) discarded += entry.discarded ? 1 : 0;
    else measureRow(columns, cells(entry));
  }
  for (const column of columns) column.isAbsent = column.name === sourceColumn && column.isEmpty;
  return { columns, last, discarded };
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
