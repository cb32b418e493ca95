// The sites of a file as a build changes them: by function and order, whatever their addresses are.
import { parseAddress } from '../bytes/integer.ts';
import { type DumpedFile, tablesOf } from '../dump/model.ts';
import { isKind, type Kind, type TableKind } from '../kinds/kind.ts';
import { tableKinds } from '../kinds/registry.ts';
import { isDead, placeName, sourceName } from '../kinds/shown.ts';
import { textTableKinds } from '../kinds/text-tables.ts';
import { stableKey, withoutPart } from './function-names.ts';

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

/** Sites by function (`functionName`), in order of address; functions in order of their first site. */
export type SitesByFunction = ReadonlyMap<string, readonly ComparedSite[]>;

/** How the entries of a table are called and told apart; undefined for one whose entries are no sites. */
function compared(row: TableKind): Pick<Kind, 'name' | 'identify'> | undefined {
  if (isKind(row)) return row;
  return textTableKinds.find((of) => of.id === row.id) as Pick<Kind, 'name' | 'identify'> | undefined;
}

/** `static branch of tracing (unlikely)`. */
export function describeSite({ kind, key, flags }: ComparedSite): string {
  return `${kind}${key === undefined ? '' : ` of ${key}`}${flags === '' ? '' : ` (${flags})`}`;
}

/** What makes two sites the same: not where they are, and not what a rebuild changes in the name of the key. */
export const identity = ({ kind, key }: ComparedSite) => `${kind} ${key === undefined ? '' : stableKey(key)}`;

/** The same, and what the entry says besides. */
export const stableMeaning = (site: ComparedSite) => `${identity(site)} ${site.flags}`;

/** Behind the name of a function come the numbers of the others that have the same name. */
const between = '\0';

/** The name of the function that a key of `SitesByFunction` stands for. */
export function functionName(key: string): string {
  return key.split(between, 1)[0] as string;
}

interface Placed extends ComparedSite {
  readonly symbol: string;
  /** Where the symbol lies: file-local functions of several sources may share a name. */
  readonly start: string;
  readonly section: string;
}

/** The sites of a dumped file; entries that cannot be read, and those of discarded code, are not among them. */
export function sitesByFunction(file: DumpedFile): SitesByFunction {
  const sites: Placed[] = [];
  for (const { row, table } of tablesOf(file, [...tableKinds, ...textTableKinds])) {
    const kind = compared(row);
    if (!kind) continue;
    for (const entry of table.entries) {
      if (isDead(entry) || (row.hasKeys && entry.problem)) continue;
      const { place, key, flags = '' } = kind.identify(entry);
      const section = place.section ?? '';
      const address = parseAddress(place.address ?? '0x0') ?? 0;
      sites.push({
        kind: kind.name,
        key,
        flags,
        place: placeName(place),
        address,
        source: sourceName(place),
        symbol: place.symbol ?? section,
        start: place.symbol === undefined ? '' : `${section} ${address - (place.symbolOffset ?? 0)}`,
        section,
      });
    }
  }
  // A section of a function's own is of one function; among others, what is cold lies behind.
  sites.sort((a, b) => (a.section !== b.section ? (a.section < b.section ? -1 : 1) : a.address - b.address));
  const functions = new Map<string, ComparedSite[]>();
  const starts = new Map<string, Map<string, number>>();
  for (const site of sites) {
    const known = starts.get(site.symbol) ?? new Map<string, number>();
    starts.set(site.symbol, known);
    const number = known.get(site.start) ?? known.size;
    known.set(site.start, number);
    // The second `init.cold` is taken for one of the second `init`.
    const name = withoutPart(site.symbol);
    const key = number === 0 ? name : `${name}${between}${number}`;
    const group = functions.get(key);
    if (group) group.push(site);
    else functions.set(key, [site]);
  }
  return functions;
}
