// Finds lock prefixes: every F0 that prefixes an instruction, never one in a displacement, an immediate or data.
import { TextpokeError } from '../../errors.ts';
import { type Found, type NewEntry, type Search, sitesOf } from '../../object/found.ts';
import { keepLockSymbol } from '../../object/markers.ts';
import type { CodeSection, ObjectCode } from '../../object/object-code.ts';
import { readObjectTable } from '../../object/tables.ts';
import { keptLocks, smpLocks } from './table.ts';

interface FoundLock {
  readonly section: number;
  /** Section-relative byte offset of the F0 byte itself. */
  readonly offset: number;
  /** Marked as one that must never be dropped. */
  readonly kept: boolean;
}

/**
 * Finds the locks that no entry lists yet, or counts them where the object's own list is to stand; those to be kept go
 * into a table of their own. Error `site-mismatch`: a marker that keeps a lock is not on one.
 */
export function findLocks(search: Search): Found {
  const { object, rules } = search;
  const listed = readObjectTable(object, smpLocks);
  const kept = readObjectTable(object, keptLocks);
  const [known, knownKept] = [sitesOf(listed), sitesOf(kept)];
  const entries: NewEntry[] = [];
  let unlistedLocks = 0;
  const policy = rules.locks ?? (listed.length > 0 ? 'listed' : 'all');
  for (const code of policy === 'none' ? [] : object.siteSections) {
    for (const lock of locksOf(object, code, search.markersIn(code).keptLocks)) {
      if ((lock.kept ? knownKept : known).has(lock)) continue;
      if (policy === 'listed' && !lock.kept) unlistedLocks++;
      else entries.push({ row: lock.kept ? keptLocks : smpLocks, site: lock, more: [] });
    }
  }
  return {
    entries,
    listed: [
      { row: smpLocks, entries: listed },
      { row: keptLocks, entries: kept },
    ],
    counts: { unlistedLocks },
  };
}

/**
 * The lock prefixes of one code section, ascending; none on machines without the prefix. `kept` holds the offsets
 * that carry the keep-this-lock marker. Error `site-mismatch`: such a marker is not on a lock prefix.
 */
function locksOf(object: ObjectCode, code: CodeSection, kept: ReadonlySet<number>): FoundLock[] {
  // Elsewhere the marker is for barriers.
  if (!object.arch.lockPrefix) return [];
  const offsets = object.arch.lockPrefix.find(code.code, object.codeMap(code.section));
  const section = code.section.index;
  const sites = Array.from(offsets, (offset) => ({ section, offset, kept: kept.has(offset) }));
  if (sites.reduce((sum, site) => sum + (site.kept ? 1 : 0), 0) === kept.size) return sites;
  const found = new Set(offsets);
  const offset = [...kept].find((at) => !found.has(at)) as number;
  throw new TextpokeError(
    'site-mismatch',
    `${object.describe(section, offset)}: the marker ${keepLockSymbol} is not at a lock prefix; put the marker directly before the lock prefix`,
    { section: code.section.name, offset },
  );
}
