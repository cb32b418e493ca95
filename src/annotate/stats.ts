// What annotate tells of an object: counts by kind of site, and what else was done.
import type { TableRow } from '../bytes/table.ts';
import { listedKinds } from '../kinds/registry.ts';
import type { Found, FoundCounts } from '../object/found.ts';
import type { ObjectCode } from '../object/object-code.ts';
import type { AnnotateOptions } from './options.ts';

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
  /** Locks left out because nothing proves that their bytes are code; they may be constants. */
  readonly unprovenLocks: number;
  /**
   * Bytes of code that are no known instruction (x86-64): data, or instructions newer than textpoke. Undefined where
   * nobody asked.
   */
  readonly undecodableBytes?: number;
  /** The first of the unproven locks, as `symbol+0x10`; empty where there is none. */
  readonly firstUnproven: string;
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

function undecodableBytes(object: ObjectCode): number {
  return object.siteSections.reduce(
    (sum, { section, code }) => sum + (object.arch.undecodableBytes?.(code, object.codeMap(section)) ?? 0),
    0,
  );
}

/** The statistics of what was found in an object. */
export function statsOf(
  object: ObjectCode,
  found: readonly Found[],
  { countUndecodable }: AnnotateOptions = {},
): AnnotateStats {
  const listed = new Map<TableRow, number>();
  const names = new Set<string>();
  for (const { entries } of found) {
    for (const { row, more } of entries) {
      listed.set(row, (listed.get(row) ?? 0) + 1);
      for (const target of more) if ('undefinedName' in target) names.add(target.undefinedName);
    }
  }
  const sum = (count: keyof FoundCounts) =>
    found.reduce((all, { counts }) => all + (counts?.[count] ?? 0), 0);
  const firstUnproven = found.find((of) => of.firstUnproven !== undefined)?.firstUnproven;
  const byKind = listedKinds.map(({ statistic, table }) => [statistic, listed.get(table) ?? 0]);
  return {
    file: object.file.path,
    ...(Object.fromEntries(byKind) as Pick<
      AnnotateStats,
      'staticCalls' | 'staticBranches' | 'locks' | 'keptLocks' | 'barriers'
    >),
    alreadyListed: found.reduce(
      (all, of) => all + of.listed.reduce((some, { entries: old }) => some + old.length, 0),
      0,
    ),
    rewrittenJumps: sum('rewrittenJumps'),
    madeRelative: sum('madeRelative'),
    keysAdded: [...names],
    unlistedLocks: sum('unlistedLocks'),
    unprovenLocks: sum('unprovenLocks'),
    ...(countUndecodable ? { undecodableBytes: undecodableBytes(object) } : {}),
    firstUnproven: firstUnproven ?? '',
  };
}
