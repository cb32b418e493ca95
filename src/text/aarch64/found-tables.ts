// Tables of a kernel whose kallsyms has functions alone (CONFIG_KALLSYMS_ALL is not set): found by what their entries are. Of
// the stretches that read like such a table one must be much longer than all others.
import type { Image } from '../../image/image.ts';
import type { TableRange } from '../tables.ts';
import { nop, size } from './words.ts';

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

/** A pointer as textpoke holds addresses. */
export const pointerAt = (view: DataView, at: number): number =>
  view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);

const relative = 0x403; // R_AARCH64_RELATIVE
const recordSize = 24;

/** Records of relocations, whose places lie in the image. */
export function findRelocations(image: Image): TableRange | undefined {
  return longestTable(image, recordSize, 8, (view, at) => {
    if (view.getUint32(at + 8, true) !== relative || view.getUint32(at + 12, true) !== 0) return false;
    return image.contains(pointerAt(view, at), 8);
  });
}

/** Pointers to two NOPs of code. */
export function findMcount(image: Image): TableRange | undefined {
  return longestTable(image, 8, 8, (view, at) => {
    if (view.getInt32(at + 4, true) >= 0) return false;
    const place = pointerAt(view, at);
    if (place % size !== 0 || !image.codeAt(place) || !image.contains(place, 2 * size)) return false;
    return image.readS32(place) >>> 0 === nop && image.readS32(place + size) >>> 0 === nop;
  });
}

/**
 * Literals in the hypervisor's code that entries of .hyp.reloc name (distances of 32 bits): no instructions read like a pointer
 * into the image.
 */
export function findHypLiterals(image: Image): number[] {
  const [first, last] = ['__hyp_idmap_text_start', '__hyp_text_end'].map((name) => image.symbols.addressOf(name));
  const found = new Set<number>();
  if (first === undefined || last === undefined) return [];
  for (const { view, start } of dataViews(image))
    for (let at = 0; at + 4 <= view.byteLength; at += 4) {
      const place = start + at + view.getInt32(at, true);
      if (place < first || place + 8 > last || place % 8 !== 0 || !image.contains(place, 8)) continue;
      const high = image.readS32(place + 4);
      if (high < 0 && image.contains(high * 2 ** 32 + (image.readS32(place) >>> 0))) found.add(place);
    }
  return [...found];
}
