// Publishes a file whole: a sibling is written and renamed over the target, so that the old file survives every
// failure and every kill. No fsync: a build remakes its objects after a power cut.
import {
  closeSync,
  copyFileSync,
  fchmodSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TextpokeError } from '../errors.ts';
import { reasonOf } from './source.ts';

/** Siblings of this thread that exist right now. */
const pending = new Set<string>();

/** `.NAME.PID.COUNT`: nobody else's files are called so. */
const siblingName = /^\..+\.(\d+)\.\d+\.textpoke\.tmp$/;

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Already renamed or gone: nothing is left behind either way.
  }
}

/** Removes those siblings in a directory that `unwanted` says are, by the process that made them. */
function removeSiblings(directory: string, unwanted: (pid: number, path: string) => boolean): void {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return; // Whoever writes there will say so.
  }
  for (const name of names) {
    const pid = siblingName.exec(name)?.[1];
    const path = join(directory, name);
    if (pid !== undefined && unwanted(Number(pid), path)) removeQuietly(path);
  }
}

/** Removes every unfinished sibling of this thread. */
export function discardPending(): void {
  for (const path of pending) removeQuietly(path);
  pending.clear();
}

/** Threads that publish: where, and how they are stopped. */
let threads: { readonly directories: ReadonlySet<string>; readonly stop: () => Promise<unknown> } | undefined;

/** Says that other threads of this process are going to publish; see `abandon`. */
export function publishInThreads(directories: Iterable<string>, stop: () => Promise<unknown>): void {
  threads = { directories: new Set(directories), stop };
}

/** For handlers of signals: ends all writing and removes every unfinished sibling of this process. */
export async function abandon(): Promise<void> {
  discardPending();
  if (!threads) return;
  await threads.stop();
  for (const directory of threads.directories) removeSiblings(directory, (pid) => pid === process.pid);
}

/** A process that waits between writing and renaming waits for milliseconds. */
const abandonedAfter = 60_000;

function isAbandoned(pid: number, path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat || Date.now() - stat.mtimeMs < abandonedAfter) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

const swept = new Set<string>();
/** Threads of one process begin at different numbers. */
let counter = Math.floor(Math.random() * 1e9);

/**
 * A name beside `path` for what shall replace it, to be renamed into it or discarded. What processes that were killed have
 * left in the directory is removed, once a run.
 */
export function siblingOf(path: string): string {
  const directory = dirname(path);
  if (!swept.has(directory)) removeSiblings(directory, isAbandoned);
  swept.add(directory);
  // A name may be 255 bytes long, with all that is added to it.
  const name = basename(path).slice(-50);
  const sibling = join(directory, `.${name}.${process.pid}.${counter++}.textpoke.tmp`);
  pending.add(sibling);
  return sibling;
}

/** Renames a sibling to the name that it was made for: the file appears whole. */
export function renameInto(sibling: string, path: string): void {
  renameSync(sibling, path);
  pending.delete(sibling);
}

/** Removes a sibling, if it was ever written. */
export function discard(sibling: string): void {
  removeQuietly(sibling);
  pending.delete(sibling);
}

/** Puts a new file at `path` whole, or fails as the system fails: then what was there is there. */
export function replace(path: string, bytes: Uint8Array, mode: number): void {
  const sibling = siblingOf(path);
  try {
    const fd = openSync(sibling, 'wx', 0o666);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      fchmodSync(fd, mode & 0o7777);
    } finally {
      closeSync(fd);
    }
    renameInto(sibling, path);
  } catch (error) {
    discard(sibling);
    throw error;
  }
}

/** Permissions of a program that was made anew, for `publish`. */
export const executable = Symbol('executable');

/**
 * Replaces or creates `target` (through symbolic links) with `bytes`, with the permissions of the file `modeOf`.
 * Error `write-failed`; the target is then as it was, and nothing else is left.
 */
export function publish(target: string, bytes: Uint8Array, modeOf: string | typeof executable): void {
  try {
    const path = statSync(target, { throwIfNoEntry: false }) ? realpathSync(target) : target;
    refuseReadOnly(path);
    replace(path, bytes, modeOf === executable ? 0o777 & ~process.umask() : statSync(modeOf).mode);
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: target });
  }
}

/** rename would replace even a file without write permission; a person who took it away did not want that. */
function refuseReadOnly(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isFile()) throw new Error(stat.isDirectory() ? 'is a directory' : 'is not a regular file');
  if ((stat.mode & 0o222) === 0) throw new Error('the file is read-only');
}

/** Copies `path` to `path.orig` before it is replaced; error `write-failed`. */
export function backUp(path: string): void {
  try {
    copyFileSync(path, `${path}.orig`);
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write the backup: ${reasonOf(error)}`, {
      file: `${path}.orig`,
    });
  }
}
