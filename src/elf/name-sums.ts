// A sum for each name, to find names by: equal names have equal sums, and others hardly ever.

/** Numbers by which the bytes of a name are multiplied, as many as the longest name has bytes. */
const factors: number[] = [];

/** A byte's part of the sum; `place` counts from the start of the name. */
export function nameTerm(byte: number, place: number): number {
  while (factors.length <= place) factors.push((Math.random() * 2 ** 32) | 0);
  return Math.imul(factors[place] as number, byte);
}

/**
 * The sum of a name, of which the upper 25 bits are good. The factors are random, so that no file can make its names fall
 * on one another (multiply-shift for vectors: Thorup, "High Speed Hashing for Integers and Strings", 3.2).
 */
export function sumOfName(name: string): number {
  return Buffer.from(name, 'utf8').reduce((sum, byte, place) => (sum + nameTerm(byte, place)) | 0, 0);
}
