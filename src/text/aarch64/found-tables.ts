// Tables of an arm64 kernel that no symbol names, by what their entries are.
import type { Image } from '../../image/image.ts';
import { dataViews, longestTable } from '../longest-table.ts';
import type { TableRange } from '../tables.ts';
import { nop, size } from './words.ts';

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
  const [first, last] = ['__hyp_idmap_text_start', '__hyp_text_end'].map((name) =>
    image.symbols.addressOf(name),
  );
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
