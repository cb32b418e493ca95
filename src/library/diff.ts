// The library's diff: the sites of two builds, by function and order.
import { compareFiles } from '../diff/files.ts';
import type { DumpOptions } from '../dump/passes.ts';
import { type Input, nameOf } from '../files/input.ts';
import { type DiffDocument, diffJson, diffMarkdown, diffText } from '../output/diff.ts';
import { jsonText } from '../output/text.ts';
import { type Reports, reportsIn } from './reports.ts';

/** The formats of diff, as `--format` takes them. */
export const diffFormats = ['text', 'json', 'markdown'] as const;

/** A format of diff. */
export type DiffFormat = (typeof diffFormats)[number];

/** How diff tells what it found. */
export interface DiffOptions extends Pick<DumpOptions, 'expandLimit' | 'debugDirectories' | 'table'> {
  /** Which reports are made; none unless some are named. */
  readonly formats?: readonly DiffFormat[] | undefined;
  /** Colours in the text report, as escape sequences; false unless given. */
  readonly color?: boolean | undefined;
}

/** What became of the sites of a build. */
export interface DiffResult {
  /** What `textpoke diff --format json` prints. A build that has lost sites has `removed` above 0. */
  readonly document: DiffDocument;
  /** The text of each format that was asked for, as the command line prints it; empty where it prints nothing. */
  readonly reports: Reports<DiffFormat>;
}

/**
 * Compares the sites of two builds of an object, an archive or an image. Sites are told apart by function, kind, key
 * and order, not by address. Errors: `read-failed`, those of reading ELF and archives, `compressed-malformed`,
 * `machine-unsupported`, `not-an-image`.
 */
export async function diff(old: Input, now: Input, options: DiffOptions = {}): Promise<DiffResult> {
  const files = await compareFiles(old, now, options);
  const names = [nameOf(old), nameOf(now)] as const;
  const document = diffJson(...names, files);
  const reports = await reportsIn(options.formats, {
    text: () => diffText(files, options.color),
    json: () => jsonText(document, 2),
    markdown: () => diffMarkdown(...names, files),
  });
  return { document, reports };
}
