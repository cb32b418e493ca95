// textpoke diff: the sites of two builds, by function and order.
import { ExitCode } from '../errors.ts';
import { type DiffFormat, diff } from '../library/diff.ts';
import { isOutputColoured, print } from '../output/console.ts';

export interface DiffArguments {
  format?: DiffFormat;
  expandLimit?: number;
  debugDir?: string[];
  table?: string;
}

/** Runs the command; 1 when a site of the old build is gone. */
export async function runDiff(
  old: string,
  now: string,
  { format = 'text', expandLimit, debugDir, table }: DiffArguments,
): Promise<number> {
  const { document, reports } = await diff(old, now, {
    formats: [format],
    color: isOutputColoured(),
    expandLimit,
    table,
    debugDirectories: debugDir,
  });
  if (reports[format]) print(reports[format]);
  return document.removed > 0 ? ExitCode.findings : ExitCode.done;
}
