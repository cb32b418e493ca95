// textpoke verify: proves a patched image.
import { loadDisassemblers } from '../arch/disassembler.ts';
import { checkBaseline } from '../diff/baseline.ts';
import { compareSites } from '../diff/compare.ts';
import { ExitCode, inFile, TextpokeError } from '../errors.ts';
import type { Finding } from '../findings.ts';
import type { Image } from '../image/image.ts';
import { locate } from '../memory/locate.ts';
import { openDump } from '../memory/open.ts';
import { print } from '../output/console.ts';
import { memoryJson, memoryText } from '../output/memory.ts';
import { verifyJson, verifyText } from '../output/verify.ts';
import { verifyMemory } from '../verify/memory.ts';
import { type LockCheck, verifyImage } from '../verify/verify.ts';
import { sitesOf } from './diff.ts';
import { readImage } from './input.ts';

export interface VerifyArguments {
  original?: string;
  cpus?: number;
  locks?: LockCheck;
  linked?: boolean;
  baseline?: string;
  memory?: string;
  base?: number;
  slide?: number;
  format?: 'text' | 'json';
}

/** Runs the command; 1 when there are findings. A good image prints nothing. */
export async function runVerify(file: string, args: VerifyArguments): Promise<number> {
  const image = readImage(file);
  if (args.memory !== undefined) return compareMemory(file, image, args.memory, args);
  const inItself = verifyImage(image, {
    state: args.linked ? 'linked' : 'booted',
    cpus: args.cpus,
    locks: args.locks,
    original: args.original === undefined ? undefined : readImage(args.original),
  });
  const besides = args.baseline === undefined ? [] : await againstBaseline(args.baseline, file);
  const verified = { ...inItself, findings: [...inItself.findings, ...besides] };
  const found = verified.findings.length > 0;
  if (args.format === 'json') print(JSON.stringify(verifyJson(file, verified), null, 2));
  else if (found) print(verifyText(file, image, verified, await loadDisassemblers(image.arch)));
  return found ? ExitCode.findings : ExitCode.done;
}

/** What an earlier build had that this one has not, and the other way round. */
async function againstBaseline(baseline: string, file: string): Promise<Finding[]> {
  const [before, after] = [await sitesOf(baseline), await sitesOf(file)].map((files) => files.get(undefined));
  if (!before || !after) {
    throw new TextpokeError('not-an-image', 'an image or an object is required, found an archive', {
      file: baseline,
    });
  }
  return [...checkBaseline(compareSites(before, after))];
}

/** The image against the memory of a running system; says what was compared even when all is well. */
async function compareMemory(
  file: string,
  image: Image,
  memory: string,
  { base, slide, cpus, format }: VerifyArguments,
): Promise<number> {
  const place = inFile(memory, () => locate(image, openDump(memory, image, base), slide));
  const verified = inFile(memory, () => verifyMemory(image, place, cpus));
  if (format === 'json') print(JSON.stringify(memoryJson(file, memory, verified), null, 2));
  else print(memoryText(file, memory, verified, await loadDisassemblers(image.arch)));
  return verified.findings.length > 0 ? ExitCode.findings : ExitCode.done;
}
