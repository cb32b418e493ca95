// annotate -j: the files in turns over worker threads of this same program. Which worker takes a file makes no
// difference to its bytes; results are reported in the order of the command line.
import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { publishInThreads } from '../files/publish.ts';
import { type AnnotateArguments, type Outcome, tryAnnotateFile, workerFlag } from './annotate-file.ts';

interface Task {
  readonly files: readonly string[];
  readonly args: AnnotateArguments;
}

/** In a worker thread: does the share of the work that it was started with. */
export async function serveAnnotate(): Promise<void> {
  const task = workerData as Task;
  const outcomes: Outcome[] = [];
  for (const file of task.files) outcomes.push(await tryAnnotateFile(file, task.args));
  parentPort?.postMessage(outcomes);
}

/** Where a file and its backup are written: the file through its symbolic links. */
function directoriesOf(file: string): string[] {
  return [dirname(existsSync(file) ? realpathSync(file) : file), dirname(file)];
}

/** Annotates `files` with `count` workers; outcomes in the order of the files. */
export async function annotateInWorkers(
  files: readonly string[],
  args: AnnotateArguments,
  count: number,
): Promise<Outcome[]> {
  const shares = Array.from({ length: count }, (_, k) => files.filter((_, i) => i % count === k));
  const workers = shares.map((share) => {
    const task: Task = { files: share, args };
    return new Worker(fileURLToPath(import.meta.url), { workerData: task, argv: [workerFlag] });
  });
  publishInThreads(files.flatMap(directoriesOf), () =>
    Promise.all(workers.map((worker) => worker.terminate())),
  );
  const outcomes = await Promise.all(
    workers.map(
      (worker) =>
        new Promise<Outcome[]>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  const nothing: Outcome = { defect: 'a worker returned nothing' };
  return files.map((_, i) => outcomes[i % count]?.[Math.floor(i / count)] ?? nothing);
}
