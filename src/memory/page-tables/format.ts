// What tells one form of page tables from another: levels, entries, and what an entry says.

/** One level of a tree of tables: which bits of a virtual address count its entries. */
export interface Level {
  /** The lowest of these bits: an entry stands for 2^shift bytes. */
  readonly shift: number;
  readonly bits: number;
}

/** What an entry leads to; undefined where it leads nowhere. */
export interface Target {
  /** A table of the next level, or the memory itself. */
  readonly kind: 'table' | 'page';
  /** Physical address of the first byte. */
  readonly at: number;
  /** Of memory: it has 2^shift bytes, if that is not what an entry of its level stands for (a supersection of ARM). */
  readonly shift?: number;
}

export interface PageTables {
  /** As notes call it. */
  readonly name: string;
  readonly entrySize: 4 | 8;
  /** The table that the root is, first. */
  readonly levels: readonly Level[];
  /** Virtual addresses that the tables are for. */
  readonly start: number;
  readonly end: number;
  /** Reads an entry of a level by its halves (32-bit entries: `high` is 0). */
  target(level: number, low: number, high: number): Target | undefined;
  /**
   * What an entry of a level that leads somewhere lets be done: `rights` of it and of all entries above it are what a page
   * lets be done. Forms that are not read for rights have none of this.
   */
  rights?(low: number, high: number, level: number): number;
}

/** Bits of `PageTables.rights`. */
export const rights = { write: 1, execute: 2, user: 4 } as const;

/** A physical address from the halves of an entry: bits [first, 52), where `high` has had other bits taken out. */
export function addressIn(low: number, high: number, first: number): number {
  return high * 2 ** 32 + Math.floor((low >>> 0) / 2 ** first) * 2 ** first;
}
