// What annotate tells of an object: counts by kind of site, and what else was done.
import { listedKinds } from '../kinds/registry.ts';
import type { Found, FoundCounts } from '../object/found.ts';
import type { ObjectCode } from '../object/object-code.ts';

/** What one object gave. Counts of entries written, already there, and of build-time jumps rewritten. */
export interface AnnotateStats {
  readonly file: string;
  readonly staticCalls: number;
  readonly staticBranches: number;
  readonly locks: number;
  /** Locks marked to be kept, listed in a table of their own. */
  readonly keptLocks: number;
  readonly barriers: number;
  readonly alreadyListed: number;
  readonly rewrittenJumps: number;
  /** Absolute jump entries made relative. */
  readonly madeRelative: number;
  /** Names of keys that the object did not know. */
  readonly keysAdded: readonly string[];
  readonly unlistedLocks: number;
}

/** The statistics of what was found in an object. */
export function statsOf(object: ObjectCode, found: readonly Found[]): AnnotateStats {
  const entries = found.flatMap((of) => of.entries);
  const sum = (count: keyof FoundCounts) =>
    found.reduce((all, { counts }) => all + (counts?.[count] ?? 0), 0);
  const byKind = listedKinds.map(({ statistic, table }) => [
    statistic,
    entries.filter(({ row }) => row === table).length,
  ]);
  const names = entries.flatMap(({ more }) =>
    more.flatMap((target) => ('undefinedName' in target ? [target.undefinedName] : [])),
  );
  return {
    file: object.file.path,
    ...(Object.fromEntries(byKind) as Pick<
      AnnotateStats,
      'staticCalls' | 'staticBranches' | 'locks' | 'keptLocks' | 'barriers'
    >),
    alreadyListed: found.reduce(
      (all, { listed }) => all + listed.reduce((some, { entries: old }) => some + old.length, 0),
      0,
    ),
    rewrittenJumps: sum('rewrittenJumps'),
    madeRelative: sum('madeRelative'),
    keysAdded: [...new Set(names)],
    unlistedLocks: sum('unlistedLocks'),
  };
}
