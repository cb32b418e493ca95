// Seeded random numbers, so that a failing case can be run again.

/** mulberry32: numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Choices of a seeded row of numbers. */
export class Random {
  private readonly next: () => number;

  /** Several seeds are mixed: neighbours share nothing. */
  constructor(...seeds: readonly number[]) {
    let mixed = 0;
    for (const seed of seeds) mixed = Math.floor(seeded(mixed ^ seed)() * 2 ** 32);
    this.next = seeded(mixed);
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

/** A copy of `bytes` with one to four bytes replaced, anywhere. */
export function flipped(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = bytes.slice();
  const count = 1 + Math.floor(random() * 4);
  for (let i = 0; i < count; i++) copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
  return copy;
}
