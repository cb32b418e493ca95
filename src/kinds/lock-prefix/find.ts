// Finds lock prefixes: every F0 that prefixes an instruction, never one in a displacement, an immediate or data.
import type { ElfChange } from '../../elf/change.ts';
import { TextpokeError } from '../../errors.ts';
import { type Found, type NewEntry, type Search, sitesOf } from '../../object/found.ts';
import { keepLockSymbol } from '../../object/markers.ts';
import type { CodeSection, ObjectCode, Place } from '../../object/object-code.ts';
import { framesOf, provableSection } from '../../object/provable.ts';
import { type ObjectEntry, readObjectTable } from '../../object/tables.ts';
import { jumpTable } from '../static-branch/table.ts';
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
  const patches: ElfChange['patches'][number][] = [];
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
      if (lock.kept) {
        entries.push({ row: keptLocks, site: lock, more: [] });
        continue;
      }
      if (proven?.[i] !== 0) {
        const { site, moved } = inFrontOfOverride(object, code, lock);
        if (moved) patches.push(moved);
        entries.push({ row: smpLocks, site, more: [] });
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
    change: { patches },
    counts: { unlistedLocks, unprovenLocks },
    firstUnproven,
  };
}

/**
 * A lock behind a segment override changes places with it: `64 f0` becomes `f0 64`, the same instruction. Whoever patches
 * finds the override behind the lock; one in front looks like the end of the instruction before.
 */
function inFrontOfOverride(
  object: ObjectCode,
  { section, code }: CodeSection,
  { offset }: FoundLock,
): { readonly site: SitePlace; readonly moved: ElfChange['patches'][number] | undefined } {
  const place = object.arch.lockPrefix?.placeInFront(code, object.codeMap(section), offset) ?? offset;
  const site = { section: section.index, offset: place };
  if (place === offset) return { site, moved: undefined };
  const bytes = Uint8Array.of(code[offset] as number, ...code.subarray(place, offset));
  return { site, moved: { ...site, bytes } };
}

/** Proves locks of an object; what all sections need is read once, when the first of them has a lock. */
class LockProof {
  private readonly search: Search;
  private frames: ReturnType<typeof framesOf> | undefined;
  private branches: readonly ObjectEntry[] | undefined;

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

  /** Where the flow goes from the static branches of the object: to a target in this section, or on behind a site in it. */
  private waysOut(code: CodeSection): number[] {
    const { object } = this.search;
    this.branches ??= readObjectTable(object, jumpTable, () => {});
    const places: number[] = [];
    const add = (site: SitePlace, target: SitePlace) => {
      if (target.section === code.section.index) places.push(target.offset);
      if (site.section !== code.section.index) return;
      const { size } = object.instructionsAt(code, site.offset).readInstruction(code.code, site.offset);
      places.push(site.offset + size);
    };
    for (const { fields } of this.branches) add(fields[0] as Place, fields[1] as Place);
    for (const of of object.siteSections) {
      for (const { offset, target } of this.search.markersIn(of).branches)
        add({ section: of.section.index, offset }, target);
    }
    return places;
  }
}

type SitePlace = Pick<Place, 'section' | 'offset'>;

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
