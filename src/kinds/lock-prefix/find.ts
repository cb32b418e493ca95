// Finds lock prefixes: every F0 that prefixes an instruction, never one in a displacement, an immediate or data.
import { TextpokeError } from '../../errors.ts';
import { type Found, type NewEntry, type Search, sitesOf } from '../../object/found.ts';
import { keepLockSymbol } from '../../object/markers.ts';
import type { CodeSection, ObjectCode } from '../../object/object-code.ts';
import { framesOf, provableSection } from '../../object/provable.ts';
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
 * into a table of their own. Bytes that only look like a lock may be a constant: what nothing proves to be code is counted
 * and left out. Error `site-mismatch`: a marker that keeps a lock is not on one.
 */
export function findLocks(search: Search): Found {
  const { object, rules } = search;
  const listed = readObjectTable(object, smpLocks);
  const kept = readObjectTable(object, keptLocks);
  const [known, knownKept] = [sitesOf(listed), sitesOf(kept)];
  const entries: NewEntry[] = [];
  let [unlistedLocks, unprovenLocks] = [0, 0];
  let firstUnproven: string | undefined;
  const policy = rules.locks ?? (listed.length > 0 ? 'listed' : 'all');
  const proof = new LockProof(search);
  for (const code of policy === 'none' ? [] : object.siteSections) {
    const locks = locksOf(object, code, search.markersIn(code).keptLocks).filter(
      (lock) => !(lock.kept ? knownKept : known).has(lock),
    );
    if (policy === 'listed') unlistedLocks += locks.filter((lock) => !lock.kept).length;
    const wanted = policy === 'listed' ? locks.filter((lock) => lock.kept) : locks;
    const proven = policy === 'all' ? proof.of(code, wanted) : undefined;
    for (const [i, lock] of wanted.entries()) {
      if (lock.kept || proven?.[i] !== 0) {
        entries.push({ row: lock.kept ? keptLocks : smpLocks, site: lock, more: [] });
        continue;
      }
      unprovenLocks++;
      firstUnproven ??= object.describe(lock.section, lock.offset);
    }
  }
  return {
    entries,
    listed: [
      { row: smpLocks, entries: listed },
      { row: keptLocks, entries: kept },
    ],
    counts: { unlistedLocks, unprovenLocks },
    firstUnproven,
  };
}

/** Proves locks of an object; what all sections need is read once, when the first of them has a lock. */
class LockProof {
  private readonly search: Search;
  private frames: ReturnType<typeof framesOf> | undefined;

  constructor(search: Search) {
    this.search = search;
  }

  /** For each lock of a section, 0 where it may be a constant. */
  of(code: CodeSection, locks: readonly FoundLock[]): Uint8Array {
    const { object } = this.search;
    const { lockPrefix } = object.arch;
    if (!lockPrefix || locks.length === 0) return new Uint8Array(locks.length);
    this.frames ??= framesOf(object);
    const frames = this.frames.get(code.section.index) ?? [];
    const provable = provableSection(object, code, frames, this.waysOut(code));
    return lockPrefix.prove(
      provable,
      Uint32Array.from(locks, ({ offset }) => offset),
    );
  }

  /** Where the flow goes from the sites of the object: to a target in this section, or on behind a site in it. */
  private waysOut(code: CodeSection): number[] {
    const places: number[] = [];
    for (const { site, target } of this.search.waysOut) {
      if (target.section === code.section.index) places.push(target.offset);
      if (site.section !== code.section.index) continue;
      const { size } = this.search.object
        .instructionsAt(code, site.offset)
        .readInstruction(code.code, site.offset);
      places.push(site.offset + size);
    }
    return places;
  }
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
