// Publishes a file whole: a sibling is written and renamed over the target, so that the old file survives every
// failure and every kill. No fsync: a build remakes its objects after a power cut.
import {
  chmodSync,
  closeSync,
  copyFileSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { reasonOf } from '../elf/source.ts';
import { TextpokeError } from '../errors.ts';

/** Siblings that exist right now; a signal handler removes them (see main.ts). */
const pending = new Set<string>();

/** Removes every unfinished sibling; for handlers of SIGINT, SIGTERM and exit. */
export function discardPending(): void {
  for (const path of pending) {
    try {
      unlinkSync(path);
    } catch {
      // Already renamed or gone: nothing is left behind either way.
    }
  }
  pending.clear();
}

let counter = 0;

/** Permissions of a program that was made anew, for `publish`. */
export const executable = Symbol('executable');

/**
 * Replaces or creates `target` (through symbolic links) with `bytes`, with the permissions of the file `modeOf`.
 * Error `write-failed`; the target is then as it was, and nothing else is left.
 */
export function publish(target: string, bytes: Uint8Array, modeOf: string | typeof executable): void {
  try {
    const path = statSync(target, { throwIfNoEntry: false }) ? realpathSync(target) : target;
    const sibling = join(dirname(path), `.${basename(path)}.${process.pid}.${counter++}.tmp`);
    refuseReadOnly(path);
    const fd = openSync(sibling, 'wx', 0o666);
    pending.add(sibling);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    } finally {
      closeSync(fd);
    }
    chmodSync(sibling, modeOf === executable ? 0o777 & ~process.umask() : statSync(modeOf).mode & 0o7777);
    renameSync(sibling, path);
    pending.delete(sibling);
  } catch (error) {
    discardPending();
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
