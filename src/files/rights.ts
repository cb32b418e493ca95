// The rights of a file that is replaced, for the file that takes its place: owner, group, mode, and by `cp` of GNU
// coreutils the ACL and the extended attributes, capabilities among them (acl(5), xattr(7), capabilities(7)).
import { type BigIntStats, fchmodSync, fchownSync, fstatSync, statSync } from 'node:fs';

/** A file whose rights another one is to have. */
export interface RightsOf {
  /** Where it lies now: the ACL is read from there. */
  readonly path: string;
  readonly stat: BigIntStats;
}

const permissions = 0o7777;
const setId = 0o6000;
/** Nanoseconds within which a compiler makes a file. */
const making = 1_000_000_000n;

export function rightsOf(path: string): RightsOf {
  return { path, stat: statSync(path, { bigint: true }) };
}

/**
 * Gives an open file the rights of `old`, with the permissions of `mode`; returns what could not be kept, in words.
 * Set-id bits never go to another owner, and another group gets no more than everybody.
 */
export async function keepRights(fd: number, path: string, old: RightsOf, mode: number): Promise<string[]> {
  const owner = Number(old.stat.uid);
  const group = Number(old.stat.gid);
  const notes: string[] = [];
  const { uid, gid } = tryChown(fd, owner, group);
  let kept = mode & permissions;
  if (uid !== owner || gid !== group) {
    kept &= ~setId;
    if (gid !== group) kept &= ~0o070 | ((kept & 0o007) << 3);
    const without = (mode & setId) !== 0 ? ', without set-user-ID and set-group-ID' : '';
    notes.push(`the owner ${owner}:${group} cannot be kept; the file belongs to ${uid}:${gid} now${without}`);
  }
  if (mayHaveAttributes(old.stat)) {
    const problem = await copyAttributes(old.path, path);
    if (problem !== undefined) notes.push(`its ACL and extended attributes cannot be kept: ${problem}`);
  }
  // Last: a change of the owner takes set-id bits away, and cp gives all of them.
  fchmodSync(fd, kept);
  if ((fstatSync(fd).mode & permissions) !== kept) notes.push(`its mode ${kept.toString(8)} cannot be kept`);
  return notes;
}

/** Gives a file to an owner and a group, or at least to the group; returns what it belongs to then. */
function tryChown(fd: number, uid: number, gid: number): { uid: number; gid: number } {
  const now = fstatSync(fd);
  for (const owner of [uid, now.uid]) {
    if (now.uid === owner && now.gid === gid) return now;
    try {
      fchownSync(fd, owner, gid);
      break;
    } catch {
      // The owner that the file has then says it.
    }
  }
  return fstatSync(fd);
}

/**
 * False for a file that was made a moment before it was last written, and not touched since: what a compiler leaves.
 * Node cannot read attributes, and a process for each file of a build would cost more than annotate.
 */
function mayHaveAttributes({ mode, birthtimeNs, mtimeNs, ctimeNs }: BigIntStats): boolean {
  const isFresh = ctimeNs === mtimeNs && birthtimeNs > 0n && mtimeNs - birthtimeNs < making;
  return !isFresh || (Number(mode) & setId) !== 0;
}

/** Returns why they could not be copied. */
async function copyAttributes(from: string, to: string): Promise<string | undefined> {
  const { spawnSync } = await import('node:child_process'); // what annotate does not load
  const args = ['--attributes-only', '--preserve=mode,xattr', '--', from, to];
  const { status, stderr, error } = spawnSync('cp', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return undefined;
  return error ? `cannot run cp: ${error.message}` : stderr.trim() || `cp ended with status ${status}`;
}
