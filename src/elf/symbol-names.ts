// Symbols by name, without a string for each: a kernel has 200,000 of them, of which some thousands are asked for.
import type { SymbolNumber } from '../bytes/named-numbers.ts';
import { sumOfName } from './name-sums.ts';
import type { SymbolTable } from './symbols.ts';

/** Bits of a sum that may be used. */
const goodBits = 25;

export class SymbolNames {
  private readonly table: SymbolTable;
  private readonly shift: number;
  /** The first symbol of each bucket, and behind each symbol the next one of its bucket; 0 is none. */
  private readonly heads: Uint32Array;
  private readonly next: Uint32Array;

  /** `isMember` says which symbols are found. Error `elf-malformed` for a name that is not in the table of strings. */
  constructor(table: SymbolTable, isMember: (symbol: SymbolNumber) => boolean) {
    this.table = table;
    const bits = Math.min(32 - Math.clz32(table.count | 1), goodBits);
    this.shift = 32 - bits;
    this.heads = new Uint32Array(2 ** bits);
    this.next = new Uint32Array(table.count);
    // From the last one on, so that each bucket is in the order of the table.
    for (let i = table.count - 1; i > 0; i--) {
      if (!isMember(i)) continue;
      const bucket = table.nameSum(i) >>> this.shift;
      this.next[i] = this.heads[bucket] as number;
      this.heads[bucket] = i;
    }
  }

  /** All members with that name, in the order of the table. */
  of(name: string): SymbolNumber[] {
    const found: SymbolNumber[] = [];
    let i = this.heads[sumOfName(name) >>> this.shift] as number;
    for (; i !== 0; i = this.next[i] as number) if (this.table.name(i) === name) found.push(i);
    return found;
  }
}
