// The tables of lock prefixes. Both hold s32 places of the prefix byte.
import type { TableRow } from '../../bytes/table.ts';
import type { Site } from '../../demand/sites.ts';
import type { Image } from '../../image/image.ts';
import { readImageTable } from '../../image/tables.ts';
import { placesTable } from '../places-table.ts';

/** LOCK_PREFIX of arch/x86/include/asm/alternative.h. */
export const smpLocks: TableRow = {
  ...placesTable('.smp_locks', 'lock', ['__smp_locks', '__smp_locks_end']),
  paddedTo: 4096, // PAGE_SIZE (arch/x86/kernel/vmlinux.lds.S)
};

/**
 * textpoke's own: locks that must never be dropped (lock.h). Their markers do not survive the link; this tells verify
 * that they were left out of `.smp_locks` on purpose.
 */
export const keptLocks = placesTable('.smp_locks.kept', 'lock', ['__smp_locks_kept', '__smp_locks_kept_end']);

/**
 * The locks that one of the tables lists in an image. A zero entry names itself: a linker discarded its code, and the
 * kernel's own code passes it over. Error `table-malformed`.
 */
export function readLockSites(image: Image, row: TableRow): Site[] {
  const sites: Site[] = [];
  for (const { address: at, fields } of readImageTable(image, row)) {
    const address = fields[0] as number;
    if (address !== at) sites.push({ entry: { address: at }, address });
  }
  return sites;
}
