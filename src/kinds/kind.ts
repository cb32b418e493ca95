// What a kind of site is: one record, from which annotate, dump, boot, verify, states, diff, the linker script and the
// options are made. registry.ts lists the records; nothing else has to be told of a new one.

import type { Arch } from '../arch/arch.ts';
import type { Address } from '../bytes/named-numbers.ts';
import type { TableRow } from '../bytes/table.ts';
import type { Circumstances, Demand, ListedValues, Patch, State, UpFill } from '../demand/patch.ts';
import type { Program } from '../demand/program.ts';
import type { KeyedSite, Site, SiteKind } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import type { Found, Search, WayOut } from '../object/found.ts';
import type { CellTools, DumpedEntry, DumpedPlace, EntryReader, KeyReader, KeyState } from './shown.ts';

/** The places that an entry's fields name: as many of them as the table has fields. */
export type Fields<Place> = readonly [Place, Place, Place];

/** A table and how its entries are shown. A table whose entries list sites is a `Kind`. */
export interface TableKind<E extends DumpedEntry = DumpedEntry> {
  /** Name of the table in JSON: `jumpTable`. */
  readonly id: string;
  readonly table: TableRow;
  /** The form of the table in an image, where there are several. */
  formIn?(image: Image): TableRow;
  /** What `--table` takes beside the section's name and `id`; the first is what help shows. */
  readonly aliases: readonly string[];
  /** True when the linker script of a machine has the table. */
  isInScript(arch: Arch): boolean;
  /** True when entries name keys, by which `--key` chooses. */
  readonly hasKeys: boolean;
  /** What a key of the table has in the file; undefined where that cannot be told. Absent: entries name no keys. */
  stateOf?(key: KeyReader): KeyState | undefined;
  /** An entry's fields as JSON has them; undefined for an entry whose key was not asked for. */
  decode<Place>(
    fields: Fields<Place>,
    reader: EntryReader<Place>,
    bytes: Uint8Array,
  ): Omit<E, 'index'> | undefined;
  /** True for an entry whose flags are those of the build, as boot sets none of them there. */
  isAsBuilt?(entry: E): boolean;
  /** Heads of the columns of dump's text. */
  readonly columns: readonly string[];
  /** The cells of an entry, one a column. */
  cells(entry: E, tools: CellTools): string[];
}

/** How annotate finds sites. */
export interface AnnotateRow {
  /** Name in AnnotateOptions, and of the option without its dashes in camel case. */
  readonly option: string;
  /** The options of the command line. */
  readonly options: readonly CommandOption[];
  /** True for what is listed only when asked for; the others are listed unless some of them are named. */
  readonly optIn?: true;
  find(search: Search): Found;
  /** Where the sites of an object may send the flow, whether they are to be listed or not. */
  waysOut?(search: Search): readonly WayOut[];
}

/** An option of annotate and cc. */
export interface CommandOption {
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
}

/** How sites are counted by boot and verify; several kinds may be counted as one. */
export interface Group {
  /** Name in JSON: `barriers`. */
  readonly id: string;
  /** As people count them: `lock prefix`. */
  readonly noun: string;
  /** As the allow-list of states names them. */
  readonly state: string;
}

/** A place that an entry names. */
export interface NamedPlace {
  readonly address: Address;
  /** `a jump entry names a target`. */
  readonly what: string;
  /** What has to start there; undefined: any byte of code will do. */
  readonly starts?: 'instruction' | 'branch' | undefined;
}

/** A kind of site. */
export interface Kind<S extends Site = Site, E extends DumpedEntry = DumpedEntry>
  extends TableKind<E>,
    SiteKind<S> {
  /** As diff and verify tell of one: `static branch`. */
  readonly name: string;
  readonly plural: string;
  /** As messages about an entry's site have it: `lock prefix`. */
  readonly noun: string;
  /** Undefined for sites that are never patched. */
  readonly group?: Group;
  /** Name of the field of annotate's statistics. */
  readonly statistic?: string;
  readonly annotate?: AnnotateRow;

  // What a build changes of it, and what it does not.
  /** A site as diff tells it apart: key or name of the call, and what else the entry says. */
  identify(entry: E): { readonly place: DumpedPlace; readonly key?: string; readonly flags?: string };

  // What the entries of an image say.
  /** Bytes that a site takes now. */
  sizeOf(image: Image, site: S): number;
  /** Most bytes that a site may take. */
  longest(arch: Arch): number;
  /** The places that an entry names and boot relies on. */
  places(image: Image, site: S): readonly NamedPlace[];
  /** What entries of one site have to agree on. */
  meaning(site: S): string;
  /** What an entry says besides its place, for a comparison with the original: ` to 0x10, key 0x20`. */
  tell(site: S): string;
  /** True where boot sorts the table, by key and then by code. */
  readonly isSorted?: true;
  /** The label that a site branches to, which lies in its own function. */
  target?(site: S): Address;
  /** True for an entry whose site is flagged as one of init text. */
  isInit?(site: S): boolean;
  /** Code that the site needs for as long as it lives, and what to call it. */
  reference?(program: Program, site: S): { readonly what: string; readonly code: Address | undefined };
  /** What patching may change for a site: virtual addresses and numbers of bytes. */
  changes(program: Program, site: S): readonly (readonly [address: Address, length: number])[];

  // What tells of a site that has lost its entry.
  /** Nothing but a record that annotate leaves: true where such a site may stand, patched or not. */
  mayStand?(image: Image, address: Address): boolean;
  /** The code itself, once annotate has noted that an object lists such sites. */
  readonly isNoted?: true;

  // What may stand at a site.
  /** What must stand there now; undefined where nothing but the number of CPUs decides. */
  demand?(program: Program, site: S, circumstances: Circumstances): Demand;
  /** Every byte string that may stand there while the program runs. */
  states(program: Program, site: S, listed: ListedValues): State[];
  /** The sites that the program's runtime patches at all; `of` is the image that lists them. */
  patched?(program: Program, of: Image, sites: readonly S[]): readonly S[];
  /** True for a site that is as a linker leaves it and boot never does; nothing where boot changes no site of the kind. */
  isAsLinked?(program: Program, site: S): boolean;
  /** The phase of boot that brings sites to their demands. */
  readonly phase?: string;
  /** What brings sites to a number of CPUs; notes come with the patches. */
  forCpus?(program: Program, sites: readonly S[], cpus: number, fill: UpFill): CpuChange;
  /** True when the kernel's text_reserved functions count a site as lying in a range of code. */
  reserves?(image: Image, site: S, range: AskedRange): boolean;
  /** True where kernel modules bring sites as well. */
  readonly isInModules?: true;
  /** The sites of a module with the keys that only the kernel knows; `image` has both, `tables` is the kernel's file. */
  withKeys?(image: Image, sites: readonly S[], tables: Image): readonly S[];
  /** How a running kernel finds the sites of a key: its word behind the count or the function leads to them. */
  readonly link?: KeyLinkRow<S>;
}

/** Facts about that word, and about the lists that it leads to once modules have sites. */
export interface KeyLinkRow<S extends Site = Site> {
  /** The fields of a site's entry, flags included. */
  fields(site: S): readonly number[];
  /** True where the low bits of the word say what the key was built as, and that a list follows; else bit 0 says that none does. */
  readonly isTyped: boolean;
  /** Members of `struct module` with the table and with the number of its entries. */
  readonly module: readonly [table: string, count: string];
  /** The structure of a list's elements, its member with the entries, and the order of its three pointers where no BTF says. */
  readonly list: {
    readonly struct: string;
    readonly entries: string;
    readonly order: readonly ['next', 'entries' | 'mod', 'entries' | 'mod'];
  };
}

/** A kind whose sites a running kernel finds by their keys. */
export type LinkedKind = Kind<KeyedSite> & { readonly link: KeyLinkRow<KeyedSite> };

/** A range of code that somebody else wants to change. */
export interface AskedRange {
  readonly start: Address;
  /** Address of the last byte. */
  readonly end: Address;
  /** True once locks were dropped: from then on they are kept in mind. */
  readonly haveDropped: boolean;
}

/** What a change of the number of CPUs writes, and what a person has to know of it. */
export interface CpuChange {
  readonly patches: Iterable<Patch>;
  readonly note?: string | undefined;
}

/** A kind whose sites follow keys. */
export type KeyedKind<S extends KeyedSite = KeyedSite> = Kind<S>;

/** True for a table whose entries list sites. */
export function isKind(row: TableKind): row is Kind {
  return 'read' in row;
}

/** A site's key, where its kind has keys. */
export function keyOf(site: Site): Address | undefined {
  return 'key' in site ? (site as KeyedSite).key : undefined;
}
