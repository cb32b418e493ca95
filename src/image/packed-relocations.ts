// DT_RELR: places of relative relocations as addresses and bitmaps (gABI, "Relative Relocation Table"). They stay packed:
// eight bytes stand for 63 places.
import { toAddress } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import type { ByteView } from '../bytes/view.ts';

export class PackedRelocations {
  private readonly words: ByteView;
  private readonly wordSize: number;
  /** The words that are addresses, in order of address, and where each of them stands. */
  private readonly starts: Float64Array;
  private readonly positions: Uint32Array;
  /** Where the bitmaps end that follow each of them. */
  private readonly ends: Uint32Array;

  /** `words` are the table's, of `wordSize` bytes each. */
  constructor(words: ByteView, wordSize: 4 | 8) {
    this.words = words;
    this.wordSize = wordSize;
    const size = words.bytes.length;
    const positions: number[] = [];
    for (let at = 0; at + this.wordSize <= size; at += this.wordSize) {
      if ((this.word(at) & 1n) === 0n) positions.push(at);
    }
    const addressAt = (i: number): number => {
      const value = this.word(positions[i] as number);
      return toAddress(this.wordSize === 8 ? value : Number(value));
    };
    const order = Uint32Array.from(positions.keys()).sort((a, b) => addressAt(a) - addressAt(b));
    this.starts = Float64Array.from(order, addressAt);
    this.positions = Uint32Array.from(order, (i) => positions[i] as number);
    this.ends = Uint32Array.from(order, (i) => positions[i + 1] ?? size);
  }

  private word(at: number): bigint {
    return this.wordSize === 8 ? this.words.u64(at) : BigInt(this.words.u32(at));
  }

  /** True when the pointer at an address is relocated. */
  has(address: Address): boolean {
    const run = countUpTo(this.starts, address) - 1;
    const distance = address - (this.starts[run] ?? Number.NaN);
    if (distance === 0) return true;
    if (!(distance % this.wordSize === 0)) return false;
    // The bitmaps behind an address tell of the words behind that one: one word for each bit but the lowest.
    const bits = 8 * this.wordSize - 1;
    const word = distance / this.wordSize - 1;
    const at = (this.positions[run] as number) + this.wordSize * (1 + Math.floor(word / bits));
    if (at + this.wordSize > (this.ends[run] as number)) return false;
    return ((this.word(at) >> BigInt(1 + (word % bits))) & 1n) === 1n;
  }
}
