// The sites of a file as a build changes them: by function and order, whatever their addresses are.
import { parseAddress } from '../bytes/integer.ts';
import { keyPrefix } from '../bytes/static-call-names.ts';
import { type DumpedFile, type DumpedPlace, isDead, placeName, sourceName } from '../dump/model.ts';

export type SiteKind =
  | 'static branch'
  | 'static call'
  | 'lock'
  | 'kept lock'
  | 'barrier'
  | 'site for one CPU';

export interface ComparedSite {
  readonly kind: SiteKind;
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
export function sitesByFunction({ tables }: DumpedFile): SitesByFunction {
  const sites: Placed[] = [];
  const add = (kind: SiteKind, place: DumpedPlace, key?: string, flags = '') => {
    sites.push({
      kind,
      key,
      flags,
      place: placeName(place),
      address: parseAddress(place.address ?? '0x0') ?? 0,
      source: sourceName(place),
      function: place.symbol === undefined ? (place.section ?? '') : baseName(place.symbol),
      section: place.section ?? '',
    });
  };
  for (const entry of tables.jumpTable?.entries ?? [])
    if (!isDead(entry) && !entry.problem)
      add('static branch', entry.code, placeName(entry.key), entry.branch);
  for (const entry of tables.staticCallSites?.entries ?? []) {
    if (isDead(entry) || entry.problem) continue;
    const name = placeName(entry.key);
    const flags = [entry.tail ? 'tail call' : 'call', ...(entry.init ? ['init'] : [])].join(', ');
    add('static call', entry.site, name.startsWith(keyPrefix) ? name.slice(keyPrefix.length) : name, flags);
  }
  for (const entry of tables.smpLocks?.entries ?? []) if (!isDead(entry)) add('lock', entry.lock);
  for (const entry of tables.keptLocks?.entries ?? []) if (!isDead(entry)) add('kept lock', entry.lock);
  for (const entry of tables.smpBarriers?.entries ?? []) if (!isDead(entry)) add('barrier', entry.site);
  for (const entry of tables.altSmp?.entries ?? []) if (!isDead(entry)) add('site for one CPU', entry.site);
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
