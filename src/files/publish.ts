// Publishes a file whole: a sibling is written and renamed over the target, so that the old file survives every
// failure and every kill. No fsync: a build remakes its objects after a power cut.
import {
  closeSync,
  fchmodSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TextpokeError } from '../errors.ts';
import { type Content, sendContent, writeContent } from './content.ts';
import { destinationOf, type Identity, isUnchanged } from './identity.ts';
import { keepRights, type RightsOf, rightsOf } from './rights.ts';
import { beforeSignals } from './signals.ts';
import { reasonOf } from './source.ts';
import { standardStream } from './stream.ts';

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
  beforeSignals(abandon);
}

/** Ends all writing and removes every unfinished sibling of this process. */
async function abandon(): Promise<void> {
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
  beforeSignals(abandon);
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

/** What is done with a file that is written, before it gets its name; returns what a person has to know. */
type Finish = (fd: number, sibling: string) => string[] | Promise<string[]>;

/** Puts a new file at `path` whole, or fails as the system fails: then what was there is there. */
async function putInto(path: string, content: Content, finish: Finish): Promise<string[]> {
  const sibling = siblingOf(path);
  try {
    // Nobody else may read what the file that it replaces may keep from them.
    const fd = openSync(sibling, 'wx', 0o600);
    let notes: string[];
    try {
      writeContent(fd, content);
      notes = await finish(fd, sibling);
    } finally {
      closeSync(fd);
    }
    renameInto(sibling, path);
    return notes;
  } catch (error) {
    discard(sibling);
    throw error;
  }
}

/** Puts a new file with the rights of another at `path`, whole; returns what could not be kept. Fails as the system fails. */
export function replace(path: string, bytes: Uint8Array, like: RightsOf): Promise<string[]> {
  return putInto(path, bytes, (fd, sibling) => keepRights(fd, sibling, like, Number(like.stat.mode)));
}

/** Permissions of a program that was made anew, for `publish`. */
export const executable = Symbol('executable');

/** Permissions of a file that was made anew, and is to be read. */
export const readable = Symbol('readable');

const madeAnew = { [executable]: 0o777, [readable]: 0o666 };

/**
 * Replaces or creates `target`, through symbolic links, with `content`; `-` is standard output. A file that is there keeps its rights; where it
 * cannot, the words returned say so. A new one gets the permissions of the file `modeOf`, which `target` gets as far as
 * they make a program of it. Error `write-failed`: the target is as it was, and nothing else is left. The same when the
 * target is no longer what was `seen` there.
 */
export async function publish(
  target: string,
  content: Content,
  modeOf: string | typeof executable | typeof readable,
  seen?: Identity,
): Promise<string[]> {
  if (target === standardStream) {
    await sendToOutput(content);
    return [];
  }
  try {
    const path = destinationOf(target);
    const old = existing(path);
    const made = old && modeOf === target ? Number(old.stat.mode) : permissionsOf(modeOf);
    return await putInto(path, content, async (fd, sibling) => {
      if (!old) fchmodSync(fd, made & 0o777); // as cp has it: set-id bits are the owner's to give
      const notes = old ? await keepRights(fd, sibling, old, Number(old.stat.mode) | (made & 0o111)) : [];
      if (seen && !isUnchanged(path, seen) && !holds(path, content)) throw new Error(changedMeanwhile);
      return notes;
    });
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: target });
  }
}

/** Permissions that a file gets which was made of another one, or anew. */
function permissionsOf(model: string | keyof typeof madeAnew): number {
  return typeof model === 'string' ? statSync(model).mode : madeAnew[model] & ~process.umask();
}

/** `-` is standard output. Errors: `usage` for a terminal, `write-failed`. */
async function sendToOutput(content: Content): Promise<void> {
  const { isatty } = await import('node:tty'); // with node:net, which a small annotate does not load
  if (isatty(1))
    throw new TextpokeError('usage', 'standard output is a terminal, and what is written is not text');
  try {
    sendContent(1, content);
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: 'standard output' });
  }
}

const changedMeanwhile =
  'the file was changed or replaced after it was read; it is left as it is now, so try again';

/** Another process may have done the very same work meanwhile. */
function holds(path: string, bytes: Content): boolean {
  if (!(bytes instanceof Uint8Array)) return false;
  const now = statSync(path, { throwIfNoEntry: false });
  return now?.isFile() === true && now.size === bytes.length && readFileSync(path).equals(bytes);
}

/** The regular file at `path`, which may be replaced. A rename would replace even one without write permission. */
function existing(path: string): RightsOf | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stat) return undefined;
  if (!stat.isFile()) throw new Error(stat.isDirectory() ? 'is a directory' : 'is not a regular file');
  if ((stat.mode & 0o222n) === 0n) throw new Error('the file is read-only');
  return { path, stat };
}

/**
 * Keeps `bytes`, which are those of `path`, as `path.orig`, with the rights of `path`; returns what could not be kept. A
 * symbolic link of that name is replaced and never followed. Error `write-failed`, also when `path` is no longer what was
 * `seen` there; then an older backup is as it was.
 */
export async function backUp(path: string, bytes: Uint8Array, seen?: Identity): Promise<string[]> {
  const backup = `${path}.orig`;
  try {
    if (seen && !isUnchanged(path, seen)) throw new Error(changedMeanwhile);
    const old = existing(destinationOf(path)) ?? rightsOf(path);
    if (!lstatSync(backup, { throwIfNoEntry: false })?.isSymbolicLink()) existing(backup);
    return await replace(backup, bytes, old);
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write the backup: ${reasonOf(error)}`, { file: backup });
  }
}
