// The sites of a file as a build changes them: by function and order, whatever their addresses are.
import { parseAddress } from '../bytes/integer.ts';
import { type DumpedFile, tablesOf } from '../dump/model.ts';
import { isKind } from '../kinds/kind.ts';
import { tableKinds } from '../kinds/registry.ts';
import { isDead, placeName, sourceName } from '../kinds/shown.ts';

export interface ComparedSite {
  /** As the row of the kind names it: `static branch`. */
  readonly kind: string;
  /** Key of a branch, name of a call; undefined for sites without. */
  readonly key: string | undefined;
  /** What else the entry says: `likely`, `tail`, `init`. */
  readonly flags: string;
  /** `symbol+0x1c`, as this build has it. */
  readonly place: string;
  /** Virtual address, or byte offset in the section of an object. */
  readonly address: number;
  /** `file.c:12`, where DWARF has it. */
  readonly source: string | undefined;
}

/** Sites by function, in order of address; functions in order of their first site. */
export type SitesByFunction = ReadonlyMap<string, readonly ComparedSite[]>;

/** `static branch of tracing (unlikely)`. */
export function describeSite({ kind, key, flags }: ComparedSite): string {
  return `${kind}${key === undefined ? '' : ` of ${key}`}${flags === '' ? '' : ` (${flags})`}`;
}

/** What compilers put behind the names of functions that they split, clone or rename. */
const suffix = /(\.(constprop|isra|part|cold|llvm|lto_priv|localalias|specialized|warm|hot|\d+)(\.\d+)*)+$/;

/** A name that a rebuild does not change: `work` of `work.isra.0` and of `work.cold`. */
export function baseName(name: string): string {
  return name.replace(suffix, '') || name;
}

interface Placed extends ComparedSite {
  readonly function: string;
  readonly section: string;
}

/** The sites of a dumped file; entries that cannot be read, and those of discarded code, are not among them. */
export function sitesByFunction(file: DumpedFile): SitesByFunction {
  const sites: Placed[] = [];
  for (const { row, table } of tablesOf(file, tableKinds)) {
    if (!isKind(row)) continue;
    for (const entry of table.entries) {
      if (isDead(entry) || (row.hasKeys && entry.problem)) continue;
      const { place, key, flags = '' } = row.identify(entry);
      sites.push({
        kind: row.name,
        key,
        flags,
        place: placeName(place),
        address: parseAddress(place.address ?? '0x0') ?? 0,
        source: sourceName(place),
        function: place.symbol === undefined ? (place.section ?? '') : baseName(place.symbol),
        section: place.section ?? '',
      });
    }
  }
  // A section of a function's own is of one function; among others, what is cold lies behind.
  sites.sort((a, b) => (a.section !== b.section ? (a.section < b.section ? -1 : 1) : a.address - b.address));
  const functions = new Map<string, ComparedSite[]>();
  for (const site of sites) {
    const group = functions.get(site.function);
    if (group) group.push(site);
    else functions.set(site.function, [site]);
  }
  return functions;
}
