// What the finders of annotate are given and what they find, as plain values: nothing here changes an object.
import type { SectionNumber } from '../bytes/named-numbers.ts';
import type { TableRow } from '../bytes/table.ts';
import type { ElfChange, SymbolRef } from '../elf/change.ts';
import type { Markers } from './markers.ts';
import { readMarkers } from './markers.ts';
import type { CodeSection, ObjectCode, Place } from './object-code.ts';
import type { ObjectEntry } from './tables.ts';

/**
 * Which locks count: all that are proven to be code, also those that may be constants, only those that a table lists
 * already, or none.
 */
export type LockPolicy = 'all' | 'decodable' | 'listed' | 'none';

/** How sites are listed; which kinds are looked for is asked before. */
export interface ListingRules {
  /** Which locks; undefined: all, but `listed` in an object that has a `.smp_locks` already. */
  readonly locks?: LockPolicy | undefined;
  /** Kernel module rules: a missing key is represented by its trampoline, tables are plain sections. */
  readonly module?: boolean | undefined;
  /** Makes absolute jump entries (32-bit ARM kernels) PC-relative. */
  readonly relative?: boolean | undefined;
}

/** What a field names: a place in a section, a symbol plus an offset (flag bits included), or a name to be added. */
export type FieldTarget =
  | { readonly section: SectionNumber; readonly offset: number }
  | { readonly symbol: SymbolRef; readonly offset: number }
  | { readonly undefinedName: string; readonly offset: number };

/** An entry to be written. */
export interface NewEntry {
  readonly row: TableRow;
  /** Place of the site. */
  readonly site: Pick<Place, 'section' | 'offset'>;
  /** What the fields behind the site's name, in the row's order. */
  readonly more: readonly FieldTarget[];
}

/** Counts of what a kind has done besides listing sites. */
export interface FoundCounts {
  /** Build-time jumps rewritten to NOPs. */
  readonly rewrittenJumps?: number;
  /** Absolute jump entries made relative. */
  readonly madeRelative?: number;
  /** Locks that the object's own table leaves out. */
  readonly unlistedLocks?: number;
  /** Locks left out because nothing proves that their bytes are code. */
  readonly unprovenLocks?: number;
}

export interface Found {
  readonly entries: readonly NewEntry[];
  /** Entries that the object has already. */
  readonly listed: readonly { readonly row: TableRow; readonly entries: readonly ObjectEntry[] }[];
  readonly change?: Partial<Pick<ElfChange, 'patches' | 'retyped' | 'realigned'>>;
  readonly counts?: FoundCounts;
  /** The first lock that is not proven. */
  readonly firstUnproven?: string | undefined;
}

/** A site and where patching may send the flow from it, besides behind the site. */
export interface WayOut {
  readonly site: Pick<Place, 'section' | 'offset'>;
  readonly target: Pick<Place, 'section' | 'offset'>;
}

/** One search of an object: what several finders ask for is read once. */
export class Search {
  readonly object: ObjectCode;
  readonly rules: ListingRules;
  private readonly markers = new Map<CodeSection, Markers>();
  private readonly findWaysOut: (search: Search) => readonly WayOut[];
  private ways: readonly WayOut[] | undefined;

  /** `findWaysOut` gives those of every kind of site that branches. */
  constructor(
    object: ObjectCode,
    rules: ListingRules,
    findWaysOut: (search: Search) => readonly WayOut[] = () => [],
  ) {
    this.object = object;
    this.rules = rules;
    this.findWaysOut = findWaysOut;
  }

  /** The ways out of every site of the object, listed or marked. */
  get waysOut(): readonly WayOut[] {
    this.ways ??= this.findWaysOut(this);
    return this.ways;
  }

  /** The markers of a code section. */
  markersIn(code: CodeSection): Markers {
    let found = this.markers.get(code);
    if (!found) {
      found = readMarkers(this.object, code);
      this.markers.set(code, found);
    }
    return found;
  }
}

/** Places, to be asked for. */
export class PlaceSet {
  private readonly offsets = new Map<number, Set<number>>();

  constructor(places: readonly Pick<Place, 'section' | 'offset'>[]) {
    for (const { section, offset } of places) {
      const known = this.offsets.get(section);
      if (known) known.add(offset);
      else this.offsets.set(section, new Set([offset]));
    }
  }

  has({ section, offset }: { readonly section: number; readonly offset: number }): boolean {
    return this.offsets.get(section)?.has(offset) === true;
  }
}

/** The sites of entries; the site is the first field. */
export function sitesOf(entries: readonly ObjectEntry[]): PlaceSet {
  return new PlaceSet(entries.map(({ fields }) => fields[0] as Place));
}
