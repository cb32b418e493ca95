// The rows of lock prefixes: those that one CPU does not need, and those that must never be dropped.
import type { Kind } from '../kind.ts';
import { type DumpedEntry, type DumpedPlace, siteColumns } from '../shown.ts';
import { droppedLocks, lockPatches, lockStates } from './demand.ts';
import { findLocks } from './find.ts';
import { keptLocks, readLockSites, smpLocks } from './table.ts';

/** An entry of `.smp_locks` or `.smp_locks.kept`. */
export interface DumpedLock extends DumpedEntry {
  /** Where the prefix stands. */
  readonly site: DumpedPlace;
  /** What stands there: two hexadecimal digits. */
  readonly byte?: string;
}

type LockKind = Kind<ReturnType<typeof readLockSites>[number], DumpedLock>;

/** What both tables have in common. */
const shared = {
  isInScript: ({ lockPrefix }) => lockPrefix !== undefined,
  hasKeys: false,
  decode: ([site], reader) => ({
    site: reader.code(site),
    ...reader.byte(site),
  }),
  columns: [...siteColumns, 'byte'],
  cells: ({ site, byte }, tools) => [...tools.site(site), byte ?? '-'],
  identify: ({ site }) => ({ place: site }),
  noun: 'lock prefix',
  sizeOf: () => 1,
  longest: () => 1,
  places: (_, { address }) => [{ address, what: 'a lock entry names a place' }],
  meaning: () => '',
  tell: () => '',
} satisfies Partial<LockKind>;

export const lockPrefix: LockKind = {
  ...shared,
  id: 'smpLocks',
  table: smpLocks,
  aliases: ['lock', 'locks', 'smp-locks', 'smp_locks'],
  name: 'lock',
  plural: 'locks',
  group: { id: 'locks', noun: 'lock prefix', state: 'lock' },
  statistic: 'locks',
  annotate: {
    option: 'smpLocks',
    options: [
      { flags: '--smp-locks', description: 'only lock prefixes (.smp_locks)' },
      {
        flags: '--locks <which>',
        description: 'which locks to list: all, decodable, listed or none',
        choices: ['all', 'decodable', 'listed', 'none'],
      },
    ],
    find: findLocks,
  },
  read: (image) => readLockSites(image, smpLocks),
  changes: (_, { address }) => [[address, 1]],
  states: lockStates,
  isNoted: true,
  patched: droppedLocks,
  phase: 'SMP alternatives',
  // alternatives_text_reserved leaves the last byte out.
  reserves: (_, { address }, { start, end, haveDropped }) => haveDropped && start <= address && address < end,
  forCpus: (program, sites, cpus, fill) => ({ patches: lockPatches(program, sites, cpus, fill) }),
  isInModules: true,
};

/** Found with the others, and listed apart. */
export const keptLock: LockKind = {
  ...shared,
  id: 'keptLocks',
  table: keptLocks,
  aliases: ['kept', 'kept-locks'],
  name: 'kept lock',
  plural: 'kept locks',
  statistic: 'keptLocks',
  read: (image) => readLockSites(image, keptLocks),
  changes: () => [],
  states: () => [],
};
