// .static_call_sites: `struct static_call_site` (include/linux/static_call_types.h), s32 addr, s32 key.
import { code, s32, splitKey, type TableRow } from '../../bytes/table.ts';
import type { KeyedSite } from '../../demand/sites.ts';
import { SHF_ALLOC, SHF_WRITE } from '../../elf/constants.ts';
import type { Image } from '../../image/image.ts';
import { readImageTable } from '../../image/tables.ts';

export const staticCallSites: TableRow = {
  name: '.static_call_sites',
  fields: [code('addr'), s32('key')],
  flags: SHF_ALLOC | SHF_WRITE,
  addralign: 4,
  entsize: 8,
  insideOther: true,
  bounds: [['__start_static_call_sites', '__stop_static_call_sites']],
};

/** Low bits of a static call site's key field. */
export const callTail = 1;
export const callInit = 2;

export interface CallSite extends KeyedSite {
  readonly tail: boolean;
  readonly init: boolean;
}

/** Every static call site that an image lists. Error `table-malformed`. */
export function readCallSites(image: Image): CallSite[] {
  return Array.from(readImageTable(image, staticCallSites), ({ address: at, fields }) => {
    const [address, value] = fields as [number, number];
    const { key, flags } = splitKey(value);
    const entry = { address: at };
    return { entry, address, key, tail: (flags & callTail) !== 0, init: (flags & callInit) !== 0 };
  });
}

/** The fields of a site's entry with flags as they are to be. */
export function callFields({ address, key, tail, init }: CallSite): number[] {
  return [address, key + (tail ? callTail : 0) + (init ? callInit : 0)];
}
