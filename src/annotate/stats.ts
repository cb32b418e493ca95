// What annotate tells of an object: counts by kind of site, and what else was done.
import { listedKinds } from '../kinds/registry.ts';
import type { Found, FoundCounts } from '../object/found.ts';
import type { ObjectCode } from '../object/object-code.ts';

/** What one object gave, in numbers of entries where nothing else is said. */
export interface AnnotateStats {
  /** The object, or `lib.a(member.o)`. */
  readonly file: string;
  /** Written to `.static_call_sites`. */
  readonly staticCalls: number;
  /** Written to `__jump_table`. */
  readonly staticBranches: number;
  /** Written to `.smp_locks`. */
  readonly locks: number;
  /** Locks marked to be kept, listed in a table of their own. */
  readonly keptLocks: number;
  /** Written to `.smp_barriers`. */
  readonly barriers: number;
  /** Entries of these tables that were there before. */
  readonly alreadyListed: number;
  /** Jumps of static branches that became NOPs. */
  readonly rewrittenJumps: number;
  /** Absolute jump entries made relative. */
  readonly madeRelative: number;
  /** Names of keys that the object did not know. */
  readonly keysAdded: readonly string[];
  /** Locks that the object's own `.smp_locks` leaves out. */
  readonly unlistedLocks: number;
}

/** What `textpoke annotate --json` prints (docs/annotate.schema.json). */
export interface AnnotateDocument {
  readonly schema: 'textpoke.annotate/1';
  readonly files: readonly AnnotateStats[];
}

/** The document of what objects gave. */
export function annotateJson(files: readonly AnnotateStats[]): AnnotateDocument {
  return { schema: 'textpoke.annotate/1', files };
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
