// Holds the result of annotate against the plan before it is published.
import { archOf } from '../arch/registry.ts';
import type { TableRow } from '../bytes/table.ts';
import { recheck } from '../elf/recheck.ts';
import { TextpokeError } from '../errors.ts';
import { type Found, placeKey } from '../object/found.ts';
import { ObjectCode, type Place } from '../object/object-code.ts';
import { readObjectTable } from '../object/tables.ts';

/**
 * Re-reads an annotated object with both readers: every table has to list the places that were planned, and no others.
 * `newGroups` is how many section groups were added. Returns the object as it was read. Error `defect`.
 */
export function checkResult(
  path: string,
  bytes: Uint8Array,
  found: readonly Found[],
  newGroups: number,
): ObjectCode {
  const file = recheck(path, bytes);
  const object = new ObjectCode(file, archOf(file.header));
  // New groups stand in front of all other sections, whose numbers follow (rewrite.ts).
  const moved = ({ section, offset }: Pick<Place, 'section' | 'offset'>) =>
    placeKey({ section: section > 0 ? section + newGroups : section, offset });
  for (const [row, planned] of plannedPlaces(found, moved)) {
    const places = readObjectTable(object, row).map(({ fields: [site] }) => placeKey(site as Place));
    for (const place of places) planned.set(place, (planned.get(place) ?? 0) - 1);
    const [odd] = [...planned].filter(([, count]) => count !== 0);
    if (!odd) continue;
    const [place, count] = odd;
    throw new TextpokeError(
      'defect',
      `${row.name} of the result ${count > 0 ? 'does not list' : 'lists'} the place ${place} (section:offset), ` +
        `which was ${count > 0 ? '' : 'not '}planned`,
    );
  }
  return object;
}

/** How often each table has to list each place. */
function plannedPlaces(
  found: readonly Found[],
  keyOf: (place: Pick<Place, 'section' | 'offset'>) => string,
): Map<TableRow, Map<string, number>> {
  const planned = new Map<TableRow, Map<string, number>>();
  const add = (row: TableRow, place: Pick<Place, 'section' | 'offset'>) => {
    const places = planned.get(row) ?? new Map<string, number>();
    planned.set(row, places);
    const key = keyOf(place);
    places.set(key, (places.get(key) ?? 0) + 1);
  };
  for (const { entries, listed } of found) {
    for (const { row, entries: old } of listed) {
      if (!planned.has(row)) planned.set(row, new Map());
      for (const { fields } of old) add(row, fields[0] as Place);
    }
    for (const { row, site } of entries) add(row, site);
  }
  return planned;
}
