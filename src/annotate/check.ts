// Holds the result of annotate against the plan before it is published.
import { archOf } from '../arch/registry.ts';
import type { TableRow } from '../bytes/table.ts';
import { type Before, recheck } from '../elf/recheck.ts';
import { TextpokeError } from '../errors.ts';
import type { Found } from '../object/found.ts';
import { ObjectCode, type Place } from '../object/object-code.ts';
import { readObjectTable } from '../object/tables.ts';

/**
 * Re-reads an annotated object with both readers: every table has to list the places that were planned, and no others.
 * `before` is the object that was annotated, and how many section groups were added. Returns the object as it was read.
 * Error `defect`.
 */
export function checkResult(
  path: string,
  bytes: Uint8Array,
  found: readonly Found[],
  before: Before,
): ObjectCode {
  const file = recheck(path, bytes, before);
  const object = new ObjectCode(file, archOf(file.header));
  for (const [row, planned] of plannedPlaces(found, before.inFront)) {
    const places = readObjectTable(object, row).map(({ fields }) => fields[0] as Place);
    const difference = firstDifference(planned.sort(byPlace), places.sort(byPlace));
    if (!difference) continue;
    const { place, isPlanned } = difference;
    throw new TextpokeError(
      'defect',
      `${row.name} of the result ${isPlanned ? 'does not list' : 'lists'} the place ` +
        `${place.section}:${place.offset} (section:offset), which was ${isPlanned ? '' : 'not '}planned`,
    );
  }
  return object;
}

type SitePlace = Pick<Place, 'section' | 'offset'>;

const byPlace = (a: SitePlace, b: SitePlace): number => a.section - b.section || a.offset - b.offset;

/** The places that each table has to list, one for each entry, by the numbers that sections have in the result. */
function plannedPlaces(found: readonly Found[], newGroups: number): Map<TableRow, SitePlace[]> {
  const planned = new Map<TableRow, SitePlace[]>();
  const of = (row: TableRow): SitePlace[] => {
    const places = planned.get(row) ?? [];
    planned.set(row, places);
    return places;
  };
  // New groups stand in front of all other sections, whose numbers follow (rewrite.ts).
  const moved = ({ section, offset }: SitePlace): SitePlace => ({
    section: section > 0 ? section + newGroups : section,
    offset,
  });
  for (const { entries, listed } of found) {
    for (const { row, entries: old } of listed) {
      const places = of(row);
      for (const { fields } of old) places.push(moved(fields[0] as Place));
    }
    for (const { row, site } of entries) of(row).push(moved(site));
  }
  return planned;
}

/** The first place that is in one of two sorted lists more often than in the other. */
function firstDifference(
  planned: readonly SitePlace[],
  places: readonly SitePlace[],
): { readonly place: SitePlace; readonly isPlanned: boolean } | undefined {
  for (let i = 0; i < Math.max(planned.length, places.length); i++) {
    const [expected, actual] = [planned[i], places[i]];
    if (!actual || (expected && byPlace(expected, actual) < 0))
      return { place: expected as SitePlace, isPlanned: true };
    if (!expected || byPlace(expected, actual) > 0) return { place: actual, isPlanned: false };
  }
  return undefined;
}
