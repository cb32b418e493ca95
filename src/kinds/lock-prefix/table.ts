// The tables of lock prefixes. Both hold s32 places of the prefix byte.
import type { TableRow } from '../../bytes/table.ts';
import type { Site } from '../../demand/sites.ts';
import type { Image } from '../../image/image.ts';
import { readImageTable } from '../../image/tables.ts';
import { placesTable } from '../places-table.ts';

/** LOCK_PREFIX of arch/x86/include/asm/alternative.h. */
export const smpLocks = placesTable('.smp_locks', 'lock', ['__smp_locks', '__smp_locks_end']);

/**
 * textpoke's own: locks that must never be dropped (lock.h). Their markers do not survive the link; this tells verify
 * that they were left out of `.smp_locks` on purpose.
 */
export const keptLocks = placesTable('.smp_locks.kept', 'lock', ['__smp_locks_kept', '__smp_locks_kept_end']);

/**
 * The locks that one of the tables lists in an image. A zero entry names itself: the kernel's script pads `.smp_locks`
 * to a page with them, and its code passes them over. Error `table-malformed`.
 */
export function readLockSites(image: Image, row: TableRow): Site[] {
  return readImageTable(image, row)
    .filter(({ address, fields }) => fields[0] !== address)
    .map((entry) => ({ entry, address: entry.fields[0] as number }));
}
