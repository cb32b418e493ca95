// What the tables of files list, as start-up leaves it in memory.
import { entryLayout, splitKey, type TableRow } from '../bytes/table.ts';
import type { KeyedSite } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import type { LinkedKind } from '../kinds/kind.ts';
import type { ModuleSites } from './modules.ts';

/** An entry as start-up leaves it; addresses are as linked. */
export interface ListedEntry {
  readonly address: number;
  /** Of a static branch; 0 for a call. */
  readonly target: number;
  readonly key: number;
  /** Bit 0 of the key field: likely, or a tail call. */
  readonly flag: boolean;
  /** Bit 1: the site lies in init memory. Undefined: it may be either. */
  readonly init: boolean | undefined;
}

/** The section of a table, and the size of its entries. */
export function tableIn({ file, arch }: Image, row: TableRow) {
  const section = file.sections.find(({ name, size }) => name === row.name && size > 0);
  return { section, entrySize: entryLayout(row, arch.wordSize).size };
}

/** The entry of a site; `init` as it stands in the file. */
export function entryOf({ link }: LinkedKind, site: KeyedSite): ListedEntry {
  return listedEntry(link.fields(site));
}

/** An entry of these fields, the last of which is the key with its flags. */
export function listedEntry(fields: readonly number[]): ListedEntry {
  const { key, flags } = splitKey(fields.at(-1) as number);
  return {
    address: fields[0] as number,
    target: fields.length > 2 ? (fields[1] as number) : 0,
    key,
    flag: (flags & 1) !== 0,
    init: (flags & 2) !== 0,
  };
}

/** What start-up makes of a module's table. */
export function moduleEntries({ sites, file }: ModuleSites, kind: LinkedKind): ListedEntry[] {
  const init = file?.init ?? [];
  return sites.of(kind).map((site) => ({
    ...entryOf(kind, site),
    init: init.some(([start, end]) => site.address >= start && site.address < end),
  }));
}
