// Counts what a summary tells while dump goes through the entries of a file anyway: a summary costs no pass of its own.
import { orderOf } from '../bytes/order.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import type { TableKind } from '../kinds/kind.ts';
import {
  type DumpedDeadEntry,
  type DumpedEntry,
  type DumpedPlace,
  isDead,
  keyName,
  sizeOfSite,
} from '../kinds/shown.ts';
import { addTo, type FileTally, type Groups, groupOf, type Identity, type SiteNumbers } from './groups.ts';
import type { KeyOwners } from './key-owners.ts';
import type { KeyGroup, TableSummary } from './summary.ts';
import type { RawEntry, TableView } from './view.ts';

/** Collects numbers without holding an object for each. */
class Numbers {
  private values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      const longer = new Float64Array(2 * this.length);
      longer.set(this.values);
      this.values = longer;
    }
    this.values[this.length++] = value;
  }

  get all(): Float64Array {
    return this.values.subarray(0, this.length);
  }
}

/** Counts the entries of a file's tables. */
export class Tally<Place> {
  private readonly view: TableView<Place>;
  private readonly tables: TableSummary[] = [];
  private readonly keys: Groups<KeyGroup> = new Map();
  private readonly functions: Groups = new Map();
  private readonly sections: Groups = new Map();
  /** Keys that may be called by what they belong to, which is known at last. */
  private readonly members: {
    readonly group: { name: string };
    readonly key: Place;
    readonly named: DumpedPlace;
  }[] = [];
  // Of each site: where it lies, its bytes, whether it lies in init text, its table, and which of the lines is its own.
  private readonly starts = new Numbers();
  private readonly sizes = new Numbers();
  private readonly inits = new Numbers();
  private readonly tableNumbers = new Numbers();
  private readonly lineNumbers = new Numbers();

  constructor(view: TableView<Place>) {
    this.view = view;
  }

  /** Counts a table, whose entries `TableTally` is then given. */
  table(kind: TableKind): TableTally<Place> {
    return new TableTally(this, this.view, kind, this.tables.length);
  }

  /** A table with all its entries. */
  add(table: TableSummary): void {
    this.tables.push(table);
  }

  /** A site, by its place and as it is shown; `line` is the number of the question for its line. */
  addSite(
    table: TableTally<Place>,
    place: Place,
    site: DumpedPlace,
    size: number,
    line: number,
  ): SiteNumbers {
    const { view } = this;
    const isInit = view.isInit(place);
    const numbers = { sites: 1, bytes: size, initSites: isInit ? 1 : 0 };
    this.starts.push(view.ordinal(place));
    this.sizes.push(size);
    this.inits.push(numbers.initSites);
    this.tableNumbers.push(table.number);
    this.lineNumbers.push(line);
    const section = site.section ?? '?';
    const listed = [[table.id, 1]] as const;
    addTo(
      groupOf(this.sections, section, () => ({ name: section })),
      listed,
      numbers,
    );
    const start = view.startOf(place, site);
    const identity = site.symbol === undefined ? section : view.ordinal(start);
    const group = groupOf(this.functions, identity, () => {
      if (site.symbol === undefined) return { name: `${section} (no symbol)` };
      const { address } = view.place(start);
      return { name: site.symbol, ...(view.hasAddresses && address !== undefined && { address }) };
    });
    addTo(group, listed, numbers);
    return numbers;
  }

  /** The key of a site. */
  addKey({ id, kind }: TableTally<Place>, key: Place, named: DumpedPlace, numbers: SiteNumbers): void {
    const { view } = this;
    const identity = view.identify(key);
    const isNew = !this.keys.has(identity);
    const group = groupOf(this.keys, identity, () => ({
      name: keyName(named),
      ...(view.hasAddresses && named.address !== undefined && { address: named.address }),
      state: named.undefined
        ? { state: 'elsewhere' as const }
        : (kind.stateOf?.(view.keyReader(key)) ?? { state: 'unknown' as const }),
    }));
    addTo(group, [[id, 1]], numbers);
    if (isNew && named.symbolOffset !== 0) this.members.push({ group, key, named });
  }

  /** Everything that was counted; `lines` answer the questions by their numbers. */
  finish(lines: readonly (SourceLine | undefined)[], owners: KeyOwners<Place>): FileTally {
    for (const { group, key, named } of this.members) group.name = keyName(owners.withOwner(key, named));
    const files: Groups = new Map();
    const [sizes, inits, tables, asked] = [this.sizes, this.inits, this.tableNumbers, this.lineNumbers].map(
      ({ all }) => all,
    ) as [Float64Array, Float64Array, Float64Array, Float64Array];
    for (let i = 0; i < sizes.length; i++) {
      const name = lines[asked[i] as number]?.file;
      if (name === undefined) continue;
      const { table } = this.tables[tables[i] as number] as TableSummary;
      const numbers = { sites: 1, bytes: sizes[i] as number, initSites: inits[i] as number };
      addTo(
        groupOf(files, name, () => ({ name })),
        [[table, 1]],
        numbers,
      );
    }
    const { bytes: textBytes, initBytes } = this.view.textSize();
    const { tables: counted, keys, functions, sections } = this;
    return { tables: counted, textBytes, initBytes, ...this.covered(), keys, functions, files, sections };
  }

  /** Sites and their bytes, each once: several entries may list a site, and sites may overlap. */
  private covered(): Pick<FileTally, 'sites' | 'initSites' | 'patchableBytes'> {
    const [starts, sizes, inits] = [this.starts.all, this.sizes.all, this.inits.all];
    let [sites, initSites, patchableBytes] = [0, 0, 0];
    let [last, end] = [Number.NaN, Number.NEGATIVE_INFINITY];
    for (const i of orderOf(starts)) {
      const start = starts[i] as number;
      const next = start + (sizes[i] as number);
      if (start !== last) {
        sites++;
        initSites += inits[i] as number;
      }
      last = start;
      patchableBytes += Math.max(0, next - Math.max(start, end));
      end = Math.max(end, next);
    }
    return { sites, initSites, patchableBytes };
  }
}

/** Counts the entries of a table. */
export class TableTally<Place> {
  readonly id: string;
  readonly kind: TableKind;
  /** Position among the tables of the file. */
  readonly number: number;
  private readonly tally: Tally<Place>;
  private readonly view: TableView<Place>;
  private readonly keys = new Set<Identity>();
  private readonly keyField: number;
  private entries = 0;
  private discarded = 0;
  private malformed = 0;
  private initSites = 0;

  constructor(tally: Tally<Place>, view: TableView<Place>, kind: TableKind, number: number) {
    this.tally = tally;
    this.view = view;
    this.kind = kind;
    this.id = kind.id;
    this.number = number;
    this.keyField = kind.hasKeys ? kind.table.fields.findIndex(({ name }) => name === 'key') : -1;
  }

  /** An entry as it stands and as it is shown; `line` is the number of the first question for a line: its site's. */
  add(raw: RawEntry<Place>, entry: DumpedEntry | DumpedDeadEntry, line: number): void {
    this.entries++;
    if (raw.discarded) this.discarded++;
    else if (entry.problem !== undefined) this.malformed++;
    if (!raw.fields || isDead(entry)) return;
    const { site, key } = entry as DumpedEntry & { readonly site?: DumpedPlace; readonly key?: DumpedPlace };
    const keyPlace = key && this.view.splitKey(raw.fields[this.keyField] as Place).key;
    if (keyPlace !== undefined) this.keys.add(this.view.identify(keyPlace));
    // An entry without a site says something of a key alone.
    if (!site) return;
    const numbers = this.tally.addSite(this, raw.fields[0] as Place, site, sizeOfSite(entry), line);
    this.initSites += numbers.initSites;
    if (keyPlace !== undefined && key) this.tally.addKey(this, keyPlace, key, numbers);
  }

  /** All entries were added; a file without the table has no part of it. */
  done(parts: number, entrySize: number): void {
    if (parts === 0) return;
    const { id, kind, entries, discarded, malformed, initSites } = this;
    this.tally.add({
      table: id,
      section: kind.table.name,
      entries: entries - discarded,
      discarded,
      malformed,
      bytes: entries * entrySize,
      ...(kind.hasKeys && { keys: this.keys.size }),
      initSites,
    });
  }
}
