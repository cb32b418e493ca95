// The notes that annotate leaves for verify and boot: that the unit was annotated, and where it has sites of which
// nothing but an entry tells once the markers are gone (object/unit-notes.ts).
import { groupBy } from '../bytes/group.ts';
import type { SectionNumber } from '../bytes/named-numbers.ts';
import type { ElfChange } from '../elf/change.ts';
import { SHT_NOTE, STB_GLOBAL, STB_LOCAL, STV_HIDDEN, STV_INTERNAL } from '../elf/constants.ts';
import type { Kind } from '../kinds/kind.ts';
import { coverOf, type Extent, mayCover } from '../object/cover.ts';
import type { Found, Search } from '../object/found.ts';
import type { ObjectCode, Place } from '../object/object-code.ts';
import {
  bindings,
  encodeUnitNote,
  hashOfName,
  noteSection,
  noteTypes,
  readUnitNotes,
  recordsOf,
  type SiteRecord,
  type UnitNote,
  unitFlags,
  wordsOfRecord,
} from '../object/unit-notes.ts';
import type { NewNotes } from './encode.ts';

export interface UnitNotes {
  readonly notes: readonly NewNotes[];
  readonly patches: ElfChange['patches'];
}

/** A note that the object has. */
interface StandingNote extends UnitNote {
  readonly section: SectionNumber;
}

/**
 * What is to be noted in an object that these kinds were looked for in. Kernels' objects get no notes: they have neither
 * headers nor markers of textpoke's, and their locks are not asked for. `mark` notes any object.
 */
export function unitNotesOf(
  search: Search,
  found: readonly Found[],
  asked: readonly Kind[],
  mark: boolean,
): UnitNotes {
  const { object } = search;
  const standing = notesOf(object);
  const kind = asked.find(({ mayStand }) => mayStand);
  const isListed = ({ isNoted, table }: Kind) => isNoted && placesOf(found, table).length > 0;
  const flags = asked.some(isListed) ? unitFlags.locks : 0;
  const hasMarkers = object.siteSections.some((code) => search.markersIn(code).branches.length > 0);
  const hasNewLocks =
    flags > 0 && search.rules.module !== true && hasNewEntries(found, asked.filter(isListed));
  if (!mark && standing.length === 0 && !hasMarkers && !hasNewLocks) return { notes: [], patches: [] };
  if (kind === undefined && flags === 0 && !mark) return { notes: [], patches: [] };
  const units = unitMarks(object, standing, { isComplete: kind !== undefined, flags });
  const records = kind ? missingRecords(object, placesOf(found, kind.table), standing) : [];
  return { notes: [...units.notes, ...records], patches: units.patches };
}

function hasNewEntries(found: readonly Found[], of: readonly Kind[]): boolean {
  return found.some(({ entries }) => entries.some(({ row }) => of.some(({ table }) => table === row)));
}

/** The sites that a table lists, or will list. */
function placesOf(found: readonly Found[], table: Kind['table']): Pick<Place, 'section' | 'offset'>[] {
  return found.flatMap(({ entries, listed }) => [
    ...entries.filter(({ row }) => row === table).map(({ site }) => site),
    ...listed
      .filter(({ row }) => row === table)
      .flatMap(({ entries: old }) => old.map(({ fields }) => fields[0] as Place)),
  ]);
}

function notesOf({ file }: ObjectCode): StandingNote[] {
  return file.sections
    .filter(({ name, type }) => name === noteSection && type === SHT_NOTE)
    .flatMap((section) =>
      [...readUnitNotes(file.data(section), file.header.little)].map((note) => ({
        ...note,
        section: section.index,
      })),
    );
}

/** Makes every unit's note say that it is annotated, and one of them that there are locks; adds one where none is. */
function unitMarks(
  { file }: ObjectCode,
  standing: readonly StandingNote[],
  { isComplete, flags }: { readonly isComplete: boolean; readonly flags: number },
): UnitNotes {
  const { little } = file.header;
  const marks = standing.filter(({ type }) => type === noteTypes.annotated);
  const isTold = flags === 0 || marks.some(({ words }) => ((words[0] ?? 0) & flags) === flags);
  const becoming = standing.filter(({ type }) => isComplete && type === noteTypes.compiled);
  const patches = becoming.map(({ section, offset }, i) => {
    const words = !isTold && i === 0 ? [flags] : [0];
    const bytes = encodeUnitNote(noteTypes.annotated, words, little);
    return { section, offset, bytes };
  });
  if (patches.length > 0 || (marks.length > 0 && isTold)) return { notes: [], patches };
  return {
    notes: [{ code: undefined, data: encodeUnitNote(noteTypes.annotated, [flags], little) }],
    patches: [],
  };
}

/** Notes of the records that no note has yet, one for each code section. */
function missingRecords(
  object: ObjectCode,
  sites: readonly Pick<Place, 'section' | 'offset'>[],
  standing: readonly StandingNote[],
): NewNotes[] {
  const known = new Map<string, number>();
  for (const note of standing) {
    if (note.type !== noteTypes.sites) continue;
    for (const record of recordsOf(note)) {
      const key = wordsOfRecord(record).join();
      known.set(key, (known.get(key) ?? 0) + 1);
    }
  }
  const isKnown = (words: readonly number[]) => {
    const left = known.get(words.join()) ?? 0;
    known.set(words.join(), left - 1);
    return left > 0;
  };
  const bySection = groupBy(sites, ({ section }) => section);
  const notes: NewNotes[] = [];
  for (const [code, places] of [...bySection].sort((a, b) => a[0] - b[0])) {
    const offsets = Uint32Array.from(places, ({ offset }) => offset).sort();
    const words = recordsIn(object, code, offsets)
      .map(wordsOfRecord)
      .filter((record) => !isKnown(record))
      .flat();
    if (words.length === 0) continue;
    notes.push({ code, data: encodeUnitNote(noteTypes.sites, words, object.file.header.little) });
  }
  return notes;
}

interface NamedExtent extends Extent {
  readonly symbol: number;
}

/** The records of sites in one code section, by their ascending offsets. */
function recordsIn(object: ObjectCode, code: SectionNumber, offsets: Uint32Array): SiteRecord[] {
  const { arch, symbols } = object;
  const extents = object
    .symbolsIn(code)
    .filter((i) => symbols.name(i) !== '' && mayCover(arch, symbols, i))
    .map((i): NamedExtent => {
      const rank = [1, 3, 2, 0][bindingOf(object, i)] ?? 0;
      return { start: object.placeOfSymbol(i), size: symbols.size[i] as number, rank, symbol: i };
    });
  const covers = coverOf(extents, [...offsets]);
  return covers.map((cover, i): SiteRecord => {
    const offset = offsets[i] as number;
    if (!cover) return { hash: [0, 0], size: 0, binding: bindings.none, offset };
    return {
      hash: hashOfName(symbols.name(cover.symbol)),
      size: cover.size,
      binding: bindingOf(object, cover.symbol),
      offset: offset - cover.start,
    };
  });
}

/** A hidden symbol counts as local: it becomes one in the link. */
function bindingOf({ symbols }: ObjectCode, symbol: number): number {
  const binding = symbols.binding(symbol);
  const visibility = symbols.visibility(symbol);
  if (binding === STB_LOCAL || visibility === STV_HIDDEN || visibility === STV_INTERNAL)
    return bindings.local;
  return binding === STB_GLOBAL ? bindings.global : bindings.weak;
}
