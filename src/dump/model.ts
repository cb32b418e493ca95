// What `dump` finds in a file, in the shape of its JSON document (DESIGN.md, section 5; schema textpoke.dump/1).

export const dumpSchema = 'textpoke.dump/1';

/** A place in an object or an image. Addresses are `0x…` strings; in an object they count from the section. */
export interface DumpedPlace {
  readonly address?: string;
  readonly section?: string;
  /** Byte offset in the section. */
  readonly offset?: number;
  /** The symbol that names the place, or the nearest in front of it. */
  readonly symbol?: string;
  readonly symbolOffset?: number;
  /** The symbol is defined in no section of this object: elsewhere, as a common, or as a number. */
  readonly undefined?: true;
  readonly common?: true;
  readonly absolute?: true;
  /**
   * Source of a place in code, where DWARF has it: as the compiler was given the name, so a relative one counts from
   * the directory where it ran.
   */
  readonly file?: string;
  readonly line?: number;
}

export interface DumpedInstruction {
  /** Hexadecimal digits. */
  readonly bytes: string;
  readonly kind: string;
  readonly text: string;
}

interface DumpedEntryBase {
  /** Position in the table, all its sections together. */
  readonly index: number;
  /** What is wrong with the entry; the fields that could be read are there. */
  readonly problem?: string;
}

export interface DumpedJumpEntry extends DumpedEntryBase {
  readonly code: DumpedPlace;
  readonly target: DumpedPlace;
  readonly key: DumpedPlace;
  readonly branch: 'likely' | 'unlikely';
  readonly bit1: boolean;
  readonly instruction?: DumpedInstruction;
}

export interface DumpedCallSite extends DumpedEntryBase {
  readonly site: DumpedPlace;
  readonly key: DumpedPlace;
  readonly tail: boolean;
  readonly init: boolean;
  readonly instruction?: DumpedInstruction;
}

export interface DumpedLock extends DumpedEntryBase {
  readonly lock: DumpedPlace;
  readonly byte?: string;
}

export interface DumpedBarrier extends DumpedEntryBase {
  readonly site: DumpedPlace;
  readonly instruction?: DumpedInstruction;
}

export interface DumpedAlternative extends DumpedBarrier {
  /** What one CPU needs at the site: bytes in the order of memory. */
  readonly replacement?: DumpedInstruction;
}

export interface DumpedTrampolineKey extends DumpedEntryBase {
  readonly trampoline: DumpedPlace;
  readonly key: DumpedPlace;
}

/** An entry without places: one that a linker zeroed with the code it named, or one that cannot be read. */
export interface DumpedDeadEntry extends DumpedEntryBase {
  readonly bytes: string;
  readonly discarded?: true;
}

/** Where a table lies: a section of its own, or a stretch of a larger one. */
export interface TablePart {
  readonly section: string;
  /** Section number, in an object. */
  readonly number?: number;
  /** Of the first entry, in an image. */
  readonly address?: string;
  readonly entries: number;
}

export interface DumpedTable<Entry extends DumpedEntryBase> {
  /** Section name of the table. */
  readonly name: string;
  /** Entries hold addresses, as those of 32-bit ARM kernels do, and not distances. */
  readonly absolute?: true;
  readonly parts: readonly TablePart[];
  /** Entries in the file, before `--key` chose among them. */
  readonly total: number;
  readonly entries: readonly (Entry | DumpedDeadEntry)[];
  /** What is wrong with the table as a whole. */
  readonly problems: readonly string[];
}

/** The tables of a file; those that were not asked for are absent. */
export interface DumpedTables {
  readonly jumpTable?: DumpedTable<DumpedJumpEntry>;
  readonly staticCallSites?: DumpedTable<DumpedCallSite>;
  readonly smpLocks?: DumpedTable<DumpedLock>;
  readonly keptLocks?: DumpedTable<DumpedLock>;
  readonly smpBarriers?: DumpedTable<DumpedBarrier>;
  readonly altSmp?: DumpedTable<DumpedAlternative>;
  readonly trampolineKeys?: DumpedTable<DumpedTrampolineKey>;
}

export interface DumpedFile {
  readonly file: string;
  readonly class: 32 | 64;
  readonly machine: string;
  readonly type: 'rel' | 'exec' | 'dyn';
  readonly tables: DumpedTables;
  /** Why some places have no source line though the file has line tables. */
  readonly linesProblem?: string;
}

/** True for an entry that has no places. */
export function isDead<Entry extends DumpedEntryBase>(
  entry: Entry | DumpedDeadEntry,
): entry is DumpedDeadEntry {
  return 'bytes' in entry;
}

/** `symbol+0x10`, else the section or the bare address. */
export function placeName(place: DumpedPlace): string {
  if (place.symbol !== undefined) {
    const offset = place.symbolOffset ?? 0;
    if (offset === 0) return place.symbol;
    return `${place.symbol}${offset < 0 ? '-' : '+'}0x${Math.abs(offset).toString(16)}`;
  }
  if (place.section !== undefined) return `${place.section}+0x${(place.offset ?? 0).toString(16)}`;
  return place.address ?? '?';
}

/** `file.c:123`; undefined for a place without source. */
export function sourceName({ file, line }: DumpedPlace): string | undefined {
  return file === undefined ? undefined : `${file}:${line}`;
}
