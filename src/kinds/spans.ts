// Where an image's tables lie. A key inside of one is none: boot would sort it away.
import type { Address } from '../bytes/named-numbers.ts';
import { entryLayout } from '../bytes/table.ts';
import { keySize } from '../demand/keys.ts';
import type { SiteLists } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import { kinds } from './registry.ts';

/** The test whether a key would share bytes with the entries of a table. */
export function inTables(image: Image, sites: SiteLists): (key: Address) => boolean {
  const spans = kinds.flatMap((kind) => {
    let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { entry } of sites.of(kind)) {
      first = Math.min(first, entry.address);
      last = Math.max(last, entry.address);
    }
    return first <= last ? [{ first, end: last + entryLayout(kind.table, image.arch.wordSize).size }] : [];
  });
  const size = keySize(image);
  return (key) => spans.some(({ first, end }) => key < end && key + size > first);
}
