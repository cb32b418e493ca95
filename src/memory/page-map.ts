// Which pages a kdump has: a bitmap, a bit for each page of the machine. The page's descriptor is found by the number
// of pages in front of it.
const blockSize = 64;

const onesOf = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) ones++;
  return ones;
});

export class PageMap {
  private readonly bitmap: Uint8Array;
  /** Pages in front of each block of the bitmap. */
  private readonly before: Float64Array;

  constructor(bitmap: Uint8Array) {
    this.bitmap = bitmap;
    this.before = new Float64Array(Math.ceil(bitmap.length / blockSize));
    let sum = 0;
    for (let i = 0; i < bitmap.length; i++) {
      if (i % blockSize === 0) this.before[i / blockSize] = sum;
      sum += onesOf[bitmap[i] as number] as number;
    }
  }

  has(page: number): boolean {
    const byte = this.bitmap[Math.floor(page / 8)];
    return byte !== undefined && (byte & (1 << (page % 8))) !== 0;
  }

  /** How many pages are there in front of one. */
  rank(page: number): number {
    const end = Math.floor(page / 8);
    const block = Math.floor(end / blockSize);
    let rank = this.before[block] as number;
    for (let i = block * blockSize; i < end; i++) rank += onesOf[this.bitmap[i] as number] as number;
    return rank + (onesOf[(this.bitmap[end] as number) & ((1 << (page % 8)) - 1)] as number);
  }

  /** The pages, in order. */
  *pages(): Generator<number> {
    for (const [i, byte] of this.bitmap.entries()) {
      for (let bit = 0; byte >> bit !== 0; bit++) if ((byte & (1 << bit)) !== 0) yield i * 8 + bit;
    }
  }
}
