// One file through annotate, here or in a worker thread.
import type { AnnotateOptions, ObjectCheck } from '../annotate/options.ts';
import { type Annotated, annotate } from '../annotate/passes.ts';
import type { AnnotateStats } from '../annotate/stats.ts';
import {
  asTooLarge,
  type ErrorCode,
  type ErrorPlace,
  ExitCode,
  errorCodes,
  TextpokeError,
} from '../errors.ts';
import { identityOf, isSameFile } from '../files/identity.ts';
import { readInput } from '../files/input.ts';
import { backUp, publish } from '../files/publish.ts';
import { standardStream } from '../files/stream.ts';

/** Argument that tells a worker thread of -j what it is. */
export const workerFlag = '--textpoke-annotate-worker';

/** The arguments of annotate: what it does with files, and what the library is asked for. */
export interface AnnotateArguments extends AnnotateOptions {
  readonly output?: string;
  readonly filesFrom?: string;
  readonly depfile?: string;
  readonly dryRun?: boolean;
  readonly backup?: boolean;
  readonly stats?: boolean;
  readonly json?: boolean;
  readonly jobs?: number;
  readonly crossCheck?: boolean;
}

/** What was found in a file, and what a person has to know of how it was written. */
export interface AnnotatedFile extends Annotated {
  readonly notes: readonly string[];
}

/** Annotates one file and publishes it. Returns what was found in it. */
export async function annotateFile(
  path: string,
  args: AnnotateArguments,
  check?: ObjectCheck,
): Promise<AnnotatedFile> {
  const { output = path, backup, dryRun } = args;
  const inPlace = output === path || isSameFile(output, path);
  const seen = inPlace ? identityOf(path) : undefined;
  const bytes = readInput(path);
  const countUndecodable = args.stats || args.json || dryRun;
  const result = annotate(path, bytes, { ...args, countUndecodable }, check);
  if (dryRun || (inPlace && !result.bytes && output !== standardStream)) return { ...result, notes: [] };
  const kept = backup && inPlace ? await backUp(path, bytes, seen) : [];
  const published = await publish(output, result.bytes ?? bytes, path, seen);
  const tell = (file: string) => (note: string) => `${file}: ${note}`;
  return { ...result, notes: [...kept.map(tell(`${path}.orig`)), ...published.map(tell(output))] };
}

/** What became of a file; a worker thread can hand it on. */
export type Outcome =
  | { readonly stats: readonly AnnotateStats[]; readonly notes: readonly string[] }
  | { readonly error: { code: ErrorCode; message: string; place: ErrorPlace } }
  | { readonly defect: string };

/** Descriptors, memory, threads. */
const scarce = /\b(EMFILE|ENFILE|ENOMEM|EAGAIN)\b|there is no memory/;

/** True for a file that could not be read or written because too much of the system is in use. */
export function isForWantOfMeans(outcome: Outcome): boolean {
  return (
    'error' in outcome && errorCodes[outcome.error.code] === ExitCode.io && scarce.test(outcome.error.message)
  );
}

/** Lets handlers of signals and of other threads run, so that a long list can be interrupted. */
const othersHeard = () => new Promise((resolve) => setImmediate(resolve));

/** Annotates one file, whatever comes of it. */
export async function tryAnnotateFile(
  path: string,
  args: AnnotateArguments,
  check?: ObjectCheck,
): Promise<Outcome> {
  try {
    const { stats, notes } = await annotateFile(path, args, check);
    return { stats, notes };
  } catch (error) {
    const known = error instanceof TextpokeError ? error : asTooLarge(error);
    if (known) {
      const place = known.place.file === undefined ? { ...known.place, file: path } : known.place;
      return { error: { code: known.code, message: known.message, place } };
    }
    return { defect: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** Annotates files one after the other, whatever comes of each. */
export async function tryAnnotateFiles(
  files: readonly string[],
  args: AnnotateArguments,
  check?: ObjectCheck,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of files) {
    outcomes.push(await tryAnnotateFile(file, args, check));
    await othersHeard();
  }
  return outcomes;
}
