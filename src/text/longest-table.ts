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
