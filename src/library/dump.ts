// The library's dump: the tables of an object, an archive or an image.
import type { DumpedFile } from '../dump/model.ts';
import { type CountingOptions, type DumpOptions, dumpFile } from '../dump/passes.ts';
import type { FileSummary } from '../dump/summary.ts';
import { Summing } from '../dump/summing.ts';
import { type Input, nameOf, openInput } from '../files/input.ts';
import { type DumpDocument, dumpDocument, type FileDocument, fileJson } from '../output/dump.ts';
import { type SummaryDocument, summaryDocument } from '../output/summary.ts';

/** What dump found in a file. */
export interface DumpResult {
  /** What `textpoke dump --json` prints. */
  readonly document: DumpDocument;
}

/**
 * Reads the tables of an object, of an image or of each member of an archive, compressed or not. A table or an entry
 * that makes no sense is told in the document, and is no error. Errors: `read-failed`, those of reading ELF and
 * archives, `compressed-malformed`, `machine-unsupported`, `not-an-image`; `usage` for a table that does not exist.
 */
export async function dump(input: Input, options: DumpOptions = {}): Promise<DumpResult> {
  const files: FileDocument[] = [];
  for await (const file of dumpInput(input, options)) files.push(fileJson(file));
  return { document: dumpDocument(files) };
}

/** The summary of a file. */
export interface SummaryResult {
  /** What `textpoke dump --summary --json` prints. */
  readonly document: SummaryDocument;
}

/**
 * Says in numbers what `dump` lists: entries, keys and their states, the functions and source files with the most sites. Of
 * an archive it is one summary of all members. Errors as `dump`.
 */
export async function summarize(input: Input, options: DumpOptions = {}): Promise<SummaryResult> {
  const summary = await summaryOf(input, options);
  return { document: summaryDocument(summary ? [summary] : []) };
}

/** The summary alone; undefined for an archive without an ELF file. */
export async function summaryOf(input: Input, options: DumpOptions): Promise<FileSummary | undefined> {
  const summing = new Summing(nameOf(input));
  for await (const file of dumpInput(input, { ...options, isCounted: true })) summing.add(file);
  return summing.done();
}

/** What dump finds, a file or member at a time; the input is open for as long as that takes. Errors as `dump`. */
export async function* dumpInput(input: Input, options: CountingOptions): AsyncGenerator<DumpedFile> {
  const source = openInput(input);
  try {
    yield* dumpFile(nameOf(input), source, options);
  } finally {
    source.close();
  }
}
