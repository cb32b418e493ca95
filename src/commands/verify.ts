// textpoke verify: proves a patched image, or the memory of a system that runs it.

import { checkBaseline } from '../diff/baseline.ts';
import { compareSites } from '../diff/compare.ts';
import { loadDisassemblers } from '../engines/disassembler.ts';
import { ExitCode, inFile, TextpokeError } from '../errors.ts';
import { locateImage } from '../memory/locate.ts';
import { openSnapshot } from '../memory/open.ts';
import type { LockPolicy } from '../object/found.ts';
import { print, warn } from '../output/console.ts';
import { githubText } from '../output/github.ts';
import { junitXml } from '../output/junit.ts';
import { memoryJson, memoryText } from '../output/memory.ts';
import { sarifLog } from '../output/sarif.ts';
import { verifyJson, verifyText } from '../output/verify.ts';
import type { Finding } from '../verify/finding.ts';
import { verifyMemory } from '../verify/memory.ts';
import { runVerify as verifyImage } from '../verify/passes.ts';
import { makeReport, type Report } from '../verify/report.ts';
import { rules, type Severity } from '../verify/rules.ts';
import { parseConfig, type Suppression } from '../verify/suppressions.ts';
import { sitesOf } from './diff.ts';
import { openImage, readBytes } from './input.ts';

export const verifyFormats = ['text', 'json', 'sarif', 'junit', 'github'] as const;

export interface VerifyArguments {
  original?: string;
  cpus?: number;
  locks?: LockPolicy;
  linked?: boolean;
  baseline?: string;
  config?: string;
  failOn?: Severity;
  memory?: string;
  base?: number;
  slide?: number;
  format?: (typeof verifyFormats)[number];
}

/** What the formats differ in between an image and a memory. */
interface Subject {
  readonly json: (report: Report) => unknown;
  /** Said as text even when all is well. */
  readonly text: string;
}

/** Runs the command; 1 when there are findings of the severity to fail on. A good image prints nothing. */
export async function runVerify(file: string, args: VerifyArguments): Promise<number> {
  const image = openImage(file);
  const configuration =
    args.config === undefined ? undefined : { path: args.config, suppressions: readConfig(args.config) };
  if (args.memory !== undefined) {
    const { memory } = args;
    const verified = inFile(memory, () => {
      const place = locateImage(image, openSnapshot(memory, image, args.base), args.slide);
      return verifyMemory(image, place, args.cpus);
    });
    const report = makeReport(file, verified.image, verified.findings, { configuration });
    const json = (all: Report) => memoryJson(all, memory, verified);
    return show(report, args, { json, text: memoryText(memory, verified) });
  }
  const original = args.original === undefined ? undefined : openImage(args.original);
  const { findings, counts } = verifyImage(image, {
    state: args.linked ? 'linked' : 'booted',
    cpus: args.cpus,
    locks: args.locks,
    original,
  });
  const besides = args.baseline === undefined ? [] : await againstBaseline(args.baseline, file);
  const report = makeReport(file, image, [...findings, ...besides], {
    configuration,
    given: (['original', 'baseline'] as const).filter((need) => args[need] !== undefined),
  });
  return show(report, args, { json: (all) => verifyJson(all, counts), text: '' });
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

function readConfig(path: string): Suppression[] {
  return inFile(path, () => parseConfig(Buffer.from(readBytes(path)).toString('utf8')));
}

async function show(report: Report, args: VerifyArguments, subject: Subject): Promise<number> {
  const failsOn: readonly Severity[] = args.failOn === 'warning' ? ['error', 'warning'] : ['error'];
  const fails = report.findings.some(({ rule }) => failsOn.includes(rules[rule].severity));
  const text = await inFormat(report, args.format ?? 'text', failsOn, subject);
  if (text !== '') print(text);
  if (report.linesProblem !== undefined) warn(`${report.file}: ${report.linesProblem}`);
  return fails ? ExitCode.findings : ExitCode.done;
}

async function inFormat(
  report: Report,
  format: (typeof verifyFormats)[number],
  failsOn: readonly Severity[],
  subject: Subject,
): Promise<string> {
  switch (format) {
    case 'text': {
      const found = report.findings.length > 0;
      return (
        verifyText(report, found ? await loadDisassemblers(report.image.arch) : undefined) + subject.text
      );
    }
    case 'json':
      return JSON.stringify(subject.json(report), null, 2);
    case 'sarif':
      return JSON.stringify(sarifLog(report));
    case 'junit':
      return junitXml(report, failsOn);
    case 'github':
      return githubText(report, process.env.GITHUB_WORKSPACE);
  }
}
