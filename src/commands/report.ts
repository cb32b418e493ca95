// textpoke report: one HTML file about an image, or about two builds.
import { ExitCode, TextpokeError } from '../errors.ts';
import { requireOtherFile } from '../files/identity.ts';
import { publish, readable } from '../files/publish.ts';
import { type PageOptions, report } from '../library/report.ts';
import { printPieces, warn } from '../output/console.ts';

export interface ReportArguments extends Omit<PageOptions, 'debugDirectories' | 'updates'> {
  output?: string;
  update?: { readonly call: string; readonly value: string }[];
  debugDir?: string[];
}

/** Runs the command; returns the exit status. */
export async function runReport(files: readonly string[], args: ReportArguments): Promise<number> {
  const { output, update, debugDir, ...options } = args;
  if (output === undefined && process.stdout.isTTY)
    throw new TextpokeError(
      'usage',
      'a report is for a browser: give it a file (-o report.html), or redirect it',
    );
  const others = [options.original, options.memory].filter((file) => typeof file === 'string');
  const inputs = [...files, ...others];
  if (output !== undefined) requireOtherFile('-o', output, inputs);
  const { html, notes } = await report(files, { ...options, updates: update, debugDirectories: debugDir });
  if (output === undefined) await printPieces(html, ExitCode.done);
  else {
    const told = await publish(output, new TextEncoder().encode(html), readable);
    for (const note of told) warn(`${output}: ${note}`);
  }
  for (const note of notes) warn(note);
  return ExitCode.done;
}
