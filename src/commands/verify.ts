// textpoke verify: proves a patched image, or the memory of a system that runs it.
import { ExitCode } from '../errors.ts';
import { readText } from '../files/input.ts';
import { withImage } from '../library/image.ts';
import { type VerifyOptions, verifyImage } from '../library/verify.ts';
import { type VerifyMemoryOptions, verifyImageMemory } from '../library/verify-memory.ts';
import type { Verification, VerifyFormat } from '../library/verify-report.ts';
import { isOutputColoured, print, warn } from '../output/console.ts';

type SharedArguments = 'cpus' | 'failOn' | 'original' | 'baseline' | 'locks' | 'linked' | 'expandLimit';

export interface VerifyArguments
  extends Pick<VerifyOptions, SharedArguments>,
    Pick<VerifyMemoryOptions, 'base' | 'slide'> {
  config?: string;
  memory?: string;
  format?: VerifyFormat;
}

/** Runs the command; 1 when there are findings of the severity to fail on. A good image prints nothing. */
export async function runVerify(
  file: string,
  { config, memory, format = 'text', ...args }: VerifyArguments,
): Promise<number> {
  const { passed, reports, notes } = await withImage<Verification<unknown>>(file, (image) => {
    const suppressions =
      config === undefined ? {} : { suppressions: readText(config), suppressionsName: config };
    const options = { ...args, ...suppressions, formats: [format], color: isOutputColoured() };
    return memory === undefined
      ? verifyImage(image, file, options)
      : verifyImageMemory(image, file, memory, options);
  });
  if (reports[format]) print(reports[format]);
  for (const note of notes) warn(note);
  return passed ? ExitCode.done : ExitCode.findings;
}
