// The tables of one kind of key in the memory of a running kernel, and what the keys in them lead to.
import { hex } from '../bytes/integer.ts';
import { keySize } from '../demand/keys.ts';
import type { Program } from '../demand/program.ts';
import type { KeyedSite } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import { isFreed, isReadOnlyAfterInit } from '../image/kernel.ts';
import { AddressOrder } from '../image/loads.ts';
import { isAbsolute, tableRanges } from '../image/tables.ts';
import type { LinkedKind } from '../kinds/kind.ts';
import type { MemoryImage } from '../memory/image.ts';
import type { RunningKernel } from '../memory/kernel/kernel.ts';
import type { LoadedModule, LoadedTable, Stretch } from '../memory/kernel/modules.ts';
import type { Finding } from './finding.ts';
import {
  callKeyLink,
  type KnownOwners,
  type LinkedKey,
  type ListLayout,
  staticKeyLink,
  type WrongLink,
} from './linkage-keys.ts';
import { entryOf, type ListedEntry, moduleEntries, tableIn } from './linkage-listed.ts';
import {
  compareTable,
  type MemoryTable,
  readMemoryTable,
  type TableOwner,
  type TableSource,
} from './linkage-tables.ts';
import type { ModuleSites } from './modules.ts';

/** How the keys of a table stand in memory. */
export interface LinkedKeys {
  /** Section name of the table that lists their sites. */
  readonly table: string;
  /** Keys that were held against the tables. */
  readonly compared: number;
  /** Of the compared, those that the kernel has sealed after start-up, and those that lead to a list of modules. */
  readonly sealed: number;
  readonly lists: number;
  /** In memory that the kernel gives back once it has started. */
  readonly init: number;
  /** Not in the dump, or what they lead to is not. */
  readonly missing: number;
  /** Of the compared, those that a finding is about. */
  readonly wrong: number;
}

interface WrongKey {
  readonly key: number;
  readonly of: ModuleSites | undefined;
  readonly link: WrongLink;
}

/** Holds tables and keys of a running kernel against its files. */
export class LinkageCheck {
  private readonly program: Program;
  private readonly image: MemoryImage;
  private readonly linked: Image;
  private readonly running: RunningKernel;
  private readonly modules: ReadonlyMap<LoadedModule, ModuleSites>;
  private readonly slide: number;
  /** Memory that modules keep, by addresses of the running kernel. */
  private readonly kept: AddressOrder<{ readonly module: LoadedModule; readonly stretch: Stretch }>;
  /** Memory that was freed with init, as linked. */
  private readonly freed: AddressOrder<readonly [start: number, end: number]>;

  constructor(program: Program, linked: Image, running: RunningKernel, modules: readonly ModuleSites[]) {
    this.program = program;
    this.image = program.image as MemoryImage;
    this.linked = linked;
    this.running = running;
    this.modules = new Map(modules.map((of) => [of.module, of]));
    this.slide = running.place.slide;
    this.kept = new AddressOrder(
      (running.list?.modules ?? []).flatMap((module) =>
        module.memory.map((stretch) => ({ module, stretch })),
      ),
      ({ stretch }) => [stretch.start, stretch.size],
    );
    this.freed = new AddressOrder(
      modules.flatMap(({ file }) => file?.init ?? []),
      ([start, end]) => [start, end - start],
    );
  }

  /** The keys of one kind; undefined where the kernel has none that are linked (no CONFIG_JUMP_LABEL, no inline calls). */
  keysOf(kind: LinkedKind): { findings: Finding[]; keys: LinkedKeys } | undefined {
    const { table: row } = kind;
    const [range] = tableRanges(this.linked, row);
    if (!range) return undefined;
    const findings: Finding[] = [];
    const touched = new Set<number>();
    const unread = new Set<number>();
    const tables: MemoryTable[] = [];
    const compare = (table: MemoryTable, listed: readonly ListedEntry[], place: (at: number) => string) => {
      const compared = compareTable(this.image, table, listed, place);
      for (const finding of compared.findings) findings.push(finding);
      for (const key of compared.touched) touched.add(key);
    };
    const source: TableSource = {
      reader: this.running.reader,
      image: this.linked,
      slide: this.slide,
      absolute: isAbsolute(this.linked, row),
    };
    const read = (owner: TableOwner, start: number, count: number) => {
      const table = readMemoryTable(source, row, owner, start, count);
      if (table) tables.push(table);
      else unread.add(owner.at);
      return table;
    };
    const sites = this.program.sites.of(kind);
    const kernels = read({ name: undefined, at: 0 }, this.runningAt(range.start), sites.length);
    if (kernels) compare(kernels, this.kernelEntries(kind, sites), (at) => this.image.describe(at));
    for (const module of this.running.list?.modules ?? []) {
      const table = module.tables.get(kind.id);
      if (!table) unread.add(module.at);
      else if (table.count > 0) {
        const of = this.modules.get(module);
        const { start, count, finding } = this.tablePlace(of, kind, table);
        if (finding) findings.push(finding);
        const inMemory = read({ name: module.name, at: module.at }, start, count);
        if (inMemory && of?.image) compare(inMemory, moduleEntries(of, kind), (at) => this.placeIn(of, at));
      }
    }
    const keys = this.linkKeys(kind, tables, touched, unread, findings);
    return { findings, keys };
  }

  private runningAt(address: number): number {
    return this.image.addressAt(address, this.slide);
  }

  private placeIn({ module, image }: ModuleSites, address: number): string {
    return image?.segmentAt(address)
      ? `${module.name}:${this.image.describe(address)}`
      : this.image.describe(address);
  }

  /** What start-up makes of the kernel's table. */
  private kernelEntries(kind: LinkedKind, sites: readonly KeyedSite[]): ListedEntry[] {
    const start = this.linked.symbols.addressOf('__init_begin');
    const end = this.linked.symbols.addressOf('__init_end');
    const { keepsBit1 } = this.program.profile;
    return sites.map((site) => {
      const entry = entryOf(kind, site);
      const { address } = entry;
      const init = start === undefined || end === undefined ? undefined : address >= start && address < end;
      return { ...entry, init: keepsBit1 && entry.init ? undefined : init };
    });
  }

  private linkKeys(
    kind: LinkedKind,
    tables: readonly MemoryTable[],
    touched: ReadonlySet<number>,
    unread: ReadonlySet<number>,
    findings: Finding[],
  ): LinkedKeys {
    const keys = this.keysIn(kind, tables);
    const owners = this.owners(kind, unread);
    const count = {
      table: kind.table.name,
      compared: 0,
      sealed: 0,
      lists: 0,
      init: 0,
      missing: 0,
      wrong: 0,
    };
    const wrong: WrongKey[] = [];
    // One module that is not on the list is on the lists of many keys.
    const strangers = new Map<number, number>();
    for (const [key, of] of keys) {
      if (touched.has(key)) continue;
      const owner = this.ownerOf(key);
      if (owner === 'init') count.init++;
      else if (owner === undefined || (unread.has(0) && owner.at === 0)) count.missing++;
      else {
        const linkedKey: LinkedKey = {
          word: this.runningAt(key + this.image.arch.wordSize),
          owner: owner.at,
          tables: of,
        };
        const link = kind.link.isTyped
          ? staticKeyLink(linkedKey, owners, this.typeOf(key, owner.of))
          : callKeyLink(linkedKey, owners);
        if ('missing' in link) count.missing++;
        else {
          count.compared++;
          if ('wrong' in link) {
            count.wrong++;
            if (link.stranger !== undefined) {
              const known = strangers.get(link.stranger);
              strangers.set(link.stranger, (known ?? 0) + 1);
              if (known !== undefined) continue;
            }
          } else if (link.form !== 'entries') count[link.form === 'list' ? 'lists' : 'sealed']++;
          if ('wrong' in link) wrong.push({ key, of: owner.of, link });
        }
      }
    }
    for (const { key, of, link } of wrong) findings.push(this.tell(key, of, link, strangers));
    return count;
  }

  private tell(
    key: number,
    of: ModuleSites | undefined,
    { wrong, stranger }: WrongLink,
    strangers: ReadonlyMap<number, number>,
  ): Finding {
    const at = hex(this.runningAt(key));
    const place = of ? this.placeIn(of, key) : this.image.describe(key);
    const others = (strangers.get(stranger ?? Number.NaN) ?? 1) - 1;
    const more = others > 0 ? `; so have the lists of ${others} more keys` : '';
    return {
      rule: 'TP033',
      address: key,
      place,
      message: `the key, at ${at} of the running kernel: ${wrong}${more}`,
    };
  }

  /** Keys that a table lists sites of, and static calls by their names, which may have none. */
  private keysIn(
    kind: LinkedKind,
    tables: readonly MemoryTable[],
  ): Map<number, { table: MemoryTable; number: number }[]> {
    const keys = new Map<number, { table: MemoryTable; number: number }[]>();
    if (!kind.link.isTyped) for (const key of this.program.calls.keys()) keys.set(key, []);
    for (const table of tables) {
      for (const [key, number] of table.first) {
        const of = keys.get(key);
        if (of) of.push({ table, number });
        else keys.set(key, [{ table, number }]);
      }
    }
    return keys;
  }

  /** Whose a key is; undefined where nobody known has it. */
  private ownerOf(key: number): { at: number; of: ModuleSites | undefined } | 'init' | undefined {
    const size = keySize(this.image);
    if (this.linked.segmentAt(key)) {
      if (isFreed(this.linked, key)) return 'init';
      return this.image.has(key, size) ? { at: 0, of: undefined } : undefined;
    }
    const module = this.kept.at(this.runningAt(key))?.module;
    if (module) return { at: module.at, of: this.modules.get(module) };
    return this.freed.at(key) ? 'init' : undefined;
  }

  /** Where a module's table lies: its file has it somewhere, and what `struct module` says is TP034 otherwise. */
  private tablePlace(
    of: ModuleSites | undefined,
    kind: LinkedKind,
    said: LoadedTable,
  ): LoadedTable & { readonly finding?: Finding } {
    if (!of?.image || !of.file) return said;
    const { name } = kind.table;
    const { entrySize, section } = tableIn(of.file.image, kind.table);
    const start = section ? this.runningAt(section.addr) : 0;
    const count = section ? Math.floor(section.size / entrySize) : 0;
    if (section && start === said.start && count === said.count) return said;
    const has = section ? `its file has ${count} entries at ${hex(start)}` : 'its file has none';
    return {
      start,
      count,
      finding: {
        rule: 'TP034',
        address: this.image.addressAt(said.start, -this.slide),
        place: `${of.module.name}:${name}`,
        message: `struct module says that ${name} has ${said.count} entries at ${hex(said.start)}; ${has}`,
      },
    };
  }

  /** What the file says of a static key, and whether the kernel seals it (jump_label_init_ro). */
  private typeOf(
    key: number,
    of: ModuleSites | undefined,
  ): { initial: boolean | undefined; maySeal: boolean } {
    const file = of ? of.file?.image : this.linked;
    const word = key + this.image.arch.wordSize;
    const initial = file?.segmentAt(key) ? (file.readS32(this.lowHalf(word)) & 1) !== 0 : undefined;
    const seals = this.linked.symbols.addressOf('jump_label_init_ro') !== undefined;
    return { initial, maySeal: seals && !of && isReadOnlyAfterInit(this.linked, key) };
  }

  /** The four bytes of a word with its low bits. */
  private lowHalf(word: number): number {
    const { wordSize } = this.image.arch;
    return this.image.file.header.little ? word : word + wordSize - 4;
  }

  private owners({ link: { list: form } }: LinkedKind, unread: ReadonlySet<number>): KnownOwners {
    const { reader, btf, list } = this.running;
    const at = (member: 'next' | 'entries' | 'mod') =>
      btf?.member(form.struct, member === 'entries' ? form.entries : member)?.offset ??
      form.order.indexOf(member) * reader.wordSize;
    const layout: ListLayout = { next: at('next'), entries: at('entries'), mod: at('mod') };
    const modules = new Map(
      (list?.modules ?? []).map(({ at, name, state }) => [
        at,
        { name, isLive: state === 'live', isRead: !unread.has(at) },
      ]),
    );
    return {
      reader,
      layout,
      modules,
      areAll: list !== undefined && list.missing === undefined && list.broken === undefined,
    };
  }
}
