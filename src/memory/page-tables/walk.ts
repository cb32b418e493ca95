// Walks page tables in physical memory: a virtual memory of the bytes that they lead to. Damaged tables may lead
// anywhere, themselves included; a walk takes as many steps as there are levels, whatever they say.
import type { Memory, TableRoot } from '../memory.ts';
import type { Level } from './format.ts';

/** Translations that are kept: a gibibyte in pages of 4 KiB. */
const kept = 2 ** 18;
/** Tables that are kept, of 4 KiB each, or 16 KiB on ARM. */
const keptTables = 256;
/** Bytes of the smallest page. */
const smallest = 4096;

export class PageWalk {
  private readonly known = new Map<number, number | undefined>();
  /** Tables by address; undefined for one that the dump does not have as a whole. */
  private readonly tables = new Map<number, DataView | undefined>();
  private readonly from: TableRoot;

  constructor(from: TableRoot) {
    this.from = from;
  }

  /** The physical address of a virtual one; undefined where nothing is mapped, or the dump lacks a table. */
  translate(address: number): number | undefined {
    const page = Math.floor(address / smallest);
    let start = this.known.get(page);
    if (start === undefined && !this.known.has(page)) {
      start = this.walk(page * smallest);
      if (this.known.size >= kept) this.known.delete(this.known.keys().next().value as number);
      this.known.set(page, start);
    }
    return start === undefined ? undefined : start + (address - page * smallest);
  }

  /** A table that is there as a whole: all walks go through the same few. */
  private tableAt(address: number, size: number): DataView | undefined {
    let table = this.tables.get(address);
    // Damaged tables may be tables of several levels.
    if (table === undefined ? !this.tables.has(address) : table.byteLength < size) {
      table = this.read(address, size);
      if (this.tables.size >= keptTables) this.tables.delete(this.tables.keys().next().value as number);
      this.tables.set(address, table);
    }
    return table;
  }

  private read(address: number, size: number): DataView | undefined {
    const bytes = new Uint8Array(size);
    return this.from.physical.read(address, bytes) ? new DataView(bytes.buffer) : undefined;
  }

  private walk(address: number): number | undefined {
    const { tables, root, little } = this.from;
    const { levels, entrySize } = tables;
    if (!(address >= tables.start && address < tables.end)) return undefined;
    let table = root;
    for (let i = 0; i < levels.length; i++) {
      const { shift, bits } = levels[i] as Level;
      const index = remainder(Math.floor(address / 2 ** shift), 2 ** bits);
      const view = this.tableAt(table, entrySize * 2 ** bits);
      const at = view ? index * entrySize : 0;
      const entry = view ?? this.read(table + index * entrySize, entrySize);
      if (!entry) return undefined;
      const low = entry.getUint32(at + (little || entrySize === 4 ? 0 : 4), little);
      const high = entrySize === 4 ? 0 : entry.getUint32(at + (little ? 4 : 0), little);
      const target = tables.target(i, low, high);
      if (!target) return undefined;
      if (target.kind === 'page') return target.at + remainder(address, 2 ** (target.shift ?? shift));
      table = target.at;
    }
    return undefined;
  }
}

/** What is left of a number, which may be negative, by a power of two: exact for every number. */
function remainder(value: number, power: number): number {
  return value - Math.floor(value / power) * power;
}

/** A memory that can say where it is. */
export interface WalkedMemory extends Memory {
  /** The tables that lead to it. */
  readonly from: TableRoot;
  /** The physical address of a virtual one. */
  translate(address: number): number | undefined;
}

/** The virtual memory that tables make. It is for reading; what is searched for is searched in physical memory. */
export function walkedMemory(from: TableRoot, format: string): WalkedMemory {
  const walk = new PageWalk(from);
  return {
    from,
    translate: (address) => walk.translate(address),
    format,
    addresses: 'virtual',
    fileSize: from.physical.fileSize,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      let whole = true;
      for (let at = 0; at < into.length; ) {
        const inPage = remainder(address + at, smallest);
        const size = Math.min(smallest - inPage, into.length - at);
        const start = walk.translate(address + at);
        if (start === undefined || !from.physical.read(start, into.subarray(at, at + size))) whole = false;
        at += size;
      }
      return whole;
    },
  };
}
