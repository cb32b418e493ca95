// Tables that the runtime sorts at start-up, by key and then by code (jump_label_sort_entries,
// static_call_sort_entries; textpoke goes on by entry where those of one key say the same place).

import type { TableRow } from '../bytes/schema.ts';
import type { Image } from '../image/image.ts';
import { encodeImageEntry, type ImageEntry } from '../image/tables.ts';
import type { TextPoker } from './text-poke.ts';

interface Site {
  readonly address: number;
  readonly key: number;
  readonly entry: ImageEntry;
}

/**
 * Writes a table in order and returns the sites with their new entries. `flagged` gives a site as it is to be and
 * the fields that say so; `image` is the one that holds the table.
 */
export function sortTable<S extends Site>(
  image: Image,
  poker: TextPoker,
  row: TableRow,
  sites: readonly S[],
  flagged: (site: S) => { site: S; fields: readonly number[] },
): S[] {
  const places = sites.map((site) => site.entry.address).sort((a, b) => a - b);
  const sorted = [...sites].sort(
    (a, b) => a.key - b.key || a.address - b.address || a.entry.address - b.entry.address,
  );
  return sorted.map((old, i) => {
    const address = places[i] as number;
    const { site, fields } = flagged(old);
    poker.store(address, encodeImageEntry(image, row, address, fields), `sort ${row.name}`);
    return { ...site, entry: { address, fields } };
  });
}
