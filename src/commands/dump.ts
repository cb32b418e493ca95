// textpoke dump: the tables of objects, archives and images, and their summary. A file that cannot be read does not stop
// the others.
import type { GroupOrder } from '../dump/groups.ts';
import { type DumpedFile, limited } from '../dump/model.ts';
import type { CountingOptions, DumpOptions } from '../dump/passes.ts';
import type { FileSummary } from '../dump/summary.ts';
import { Summing } from '../dump/summing.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { unpackedNotes } from '../kernel/plain.ts';
import { dumpInput } from '../library/dump.ts';
import type { VerifyMemoryOptions } from '../library/verify-options.ts';
import { isOutputColoured, print, printPieces, tellError, terminalColumns, warn } from '../output/console.ts';
import { dumpJson } from '../output/dump.ts';
import { dumpLines } from '../output/dump-lines.ts';
import { type Grouping, summaryJson, summaryLines } from '../output/summary.ts';
import { jsonText } from '../output/text.ts';

export const dumpFormats = ['text', 'json', 'jsonl'] as const;

export interface DumpArguments
  extends Omit<DumpOptions, 'debugDirectories'>,
    Pick<VerifyMemoryOptions, 'base' | 'physical'> {
  cpuFeatures?: string;
  debugDir?: string[];
  format?: (typeof dumpFormats)[number];
  json?: boolean;
  summary?: boolean;
  by?: Grouping;
  sort?: GroupOrder;
  limit?: number;
  wide?: boolean;
  /** False with --no-pager. */
  pager?: boolean;
}

/** A terminal shows more entries than these behind their summary. */
const manyEntries = 100;

/** Runs the command. 1 when an entry or a table is malformed, else the status of the last file's error. */
export async function runDump(files: readonly string[], args: DumpArguments): Promise<number> {
  const { cpuFeatures, base, physical } = args;
  if (cpuFeatures !== undefined) return printFeatures(files, cpuFeatures, { base, physical });
  if (base !== undefined || physical !== undefined)
    throw new TextpokeError('usage', 'where a raw dump lies is asked with --cpu-features alone');
  const isSummary = args.summary === true || args.by !== undefined;
  if (args.sort !== undefined && !isSummary)
    throw new TextpokeError(
      'usage',
      '--sort is about --summary and --by; entries stand in the order of the table',
    );
  const format = args.json ? 'json' : (args.format ?? 'text');
  const columns = format === 'text' ? terminalColumns() : undefined;
  const dumping = new Dumping(files, args);
  const pieces =
    format === 'text'
      ? await dumping.text(isSummary, columns)
      : isSummary
        ? (format === 'json' ? summaryJson : summaryLines)(dumping.summaries(), args)
        : (format === 'json' ? dumpJson : dumpLines)(dumping.files());
  await printAll(pieces, columns, args, () => dumping.exitCode);
  if (args.key === undefined || dumping.entries > 0 || dumping.exitCode !== ExitCode.done)
    return dumping.exitCode;
  return tellNoMatch(files, args.key, args);
}

/** Prints pieces as they come; what is longer than the screen of a terminal goes through a pager. */
async function printAll(
  pieces: AsyncIterable<string>,
  columns: number | undefined,
  { pager, wide = false }: DumpArguments,
  status: () => number,
): Promise<void> {
  if (columns !== undefined && pager !== false) {
    const { printPaged } = await import('../output/pager.ts');
    return printPaged(pieces, { rows: process.stdout.rows || 24, columns, isWide: wide, status });
  }
  for await (const piece of pieces) await printPieces(piece.endsWith('\n') ? piece : `${piece}\n`, status());
}

/** The files of a command line, each read when it is asked for. */
class Dumping {
  exitCode: number = ExitCode.done;
  /** How many entries were found. */
  entries = 0;
  private readonly paths: readonly string[];
  private readonly args: DumpArguments;

  constructor(paths: readonly string[], args: DumpArguments) {
    this.paths = paths;
    this.args = args;
  }

  /** What is found in all files. */
  async *files(): AsyncGenerator<DumpedFile> {
    for (const path of this.paths) yield* this.told(path);
  }

  /** What is found in a file. */
  private async *found(
    path: string,
    counting: Pick<CountingOptions, 'isCounted'>,
  ): AsyncGenerator<DumpedFile> {
    const { debugDir: debugDirectories, table, key, disassemble, inlines, expandLimit, limit } = this.args;
    const options = { table, key, disassemble, inlines, expandLimit, debugDirectories, ...counting };
    for await (const dumped of dumpInput(path, options)) {
      this.entries += numberOfEntries(dumped);
      if (this.exitCode === ExitCode.done && hasProblem(dumped)) this.exitCode = ExitCode.findings;
      yield limit === undefined ? dumped : limited(dumped, limit);
    }
  }

  /** The same; an error is told, and ends the file. */
  private async *told(
    path: string,
    counting: Pick<CountingOptions, 'isCounted'> = {},
  ): AsyncGenerator<DumpedFile> {
    try {
      for await (const dumped of this.found(path, counting)) {
        for (const note of unpackedNotes(dumped.file, dumped.unpacked)) warn(note);
        yield dumped;
      }
    } catch (error) {
      if (!(error instanceof TextpokeError) || error.code === 'usage') throw error;
      this.exitCode = tellError(error);
    }
  }

  /** The summaries of all files. */
  async *summaries(): AsyncGenerator<FileSummary> {
    for (const path of this.paths) {
      const summing = new Summing(path);
      for await (const dumped of this.told(path, { isCounted: true })) summing.add(dumped);
      const summary = summing.done();
      if (summary) yield summary;
    }
  }

  private async *summaryTexts(textOf: (summary: FileSummary) => string): AsyncGenerator<string> {
    for await (const summary of this.summaries()) yield textOf(summary);
  }

  /** The text: of summaries alone, or of tables, in front of which a terminal shows a summary if they are long. */
  async text(isSummary: boolean, columns: number | undefined): Promise<AsyncIterable<string>> {
    const { dumpText } = await import('../output/dump-text.ts');
    const { summaryText } = await import('../output/summary-text.ts');
    const { wide, by, sort, limit } = this.args;
    const shape = { color: isOutputColoured(), width: wide ? undefined : columns };
    if (isSummary)
      return apart(this.summaryTexts((summary) => summaryText(summary, { ...shape, by, sort, limit })));
    if (columns === undefined) return dumpText(this.files(), shape);
    const tablesOf = (files: Iterable<DumpedFile> | AsyncIterable<DumpedFile>) => dumpText(files, shape);
    return apart(this.answersFirst((summary) => summaryText(summary, shape), tablesOf));
  }

  /** Texts of a terminal: the summary of each long file, and its tables. */
  private async *answersFirst(
    summaryOf: (summary: FileSummary) => string,
    tablesOf: (files: Iterable<DumpedFile> | AsyncIterable<DumpedFile>) => AsyncIterable<string>,
  ): AsyncGenerator<AsyncIterable<string> | string> {
    for (const path of this.paths) {
      const summing = new Summing(path);
      let entries = 0;
      let isArchive = false;
      const isMany = () => entries > manyEntries;
      for await (const dumped of this.told(path, { isCounted: true })) {
        summing.add(dumped);
        entries += numberOfEntries(dumped);
        // The members of an archive are gone through again: none of them is held.
        isArchive ||= dumped.archive !== undefined;
        if (isArchive) continue;
        if (isMany()) yield summaryOf(summing.done() as FileSummary);
        yield tablesOf([dumped]);
      }
      if (!isArchive) continue;
      if (isMany()) yield summaryOf(summing.done() as FileSummary);
      yield tablesOf(this.again(path));
    }
  }

  /** A file that was gone through: its error was told. */
  private async *again(path: string): AsyncGenerator<DumpedFile> {
    try {
      yield* this.found(path, {});
    } catch (error) {
      if (!(error instanceof TextpokeError)) throw error;
    }
  }
}

function numberOfEntries({ tables }: DumpedFile): number {
  return Object.values(tables).reduce((sum, { entries }) => sum + entries.length, 0);
}

/** Texts with an empty line between them. */
async function* apart(texts: AsyncIterable<AsyncIterable<string> | string>): AsyncGenerator<string> {
  let between = '';
  for await (const text of texts) {
    if (between !== '') yield between;
    between = '\n';
    if (typeof text === 'string') yield text;
    else yield* text;
  }
}

/** A name or a pattern that no entry's key has is a finding, as it is for grep. */
async function tellNoMatch(files: readonly string[], key: string, options: DumpOptions): Promise<number> {
  const { keyHint } = await import('../library/key-names.ts');
  const what = `no entry has a key that matches ${key}${await keyHint(files, key, options)}`;
  return tellError(new TextpokeError('no-match', what, { file: files.join(', ') }));
}

/** What a dump tells of the processor, as JSON. */
async function printFeatures(
  files: readonly string[],
  memory: string,
  { base, physical }: Pick<VerifyMemoryOptions, 'base' | 'physical'>,
): Promise<number> {
  const [file] = files;
  if (file === undefined || files.length > 1)
    throw new TextpokeError('usage', '--cpu-features is about one kernel and its dump');
  const { cpuFeatures } = await import('../library/cpu-features.ts');
  print(jsonText(await cpuFeatures(file, memory, { base, physical }), 2));
  return ExitCode.done;
}

function hasProblem({ tables }: DumpedFile): boolean {
  return Object.values(tables).some(({ isMalformed, problems }) => isMalformed || problems.length > 0);
}
