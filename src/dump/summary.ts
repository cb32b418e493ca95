// The answer that dump gives before its tables: how much of a file can be patched, where, and by which keys. It is plain
// data (docs/summary.schema.json), which text, JSON and the page are made of.
import type { KeyState } from '../kinds/shown.ts';

/** What `dump --summary` says of a file; of an archive, all its members together. */
export interface FileSummary {
  /** By the name that it was given. */
  readonly file: string;
  /** Bits of an address. */
  readonly class: 32 | 64;
  /** Machine and byte order, as messages call them. */
  readonly machine: string;
  /** A relocatable object; an executable; a shared object or PIE. */
  readonly type: 'rel' | 'exec' | 'dyn';
  /** What was unpacked, of a kernel file. */
  readonly unpacked?: string;
  /** Of an archive. */
  readonly members?: MemberCounts;
  readonly text: TextSummary;
  /** Tables that the file has, in the order of dump. */
  readonly tables: readonly TableSummary[];
  /** How many there are of each, however many of them are listed below. */
  readonly counts: GroupCounts;
  /** How many keys begin in each state, by the states' names (`KeyState`). */
  readonly states: Readonly<Record<string, number>>;
  /** Those with the most sites first, here and below. */
  readonly keys: readonly KeyGroup[];
  /** The functions that hold sites. */
  readonly functions: readonly SiteGroup[];
  /** The source files that the sites come from; empty where there are no line tables. */
  readonly files: readonly SiteGroup[];
  /** The sections that hold sites. */
  readonly sections: readonly SiteGroup[];
  /** What is wrong with a table as a whole, by its name; under `sourceLines`: why places have no file and line. */
  readonly problems?: Readonly<Record<string, readonly string[]>>;
}

/** Members of an archive. */
export interface MemberCounts {
  /** Members that are ELF files. */
  readonly total: number;
  /** Those of them that have tables. */
  readonly withTables: number;
}

/** The code of a file, and how much of it patching can change. */
export interface TextSummary {
  /** In executable sections, or segments where there are no sections. */
  readonly bytes: number;
  /** Bytes of init text, which is freed after start-up; part of `bytes`. */
  readonly initBytes: number;
  /** Bytes that sites take, each counted once; what replaces the bytes of a site takes no more. */
  readonly patchableBytes: number;
  /** Sites: places that tables list, each counted once. */
  readonly sites: number;
  /** Those of them that lie in init text. */
  readonly initSites: number;
}

/** A table of a file. */
export interface TableSummary {
  /** Its name in JSON: `jumpTable`. */
  readonly table: string;
  /** Its section's name: `__jump_table`. */
  readonly section: string;
  /** Entries, without those that a linker discarded. */
  readonly entries: number;
  /** Entries of code that a linker discarded. */
  readonly discarded: number;
  /** Entries that make no sense. */
  readonly malformed: number;
  /** Size of the table in bytes. */
  readonly bytes: number;
  /** Keys that its entries name; absent for a table without keys. */
  readonly keys?: number;
  /** Entries whose site lies in init text. */
  readonly initSites: number;
}

/** How many keys, functions, source files and sections the sites of a file have. */
export interface GroupCounts {
  readonly keys: number;
  readonly functions: number;
  readonly files: number;
  readonly sections: number;
}

/** Sites that have something in common. */
export interface SiteGroup {
  /** Of the key, function, source file or section. */
  readonly name: string;
  /** The archive's member, for what only this member can name. */
  readonly member?: string;
  /** Where it lies: of a key or function, in an image. */
  readonly address?: string;
  readonly sites: number;
  /** Bytes of text that the sites take. */
  readonly bytes: number;
  /** Sites that lie in init text. */
  readonly initSites: number;
  /** How many of them each table lists, by the tables' names in JSON: `{ "jumpTable": 3 }`. */
  readonly tables: Readonly<Record<string, number>>;
}

/** The sites of a key. */
export interface KeyGroup extends SiteGroup {
  /** What the key has before anything is patched. */
  readonly state: KeyState;
}
