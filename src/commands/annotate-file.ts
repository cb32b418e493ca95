// What annotate does to one file, in the main thread or in a worker.
import { type ErrorCode, type ErrorPlace, TextpokeError } from '../errors.ts';
import { backUp, publish } from '../files/publish.ts';
import {
  type Annotated,
  type AnnotateOptions,
  type AnnotateStats,
  annotate,
  type LockPolicy,
} from '../pipeline.ts';
import { readBytes } from './input.ts';

/** Argument that tells a worker thread of -j what it is. */
export const workerFlag = '--textpoke-annotate-worker';

export interface AnnotateArguments {
  output?: string;
  filesFrom?: string;
  depfile?: string;
  staticCall?: boolean;
  staticBranch?: boolean;
  smpLocks?: boolean;
  locks?: LockPolicy;
  smpBarriers?: boolean;
  relative?: boolean;
  module?: boolean;
  dryRun?: boolean;
  backup?: boolean;
  stats?: boolean;
  json?: boolean;
  jobs?: number;
  crossCheck?: boolean;
}

/** What annotate does with these arguments: all three kinds of site unless some are named. */
export function annotateOptions(
  args: AnnotateArguments,
  crossCheck?: AnnotateOptions['crossCheck'],
): AnnotateOptions {
  const all = !args.staticCall && !args.staticBranch && !args.smpLocks;
  return {
    staticCall: all || args.staticCall === true,
    staticBranch: all || args.staticBranch === true,
    smpLocks: all || args.smpLocks === true,
    locks: args.locks,
    smpBarriers: args.smpBarriers === true,
    relative: args.relative === true,
    module: args.module === true,
    crossCheck,
  };
}

/** Annotates one file and publishes it. Returns what was found in it. */
export function annotateFile(
  path: string,
  args: AnnotateArguments,
  crossCheck?: AnnotateOptions['crossCheck'],
): Annotated {
  const bytes = readBytes(path);
  const result = annotate(path, bytes, annotateOptions(args, crossCheck));
  if (args.dryRun) return result;
  const target = args.output ?? path;
  if (!result.bytes && target === path) return result;
  if (args.backup && target === path) backUp(path);
  publish(target, result.bytes ?? bytes, path);
  return result;
}

/** What became of a file; a worker thread can hand it on. */
export type Outcome =
  | { readonly stats: readonly AnnotateStats[] }
  | { readonly error: { code: ErrorCode; message: string; place: ErrorPlace } }
  | { readonly defect: string };

/** Annotates one file, whatever comes of it. */
export function tryAnnotateFile(
  path: string,
  args: AnnotateArguments,
  crossCheck?: AnnotateOptions['crossCheck'],
): Outcome {
  try {
    return { stats: annotateFile(path, args, crossCheck).stats };
  } catch (error) {
    if (error instanceof TextpokeError)
      return { error: { code: error.code, message: error.message, place: error.place } };
    return { defect: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
