// The memory that page tables let a processor execute: all of it, whoever made it. Tables that are damaged or made to
// deceive may lead anywhere, themselves included; the work follows from the size of the dump all the same.

import type { TableRoot } from '../memory.ts';
import type { Level, PageTables } from './format.ts';
import { rights } from './format.ts';

/** Adjacent pages that may be executed, and what else may be done with them. Addresses are virtual. */
export interface ExecutableStretch {
  readonly start: number;
  /** Of the byte behind its last one. */
  readonly end: number;
  readonly isWritable: boolean;
  /** Programs may execute it as well. */
  readonly isOfUsers: boolean;
  /** Where its first byte lies in physical memory, if that was asked for; the rest lies behind it. */
  readonly physical?: number | undefined;
}

export interface ExecutableMemory {
  /** In order of address. */
  readonly stretches: readonly ExecutableStretch[];
  /** Tables that the dump does not have: what they map is not known. */
  readonly missing: number;
  /** Why the walk ended before its end: the tables are no kernel's. */
  readonly cut: string | undefined;
}

/** Pages of all stretches together: more than the code of any kernel with all its modules has. */
const mostPages = 1 << 20;
/** Tables that are looked at for each page of the dump: one is looked at again where it is mapped several times. */
const eachTable = 16;
/** Looked at in any case. */
const someTables = 1 << 14;
const pageSize = 4096;

/**
 * What tables are mapped where `from` to `to` lies. Forms without rights have no stretches. With `tellsPhysical` a stretch is
 * one in physical memory as well.
 */
export function executableMemory(
  root: TableRoot,
  from: number,
  to: number,
  tellsPhysical = false,
): ExecutableMemory {
  const walk = new ExecutableWalk(root, from, to, tellsPhysical);
  walk.visit(root.root, 0, Number.NaN, rights.write | rights.execute | rights.user);
  return { stretches: walk.stretches, missing: walk.missing, cut: walk.cut };
}

class ExecutableWalk {
  readonly stretches: ExecutableStretch[] = [];
  missing = 0;
  cut: string | undefined;
  private pages = 0;
  private tablesLeft: number;
  /** Tables below which nothing is executable, by page and level. */
  private readonly barren = new Set<number>();
  private readonly root: TableRoot;
  private readonly from: number;
  private readonly to: number;
  private readonly tables: PageTables;
  private readonly tellsPhysical: boolean;
  private last: { -readonly [Name in keyof ExecutableStretch]: ExecutableStretch[Name] } | undefined;

  constructor(root: TableRoot, from: number, to: number, tellsPhysical: boolean) {
    this.root = root;
    this.tellsPhysical = tellsPhysical;
    this.tables = root.tables;
    this.from = from;
    this.to = to;
    this.tablesLeft = someTables + Math.ceil(root.physical.fileSize / pageSize) * eachTable;
  }

  /** Goes through a table whose first entry is for `base`; true where something below it is executable. */
  visit(table: number, level: number, base: number, allowed: number): boolean {
    if (this.cut !== undefined) return false;
    if (this.tablesLeft-- <= 0) {
      this.cut = 'the page tables have more tables than the dump has pages; they lead in circles';
      return false;
    }
    const { shift, bits } = this.tables.levels[level] as Level;
    const { entrySize } = this.tables;
    const count = 2 ** bits;
    const bytes = new Uint8Array(count * entrySize);
    if (!this.root.physical.read(table, bytes)) {
      this.missing++;
      return false;
    }
    const view = new DataView(bytes.buffer);
    const { little } = this.root;
    let found = false;
    for (let n = 0; n < count && this.cut === undefined; n++) {
      const address = (Number.isNaN(base) ? this.tables.start : base) + n * 2 ** shift;
      // Addresses below 0 come first, which a root for both halves has behind the others.
      const i = Number.isNaN(base) ? remainder(address / 2 ** shift, count) : n;
      if (address >= this.to || address + 2 ** shift <= this.from) continue;
      const low = view.getUint32(i * entrySize + (little || entrySize === 4 ? 0 : 4), little);
      const high = entrySize === 4 ? 0 : view.getUint32(i * entrySize + (little ? 4 : 0), little);
      const own = this.tables.rights?.(low, high, level) ?? 0;
      if ((own & rights.execute) === 0) continue;
      const target = this.tables.target(level, low, high);
      if (!target) continue;
      if (target.kind === 'page') {
        this.add(address, address + 2 ** shift, allowed & own, this.tellsPhysical ? target.at : undefined);
        found = true;
        continue;
      }
      const key = Math.floor(target.at / pageSize) * 8 + level + 1;
      if (this.barren.has(key)) continue;
      const missing = this.missing;
      if (this.visit(target.at, level + 1, address, allowed & own)) found = true;
      else if (this.missing === missing && this.isWhole(address, shift)) this.barren.add(key);
    }
    return found;
  }

  /** Whether all of what an entry stands for is asked for. */
  private isWhole(address: number, shift: number): boolean {
    return address >= this.from && address + 2 ** shift <= this.to;
  }

  private add(start: number, end: number, allowed: number, physical: number | undefined): void {
    if (++this.pages > mostPages) {
      this.cut = `more than ${mostPages} pages are executable`;
      return;
    }
    const isWritable = (allowed & rights.write) !== 0;
    const isOfUsers = (allowed & rights.user) !== 0;
    const { last } = this;
    const goesOn =
      last?.end === start &&
      last.isWritable === isWritable &&
      last.isOfUsers === isOfUsers &&
      (physical === undefined || last.physical === physical - (start - last.start));
    if (last && goesOn) last.end = end;
    else {
      this.last = { start, end, isWritable, isOfUsers, physical };
      this.stretches.push(this.last);
    }
  }
}

const remainder = (value: number, of: number): number => value - Math.floor(value / of) * of;
