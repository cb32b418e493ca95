// annotate -j: the files in turns over worker threads of this same program. Which worker takes a file makes no
// difference to its bytes; results are reported in the order of the command line.
import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { ErrorCode, ErrorPlace } from '../errors.ts';
import { TextpokeError } from '../errors.ts';
import { publishInThreads } from '../output/publish.ts';
import type { AnnotateStats } from '../pipeline.ts';
import { type AnnotateArguments, annotateFile, workerFlag } from './annotate.ts';

interface Task {
  readonly files: readonly string[];
  readonly args: AnnotateArguments;
}

type Outcome =
  | { readonly stats: AnnotateStats[] }
  | { readonly error: { code: ErrorCode; message: string; place: ErrorPlace } }
  | { readonly defect: string };

function runOne(file: string, args: AnnotateArguments): Outcome {
  try {
    return { stats: annotateFile(file, args).stats };
  } catch (error) {
    if (error instanceof TextpokeError) {
      return { error: { code: error.code, message: error.message, place: error.place } };
    }
    return { defect: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** In a worker thread: does the share of the work that it was started with. */
export function serveAnnotate(): void {
  const task = workerData as Task;
  parentPort?.postMessage(task.files.map((file) => runOne(file, task.args)));
}

/** Where a file is that is published through its symbolic links. */
function realDirectory(file: string): string {
  return dirname(existsSync(file) ? realpathSync(file) : file);
}

/** Annotates `files` with `count` workers. The first failure in order of the command line is thrown. */
export async function annotateInWorkers(
  files: readonly string[],
  args: AnnotateArguments,
  count: number,
): Promise<AnnotateStats[]> {
  const shares = Array.from({ length: count }, (_, k) => files.filter((_, i) => i % count === k));
  const workers = shares.map((share) => {
    const task: Task = { files: share, args };
    return new Worker(fileURLToPath(import.meta.url), { workerData: task, argv: [workerFlag] });
  });
  publishInThreads(files.map(realDirectory), () => Promise.all(workers.map((worker) => worker.terminate())));
  const outcomes = await Promise.all(
    workers.map(
      (worker) =>
        new Promise<Outcome[]>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  return files.flatMap((_, i) => {
    const outcome = outcomes[i % count]?.[Math.floor(i / count)];
    if (outcome && 'stats' in outcome) return outcome.stats;
    if (outcome && 'error' in outcome) {
      throw new TextpokeError(outcome.error.code, outcome.error.message, outcome.error.place);
    }
    throw new Error(outcome?.defect ?? 'a worker returned nothing');
  });
}
