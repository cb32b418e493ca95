// textpoke verify: proves a patched image.
import { loadDisassemblers } from '../arch/disassembler.ts';
import { ExitCode } from '../errors.ts';
import { print } from '../output/console.ts';
import { verifyJson, verifyText } from '../output/verify.ts';
import { type LockCheck, verifyImage } from '../verify/verify.ts';
import { readImage } from './input.ts';

export interface VerifyArguments {
  original?: string;
  cpus?: number;
  locks?: LockCheck;
  linked?: boolean;
  format?: 'text' | 'json';
}

/** Runs the command; 1 when there are findings. A good image prints nothing. */
export async function runVerify(file: string, args: VerifyArguments): Promise<number> {
  const image = readImage(file);
  const verified = verifyImage(image, {
    state: args.linked ? 'linked' : 'booted',
    cpus: args.cpus,
    locks: args.locks,
    original: args.original === undefined ? undefined : readImage(args.original),
  });
  const found = verified.findings.length > 0;
  if (args.format === 'json') print(JSON.stringify(verifyJson(file, verified), null, 2));
  else if (found) print(verifyText(file, image, verified, await loadDisassemblers(image.arch)));
  return found ? ExitCode.findings : ExitCode.done;
}
