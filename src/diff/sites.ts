// The sites of a file as a build changes them: by function and order, whatever their addresses are.
import { hex, parseAddress } from '../bytes/integer.ts';
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

/** A site as it is read. Its place is put into words when somebody asks: of what did not change, nobody does. */
class Placed implements ComparedSite {
  readonly kind: string;
  readonly key: string | undefined;
  readonly flags: string;
  readonly address: number;
  readonly source: string | undefined;
  readonly section: string;
  private readonly named: string | undefined;
  private readonly offset: number;

  constructor(kind: string, { place, key, flags = '' }: ReturnType<Kind['identify']>) {
    const { symbol, section, address } = place;
    this.kind = kind;
    this.key = key;
    this.flags = flags;
    this.address = parseAddress(address ?? '0x0') ?? 0;
    this.source = sourceName(place);
    this.section = section ?? '';
    this.named = symbol;
    this.offset = (symbol === undefined ? place.offset : place.symbolOffset) ?? 0;
  }

  get place(): string {
    const { named: symbol, section, offset } = this;
    if (symbol !== undefined) return placeName({ symbol, symbolOffset: offset });
    return section === '' ? hex(this.address) : placeName({ section, offset });
  }
  get symbol(): string {
    return this.named ?? this.section;
  }
  /** Where the symbol lies: file-local functions of several sources may share a name. */
  get start(): number | undefined {
    return this.named === undefined ? undefined : this.address - this.offset;
  }
}

/** The sites of a dumped file; entries that cannot be read, and those of discarded code, are not among them. */
export function sitesByFunction(file: DumpedFile): SitesByFunction {
  const sites: Placed[] = [];
  for (const { row, table } of tablesOf(file, [...tableKinds, ...textTableKinds])) {
    const kind = compared(row);
    if (!kind) continue;
    for (const entry of table.entries) {
      if (isDead(entry) || (row.hasKeys && entry.problem)) continue;
      sites.push(new Placed(kind.name, kind.identify(entry)));
    }
  }
  // A section of a function's own is of one function; among others, what is cold lies behind.
  sites.sort((a, b) => (a.section !== b.section ? (a.section < b.section ? -1 : 1) : a.address - b.address));
  const functions = new Map<string, ComparedSite[]>();
  const starts = new Map<string, Map<string, number>>();
  let [last, group]: [Placed | undefined, ComparedSite[]] = [undefined, []];
  for (const site of sites) {
    const { symbol, start, section } = site;
    if (last?.symbol !== symbol || last.start !== start || last.section !== section) {
      const known = starts.get(symbol) ?? new Map<string, number>();
      starts.set(symbol, known);
      const place = start === undefined ? '' : `${section} ${start}`;
      const number = known.get(place) ?? known.size;
      known.set(place, number);
      // The second `init.cold` is taken for one of the second `init`.
      const name = withoutPart(symbol);
      const key = number === 0 ? name : `${name}${between}${number}`;
      group = functions.get(key) ?? [];
      functions.set(key, group);
    }
    group.push(site);
    last = site;
  }
  return functions;
}
