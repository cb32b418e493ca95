// Things by name, without a string for each: a kernel has 200,000 symbols, of which some thousands are asked for.
import { sumOfName } from './name-sums.ts';

/** Things that have numbers from 0 on. */
export interface Named {
  readonly count: number;
  name(number: number): string;
  /** `sumOfName` of the name. */
  nameSum(number: number): number;
}

/** Bits of a sum that may be used. */
const goodBits = 25;

export class NameIndex {
  private readonly named: Named;
  private readonly shift: number;
  /** The first thing of each bucket, and behind each thing the next one of its bucket; 0 is none. */
  private readonly heads: Uint32Array;
  private readonly next: Uint32Array;

  /** `isMember` says what is found; number 0 never is. Errors as `nameSum`. */
  constructor(named: Named, isMember: (number: number) => boolean) {
    this.named = named;
    const bits = Math.min(32 - Math.clz32(named.count | 1), goodBits);
    this.shift = 32 - bits;
    this.heads = new Uint32Array(2 ** bits);
    this.next = new Uint32Array(named.count);
    // From the last one on, so that each bucket is in order.
    for (let i = named.count - 1; i > 0; i--) {
      if (!isMember(i)) continue;
      const bucket = named.nameSum(i) >>> this.shift;
      this.next[i] = this.heads[bucket] as number;
      this.heads[bucket] = i;
    }
  }

  /** All members with that name, in order. */
  of(name: string): number[] {
    const found: number[] = [];
    let i = this.heads[sumOfName(name) >>> this.shift] as number;
    for (; i !== 0; i = this.next[i] as number) if (this.named.name(i) === name) found.push(i);
    return found;
  }
}
