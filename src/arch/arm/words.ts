// What 32-bit and 64-bit ARM have in common: words and halfwords of code, names of conditions, mapping symbols.

/** In the order of their codes (Arm ARM, "The condition code field"); behind them come al and nv. */
export const conditionNames = 'eq ne hs lo mi pl vs vc hi ls ge lt gt le'.split(' ');

/** The halfword at a byte offset; 0 behind the end. */
export function halfAt(code: Uint8Array, offset: number, little: boolean): number {
  if (offset + 2 > code.length) return 0;
  const low = code[offset + (little ? 0 : 1)] as number;
  return low | ((code[offset + (little ? 1 : 0)] as number) << 8);
}

/** The word at a byte offset, unsigned; 0 behind the end. */
export function wordAt(code: Uint8Array, offset: number, little: boolean): number {
  if (offset + 4 > code.length) return 0;
  const low = halfAt(code, offset + (little ? 0 : 2), little);
  return (low | (halfAt(code, offset + (little ? 2 : 0), little) << 16)) >>> 0;
}

export function bytesOfHalves(little: boolean, ...halves: number[]): Uint8Array {
  return Uint8Array.from(halves.flatMap((h) => (little ? [h & 0xff, h >> 8] : [h >> 8, h & 0xff])));
}

export function bytesOfWord(little: boolean, word: number): Uint8Array {
  const [high, low] = [word >>> 16, word & 0xffff];
  return little ? bytesOfHalves(little, low, high) : bytesOfHalves(little, high, low);
}

/** Reads mapping symbols: `$` and one of the letters, alone or with a dot and anything behind it. */
export function mappingSymbols<Mark>(
  marks: Readonly<Record<string, Mark>>,
): (name: string) => Mark | undefined {
  return (name) => (/^\$.(\.|$)/.test(name) ? marks[name[1] as string] : undefined);
}
