// Tables that the runtime sorts at start-up, by key and then by code (jump_label_sort_entries,
// static_call_sort_entries; textpoke goes on by entry where those of one key say the same place).
import type { TableRow } from '../bytes/table.ts';
import type { KeyedSite } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import { encodeImageEntry } from '../image/tables.ts';
import type { TextPoker } from './text-poke.ts';

/**
 * Writes a table in order and returns the sites with their new entries. `flagged` gives a site with its flags as they are
 * to be, itself where they are, and `fieldsOf` the fields of its entry; `image` is the one that holds the table.
 */
export function sortTable<S extends KeyedSite>(
  image: Image,
  poker: TextPoker,
  row: TableRow,
  sites: readonly S[],
  flagged: (site: S) => S,
  fieldsOf: (site: S) => readonly number[],
): S[] {
  const places = Float64Array.from(sites, (site) => site.entry.address).sort();
  const sorted = [...sites].sort(
    (a, b) => a.key - b.key || a.address - b.address || a.entry.address - b.entry.address,
  );
  return sorted.map((site, i) => {
    const address = places[i] as number;
    const now = flagged(site);
    // Also where it stays: the entries of a module name trampolines, and its sites the keys that belong to them.
    poker.store(address, encodeImageEntry(image, row, address, fieldsOf(now)), `sort ${row.name}`, site.key);
    return address === site.entry.address ? now : { ...now, entry: { address } };
  });
}
