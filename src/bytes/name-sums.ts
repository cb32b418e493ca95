// A sum for each name, to find names by: equal names have equal sums, and others hardly ever.

/** Numbers by which the bytes of a name are multiplied, as many as the longest name has bytes. */
const factors: number[] = [];

/** A byte's part of the sum; `place` counts from the start of the name. */
function term(byte: number, place: number): number {
  while (factors.length <= place) factors.push((Math.random() * 2 ** 32) | 0);
  return Math.imul(factors[place] as number, byte);
}

/**
 * The sum of a name, of which the upper 25 bits are good. The factors are random, so that no file can make its names fall
 * on one another (multiply-shift for vectors: Thorup, "High Speed Hashing for Integers and Strings", 3.2).
 */
export function sumOfName(name: string): number {
  return Buffer.from(name, 'utf8').reduce((sum, byte, place) => (sum + term(byte, place)) | 0, 0);
}

/** The same of the bytes up to a NUL; undefined where there are more than `most`, no NUL, or others than ASCII. */
export function sumOfBytes(bytes: Uint8Array, start: number, most: number): number | undefined {
  let sum = 0;
  for (let place = 0; place <= most; place++) {
    const byte = bytes[start + place];
    if (byte === 0) return sum;
    if (byte === undefined || byte >= 0x80) return undefined;
    sum = (sum + term(byte, place)) | 0;
  }
  return undefined;
}
