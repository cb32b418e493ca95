// annotate -j: the files in turns over this thread and worker threads of this same program. Which thread takes a file
// makes no difference to its bytes; results are reported in the order of the command line.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker } from 'node:worker_threads';
import { identityOf } from '../files/identity.ts';
import { publishInThreads } from '../files/publish.ts';
import {
  type AnnotateArguments,
  isForWantOfMeans,
  type Outcome,
  tryAnnotateFile,
  tryAnnotateFiles,
  workerFlag,
} from './annotate-file.ts';

/** What a thread takes at a time. */
interface Share {
  /** Number of the first file among all. */
  readonly from: number;
  readonly files: readonly string[];
  readonly args: AnnotateArguments;
}

/** Files that a thread takes at a time: enough of them that messages cost nothing. */
const shareSize = 32;

/** What a file costs beside its bytes, in bytes that cost as much. */
const fileCost = 20_000;
/**
 * Bytes of work for which another thread is worth its start: it compiles everything anew, and on two threads of one core
 * the first becomes slower meanwhile. About 1,500 objects of a kernel.
 */
const threadCost = Number(process.env.TEXTPOKE_THREAD_COST ?? 64 << 20); // tests start threads for less

/** Threads that make the work on some files shorter, at most `jobs`. */
function threadsFor(files: readonly string[], jobs: number): number {
  let work = 0;
  for (const file of files) work += fileCost + Number(identityOf(file)?.size ?? 0);
  return Math.max(1, Math.min(jobs, files.length, Math.floor(work / threadCost)));
}

/** In a worker thread: annotates what it is given, until there is no more. */
export function serveAnnotate(): void {
  parentPort?.on('message', async ({ files, args }: Share) =>
    parentPort?.postMessage(await tryAnnotateFiles(files, args)),
  );
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
 * Annotates `files` in this thread and in others, `jobs` at most or as many as the system gives and the work is worth;
 * outcomes in the order of the files.
 */
export async function annotateInThreads(
  files: readonly string[],
  args: AnnotateArguments,
  jobs: number,
): Promise<Outcome[]> {
  const outcomes = new Array<Outcome | undefined>(files.length);
  const workers: Worker[] = [];
  publishInThreads(realDirectories(files), () => Promise.all(workers.map((worker) => worker.terminate())));
  let next = 0;
  const take = (): Share | undefined => {
    const from = next;
    next = Math.min(from + shareSize, files.length);
    return from < next ? { from, files: files.slice(from, next), args } : undefined;
  };
  const keep = ({ from }: Share, done: readonly Outcome[]) => {
    for (const [i, outcome] of done.entries()) outcomes[from + i] = outcome;
  };
  const startHelpers = async () => {
    // One after the other starts, and gets its first share while the next one does.
    const ended: Promise<void>[] = [];
    const most = Math.min(threadsFor(files, jobs) - 1, mostWorkers());
    while (workers.length < most && next < files.length) {
      const worker = await startWorker();
      if (!worker) break;
      workers.push(worker);
      ended.push(work(worker, take, keep));
    }
    await Promise.all(ended);
  };
  const workHere = async () => {
    for (let share = take(); share; share = take()) keep(share, await tryAnnotateFiles(share.files, args));
  };
  await Promise.all([startHelpers(), workHere()]);
  // Many workers may leave too few descriptors or memory for each; alone, this thread has all of them.
  const all: Outcome[] = [];
  for (const [i, file] of files.entries()) {
    const outcome = outcomes[i];
    all.push(outcome && !isForWantOfMeans(outcome) ? outcome : await tryAnnotateFile(file, args));
  }
  return all;
}

/** What a thread begins with: the program, which takes its code from the cache, where there is one beside the bundle. */
function programOf(bundle: string): string {
  const program = fileURLToPath(new URL('../bin/textpoke.js', bundle));
  return existsSync(program) ? program : fileURLToPath(bundle);
}

/** A worker that runs; undefined where the system gives no further one (descriptors, memory, threads). */
async function startWorker(): Promise<Worker | undefined> {
  try {
    const worker = new Worker(programOf(import.meta.url), { argv: [workerFlag] });
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
  take: () => Share | undefined,
  keep: (share: Share, done: readonly Outcome[]) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let share: Share | undefined;
    const give = () => {
      share = take();
      if (share) worker.postMessage(share);
      else resolve();
    };
    worker.on('message', (done: readonly Outcome[]) => {
      keep(share as Share, done);
      give();
    });
    worker.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') resolve();
      else reject(error);
    });
    give();
  });
  await worker.terminate();
}
