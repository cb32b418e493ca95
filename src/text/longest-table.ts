// Tables of a kernel whose kallsyms has functions alone (CONFIG_KALLSYMS_ALL is not set): found by what their entries are. Of
// the stretches that read like such a table one must be much longer than all others.
import type { Image } from '../image/image.ts';
import type { TableRange } from './tables.ts';

/** A stretch that is shorter may be anything. */
const fewest = 64;
/** How much longer the table has to be than anything else that reads like it. */
const times = 4;

type IsEntry = (view: DataView, at: number, start: number) => boolean;

/** The longest stretch of entries of so many bytes in the data of an image, each `step` bytes from its neighbour. */
export function longestTable(
  image: Image,
  entrySize: number,
  step: 4 | 8,
  isEntry: IsEntry,
): TableRange | undefined {
  let best = { start: 0, count: 0 };
  let second = 0;
  for (const { view, start } of dataViews(image)) {
    for (let at = 0; at + entrySize <= view.byteLength; ) {
      let count = 0;
      while (at + (count + 1) * entrySize <= view.byteLength && isEntry(view, at + count * entrySize, start))
        count++;
      if (count > best.count) {
        second = best.count;
        best = { start: start + at, count };
      } else second = Math.max(second, count);
      at += count > 0 ? count * entrySize : step;
    }
  }
  if (best.count < fewest || second * times > best.count) return undefined;
  return { start: best.start, size: best.count * entrySize };
}

/** The sections of an image that have bytes in the file and no code. */
export function dataViews(image: Image): { readonly view: DataView; readonly start: number }[] {
  return image.file.sections.flatMap(({ addr, size: bytes, flags }) => {
    const isData = (flags & 2) !== 0 && (flags & 4) === 0 && bytes > 0;
    if (!isData || image.fileOffset(addr, bytes) === undefined) return [];
    const read = image.read(addr, bytes);
    return [{ view: new DataView(read.buffer, read.byteOffset, read.length), start: addr }];
  });
}

/** Strings of one text that are looked at: a kernel has few of them, and each is searched for. */
const mostStrings = 16;

/** Where the data of an image have a string, with a NUL on both sides; none where it stands there too often to tell anything. */
export function stringsOf(image: Image, text: string): ReadonlySet<number> {
  const wanted = Buffer.from(`\0${text}\0`, 'latin1');
  const found = new Set<number>();
  for (const { view, start } of dataViews(image)) {
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
    for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
      if (found.size >= mostStrings) return new Set();
      found.add(start + at + 1);
    }
  }
  return found;
}

/** Visits each pointer of 8 bytes to a string of one text: where it stands in which data. */
export function forEachPointer(
  image: Image,
  text: string,
  visit: (view: DataView, at: number, start: number) => void,
): void {
  const word = Buffer.alloc(8);
  for (const string of stringsOf(image, text)) {
    word.writeBigInt64LE(BigInt(string));
    for (const { view, start } of dataViews(image)) {
      const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
      for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1)) visit(view, at, start);
    }
  }
}
