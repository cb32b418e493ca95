// textpoke verify: proves a patched image, or the memory of a system that runs it.
import { largestOf } from '../bytes/integer.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { readText } from '../files/input.ts';
import { withImage } from '../library/image.ts';
import { textIn } from '../library/reports.ts';
import { verifyImage, verifyModuleFile } from '../library/verify.ts';
import { verifyImageMemory } from '../library/verify-memory.ts';
import type { VerifyMemoryOptions, VerifyOptions } from '../library/verify-options.ts';
import type { Verified, VerifyFormat } from '../library/verify-report.ts';
import {
  imagesOfProcess,
  runningKernelFile,
  verifyImageProcess,
  verifyImageRunning,
} from '../library/verify-running.ts';
import { isOutputColoured, print, printPieces, warn } from '../output/console.ts';
import { textOf } from '../output/text.ts';
import { compileLess } from './less-compiling.ts';

type SharedArguments =
  | 'cpus'
  | 'failOn'
  | 'original'
  | 'baseline'
  | 'locks'
  | 'linked'
  | 'expandLimit'
  | 'all'
  | 'verbose';

export interface VerifyArguments
  extends Pick<VerifyOptions, SharedArguments>,
    Pick<VerifyMemoryOptions, 'base' | 'physical' | 'slide' | 'modules'> {
  config?: string;
  debugDir?: string[];
  memory?: string;
  pid?: number;
  running?: boolean;
  format?: VerifyFormat;
}

/** Runs the command; 1 when there are findings of the severity to fail on. A good image prints nothing. */
export async function runVerify(given: string | undefined, args: VerifyArguments): Promise<number> {
  const { memory, pid, running = false, format = 'text' } = args;
  requireDump(memory, running, args);
  if (given !== undefined) return verifyFile(given, args);
  if (running) return verifyFile(runningKernelFile(), args);
  if (pid === undefined) throw new TextpokeError('usage', 'an image is required, or --running, or --pid');
  const files = await imagesOfProcess(pid);
  if (files.length > 1 && format !== 'text') {
    const what = `${files.length} files of process ${pid} have tables; ${format} is of one, which has to be named`;
    throw new TextpokeError('usage', `${what}: ${files.join(', ')}`);
  }
  const statuses: number[] = [];
  for (const file of files) {
    if (files.length > 1) print(textOf([`${file}:`]));
    statuses.push(await verifyFile(file, args));
  }
  return largestOf(statuses);
}

function verifyFile(
  file: string,
  { config, memory, pid, debugDir, running = false, format = 'text', ...args }: VerifyArguments,
): Promise<number> {
  if (running || memory !== undefined) compileLess();
  const suppressions =
    config === undefined ? {} : { suppressions: readText(config), suppressionsName: config };
  const options = { ...args, ...suppressions, debugDirectories: debugDir, color: isOutputColoured() };
  const tellWith =
    (unpacked: readonly string[]) =>
    async ({ makers, passed, notes }: Verified<unknown>) => {
      const status = passed ? ExitCode.done : ExitCode.findings;
      await printPieces(await textIn(format, makers), status);
      for (const note of [...unpacked, ...notes]) warn(note);
      return status;
    };
  const isOfMemory = running || pid !== undefined || memory !== undefined;
  return withImage(
    file,
    args,
    async (image, unpacked, relocations) => {
      const tell = tellWith(unpacked);
      const opened = { image, input: file, relocations };
      if (running) return verifyImageRunning(opened, options, tell);
      if (pid !== undefined) return verifyImageProcess(pid, opened, options, tell);
      if (memory !== undefined) return verifyImageMemory(opened, memory, options, tell);
      return tell(await verifyImage(image, file, options));
    },
    isOfMemory ? undefined : async (module) => tellWith([])(await verifyModuleFile(module, file, options)),
  );
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
