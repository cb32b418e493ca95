// annotate -j: the files in turns over worker threads of this same program. Which worker takes a file makes no
// difference to its bytes; results are reported in the order of the command line.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker } from 'node:worker_threads';
import { publishInThreads } from '../files/publish.ts';
import {
  type AnnotateArguments,
  isForWantOfMeans,
  type Outcome,
  tryAnnotateFile,
  workerFlag,
} from './annotate-file.ts';

/** What a worker is given at a time. */
interface Share {
  readonly files: readonly string[];
  readonly args: AnnotateArguments;
}

/** Files that a worker is given at a time: enough of them that messages cost nothing. */
const shareSize = 32;

/** In a worker thread: annotates what it is given, until there is no more. */
export function serveAnnotate(): void {
  parentPort?.on('message', async ({ files, args }: Share) => {
    const outcomes: Outcome[] = [];
    for (const file of files) outcomes.push(await tryAnnotateFile(file, args));
    parentPort?.postMessage(outcomes);
  });
}

/** Where files and their backups are written: the files through their symbolic links. */
function realDirectories(files: readonly string[]): Set<string> {
  const directories = new Set<string>();
  for (const file of files) {
    directories.add(dirname(file));
    try {
      directories.add(dirname(realpathSync.native(file)));
    } catch {
      // Reading it will say what is wrong.
    }
  }
  return directories;
}

/** Descriptors that Node opens for a thread, and what a thread needs for the files that it works on. */
const descriptorsEach = 4 + 4;

/** Threads for which there are descriptors: Node does not always survive it when one of them gets none. */
function mostWorkers(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    const left = Number(limit ?? Number.POSITIVE_INFINITY) - readdirSync('/proc/self/fd').length;
    return Math.floor(left / descriptorsEach);
  } catch {
    return Number.POSITIVE_INFINITY; // not Linux
  }
}

/**
 * Annotates `files` with `count` workers, or as many as the system gives, and if need be without any; outcomes in the
 * order of the files.
 */
export async function annotateInWorkers(
  files: readonly string[],
  args: AnnotateArguments,
  count: number,
): Promise<Outcome[]> {
  const outcomes = new Array<Outcome | undefined>(files.length);
  const workers: Worker[] = [];
  publishInThreads(realDirectories(files), () => Promise.all(workers.map((worker) => worker.terminate())));
  const rest = { next: 0 };
  // One after the other starts, and gets its first share while the next one does.
  const ended: Promise<void>[] = [];
  const most = Math.min(count, mostWorkers());
  while (workers.length < most && rest.next < files.length) {
    const worker = await startWorker();
    if (!worker) break;
    workers.push(worker);
    ended.push(work(worker, files, args, rest, outcomes));
  }
  await Promise.all(ended);
  // Many workers may leave too few descriptors or memory for each; alone, this thread has all of them.
  const all: Outcome[] = [];
  for (const [i, file] of files.entries()) {
    const outcome = outcomes[i];
    all.push(outcome && !isForWantOfMeans(outcome) ? outcome : await tryAnnotateFile(file, args));
  }
  return all;
}

/** A worker that runs; undefined where the system gives no further one (descriptors, memory, threads). */
async function startWorker(): Promise<Worker | undefined> {
  try {
    const worker = new Worker(fileURLToPath(import.meta.url), { argv: [workerFlag] });
    return await new Promise((resolve, reject) => {
      worker.once('online', () => resolve(worker));
      worker.once('error', reject);
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_WORKER_INIT_FAILED' || code === 'ERR_WORKER_OUT_OF_MEMORY') return undefined;
    throw error;
  }
}

/** Has a worker take shares until none is left; what it leaves undone when it runs out of memory is without outcome. */
async function work(
  worker: Worker,
  files: readonly string[],
  args: AnnotateArguments,
  rest: { next: number },
  outcomes: (Outcome | undefined)[],
): Promise<void> {
  let from = 0;
  const give = () => {
    from = rest.next;
    rest.next = Math.min(from + shareSize, files.length);
    const share: Share = { files: files.slice(from, rest.next), args };
    if (share.files.length > 0) worker.postMessage(share);
    return share.files.length > 0;
  };
  await new Promise<void>((resolve, reject) => {
    worker.on('message', (done: readonly Outcome[]) => {
      for (const [i, outcome] of done.entries()) outcomes[from + i] = outcome;
      if (!give()) resolve();
    });
    worker.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') resolve();
      else reject(error);
    });
    if (!give()) resolve();
  });
  await worker.terminate();
}
