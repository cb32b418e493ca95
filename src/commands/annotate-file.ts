// One file through annotate, here or in a worker thread.
import type { AnnotateOptions, ObjectCheck } from '../annotate/options.ts';
import { type Annotated, annotate } from '../annotate/passes.ts';
import type { AnnotateStats } from '../annotate/stats.ts';
import { type ErrorCode, type ErrorPlace, TextpokeError } from '../errors.ts';
import { readInput } from '../files/input.ts';
import { backUp, publish } from '../files/publish.ts';

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

/** Annotates one file and publishes it. Returns what was found in it. */
export function annotateFile(path: string, args: AnnotateArguments, check?: ObjectCheck): Annotated {
  const bytes = readInput(path);
  const result = annotate(path, bytes, args, check);
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
export function tryAnnotateFile(path: string, args: AnnotateArguments, check?: ObjectCheck): Outcome {
  try {
    return { stats: annotateFile(path, args, check).stats };
  } catch (error) {
    if (error instanceof TextpokeError)
      return { error: { code: error.code, message: error.message, place: error.place } };
    return { defect: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
