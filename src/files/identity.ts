// Which file a name leads to, and whether it is still the file that was read (path_resolution(7)).
import { readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { TextpokeError } from '../errors.ts';
import { standardStream } from './stream.ts';

/** A file as it stood at some time: another file, or one that was written since, has another identity. */
export interface Identity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  /** Nanoseconds. */
  readonly written: bigint;
}

/** The identity of the file that `path` leads to now; undefined where there is none, or none that can be looked at. */
export function identityOf(path: string): Identity | undefined {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return { device: dev, inode: ino, size, written: mtimeNs };
  } catch {
    return undefined;
  }
}

/** False for a file that somebody replaced, wrote or removed since it was `seen`. */
export function isUnchanged(path: string, seen: Identity): boolean {
  const now = identityOf(path);
  return (
    now?.device === seen.device &&
    now.inode === seen.inode &&
    now.size === seen.size &&
    now.written === seen.written
  );
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** What a symbolic link says; undefined for what is none. */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Where a file is written that `path` names: through symbolic links, as open(2) creates it, also where the last one leads
 * to nothing yet. Fails as the system fails for links that go round.
 */
export function destinationOf(path: string): string {
  try {
    return realpathSync.native(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  const directory = realDirectory(path);
  const link = linkAt(path);
  if (link === undefined) return join(directory, basename(path));
  // Not joined: what `..` leads to is for the system to say.
  return destinationOf(link.startsWith('/') ? link : `${directory}/${link}`);
}

function realDirectory(path: string): string {
  try {
    return realpathSync.native(dirname(path));
  } catch {
    return resolve(dirname(path)); // Whoever writes there will say what is wrong.
  }
}

/** True when both names lead to one file, however they are spelt: a link to it is the file too. */
export function isSameFile(one: string, other: string): boolean {
  const [a, b] = [identityOf(one), identityOf(other)];
  if (a && b) return a.device === b.device && a.inode === b.inode;
  return !a && !b && placeOf(one) === placeOf(other);
}

function placeOf(path: string): string {
  try {
    return destinationOf(path);
  } catch {
    return path; // Whoever writes there will say what is wrong.
  }
}

/** Error `usage` when `output`, which `option` gives, is one of the files that are read. */
export function requireOtherFile(option: string, output: string, inputs: readonly string[]): void {
  const input = output === standardStream ? undefined : inputs.find((name) => isSameFile(name, output));
  if (input === undefined) return;
  const same = input === output ? output : `${output}, which is ${input}`;
  throw new TextpokeError(
    'usage',
    `${option} names ${same}: an input, which would be lost; choose another name and rename the file afterwards`,
  );
}
