// Places of a 32-bit ARM kernel that hold the distance between physical and virtual addresses: it writes them first of all, as
// it may lie anywhere in memory (arch/arm/kernel/phys2virt.S; up to 5.10 head.S).
import type { Image } from '../../image/image.ts';
import { longestTable } from '../longest-table.ts';
import type { PassNote, PassResult, TextPass } from '../pass.ts';
import { type TableRange, tableRange } from '../tables.ts';
import { size, wordAt, writeWord } from './words.ts';

/** What assembles has in the lowest 8 bits of the number in an add, a sub or a mov (__PV_BITS_31_24 and so on). */
const mark = 0x81;
const isNumbered = (word: number) => (word & 0x0e00_0000) === 0x0200_0000 && (word & 0xff) === mark;
const isMovw = (word: number) => (word & 0x0ff0_0000) === 0x0300_0000;

interface PlaceTable extends TableRange {
  /** Entries are distances (5.11), or addresses. */
  readonly isRelative: boolean;
}

function placeOf(image: Image, { isRelative }: Pick<PlaceTable, 'isRelative'>, entry: number): number {
  const value = image.readS32(entry);
  return isRelative ? entry + value : value >>> 0;
}

function findTable(image: Image): PlaceTable | undefined {
  const isPlace = (place: number) => {
    if (place % size !== 0 || !image.codeAt(place) || !image.contains(place, size)) return false;
    const word = image.readS32(place) >>> 0;
    return isNumbered(word) || isMovw(word);
  };
  const relative = longestTable(image, 4, 4, (view, at, start) =>
    isPlace(start + at + view.getInt32(at, true)),
  );
  const absolute = longestTable(image, 4, 4, (view, at) => isPlace(view.getUint32(at, true)));
  if (relative && absolute) return undefined;
  const found = relative ?? absolute;
  return found && { ...found, isRelative: found === relative };
}

/** The table of an image; undefined where it has none, or nothing tells where. */
function placesTable(image: Image): PlaceTable | undefined {
  const range = tableRange(image, '.init.pv_table', '__pv_table_begin', '__pv_table_end');
  if (!range || image.fileOffset(range.start, range.size) === undefined) return findTable(image);
  const isRelative = image.codeAt(image.readS32(range.start) >>> 0) === undefined;
  return { ...range, isRelative };
}

/** `offset`: what is linked at A lies at A + offset in physical memory. */
export function physicalOffset(offset: number): TextPass<unknown> {
  return {
    kind: 'relocation',
    name: 'physical addresses',
    run({ image, texts }): PassResult | undefined {
      const table = placesTable(image);
      if (!table) return undefined;
      const notes: PassNote[] = [];
      // 16 MiB at a time up to 5.10, when addresses stood in the table, and 2 MiB since then.
      const step = table.isRelative ? 1 << 21 : 1 << 24;
      if (offset % step !== 0) {
        const message = `the kernel lies ${offset} bytes from where it runs, which it cannot`;
        notes.push({ severity: 'wrong', message });
      }
      let sites = 0;
      for (let entry = table.start; entry + 4 <= table.start + table.size; entry += 4) {
        sites++;
        const place = placeOf(image, table, entry);
        const text = texts.holding(place, size);
        if (!text) continue;
        const word = wordAt(text, place);
        writeWord(text, place, (table.isRelative ? withOffset : withOldOffset)(word, offset), 'relocation');
      }
      return { sites, notes };
    },
  };
}

/** Bits 39 to 32 of the distance, or what makes a mvn of a mov where it is negative. */
function highBits(offset: number): number {
  const high = Math.floor(offset / 2 ** 32);
  return high === -1 ? 0x40_0000 : high & 0xff;
}

/** __fixup_a_pv_table since 5.11. */
function withOffset(word: number, offset: number): number {
  const [top, middle] = [(offset >>> 24) & 0xff, (offset >>> 16) & 0xf0];
  if ((word & 0x0100_0000) !== 0) {
    const cleared = word & ~0x40_0fff;
    return (
      ((word & 0xc0_0000) === 0 ? cleared | (top << 4) | (middle >>> 4) : cleared | highBits(offset)) >>> 0
    );
  }
  return ((word & ~0xff) | ((word & 0x800) === 0 ? top : middle)) >>> 0;
}

/** The same up to 5.10. */
function withOldOffset(word: number, offset: number): number {
  const cleared = word & ~0xff;
  if ((word & 0xf00) !== 0) return (cleared | ((offset >>> 24) & 0xff)) >>> 0;
  return ((cleared & ~0x40_0000) | highBits(offset)) >>> 0;
}
