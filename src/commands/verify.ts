// textpoke verify: proves a patched image, or the memory of a system that runs it.
import { ExitCode, TextpokeError } from '../errors.ts';
import { readText } from '../files/input.ts';
import { withImage } from '../library/image.ts';
import { textIn } from '../library/reports.ts';
import { type VerifyOptions, verifyImage } from '../library/verify.ts';
import { type VerifyMemoryOptions, verifyImageMemory } from '../library/verify-memory.ts';
import type { Verified, VerifyFormat } from '../library/verify-report.ts';
import { runningKernelFile, verifyImageRunning } from '../library/verify-running.ts';
import { isOutputColoured, printPieces, warn } from '../output/console.ts';
import { compileLess } from './less-compiling.ts';

type SharedArguments = 'cpus' | 'failOn' | 'original' | 'baseline' | 'locks' | 'linked' | 'expandLimit';

export interface VerifyArguments
  extends Pick<VerifyOptions, SharedArguments>,
    Pick<VerifyMemoryOptions, 'base' | 'physical' | 'slide' | 'modules'> {
  config?: string;
  debugDir?: string[];
  memory?: string;
  running?: boolean;
  format?: VerifyFormat;
}

/** Runs the command; 1 when there are findings of the severity to fail on. A good image prints nothing. */
export async function runVerify(
  given: string | undefined,
  { config, memory, debugDir, running = false, format = 'text', ...args }: VerifyArguments,
): Promise<number> {
  const file = given ?? (running ? runningKernelFile() : undefined);
  if (file === undefined) throw new TextpokeError('usage', 'an image is required, or --running');
  requireDump(memory, running, args);
  if (running || memory !== undefined) compileLess();
  return withImage(file, args, async (image, unpacked, relocations) => {
    const suppressions =
      config === undefined ? {} : { suppressions: readText(config), suppressionsName: config };
    const options = { ...args, ...suppressions, debugDirectories: debugDir, color: isOutputColoured() };
    const tell = async ({ makers, passed, notes }: Verified<unknown>) => {
      const status = passed ? ExitCode.done : ExitCode.findings;
      await printPieces(await textIn(format, makers), status);
      for (const note of [...unpacked, ...notes]) warn(note);
      return status;
    };
    const opened = { image, input: file, relocations };
    if (running) return verifyImageRunning(opened, options, tell);
    if (memory !== undefined) return verifyImageMemory(opened, memory, options, tell);
    return tell(await verifyImage(image, file, options));
  });
}

/** Options that say something of a dump need one. */
function requireDump(
  memory: string | undefined,
  running: boolean,
  { base, physical, modules }: VerifyArguments,
): void {
  if (memory === undefined && !running && modules !== undefined)
    throw new TextpokeError(
      'usage',
      '--modules is about a kernel that runs, which --memory or --running names',
    );
  const option = base !== undefined ? '--base' : physical !== undefined ? '--physical' : undefined;
  if (memory === undefined && option !== undefined)
    throw new TextpokeError('usage', `${option} says where a raw image lies, which --memory names`);
}
