// Relocation of an arm64 kernel with KASLR: the addresses to which it adds the slide itself, first of all
// (arch/arm64/kernel/pi/relocate.c): records of R_AARCH64_RELATIVE, and packed ones.
import type { Image } from '../../image/image.ts';
import type { PassResult, TextPass } from '../pass.ts';
import { type TableRange, tableRange } from '../tables.ts';
import { findRelocations } from './found-tables.ts';

const relative = 0x403; // R_AARCH64_RELATIVE
const recordSize = 24;
const wordSize = 8;
/** Places that one word of a packed table stands for. */
const packed = 63;

/** Where addresses stand; undefined: nothing says it. */
export interface Arm64Relocations {
  readonly records: TableRange | undefined;
  readonly packed: TableRange | undefined;
}

export function arm64Relocations(image: Image): Arm64Relocations | undefined {
  const records =
    tableRange(image, '.rela.dyn', '__pi_rela_start', '__pi_rela_end') ?? findRelocations(image);
  const packedTable = tableRange(image, '.relr.dyn', '__pi_relr_start', '__pi_relr_end');
  return records || packedTable ? { records, packed: packedTable } : undefined;
}

export function relocation(tables: Arm64Relocations | undefined): TextPass<unknown> {
  return {
    kind: 'relocation',
    name: 'relocation',
    run({ image, slide, texts }): PassResult | undefined {
      if (slide === 0 || !tables) return undefined;
      let sites = 0;
      const move = (place: number) => {
        const text = texts.holding(place, wordSize);
        if (!text) return;
        const bytes = text.at(place, wordSize).slice();
        const view = new DataView(bytes.buffer);
        view.setBigInt64(0, view.getBigInt64(0, true) + BigInt(slide), true);
        text.write(place, bytes, 'relocation');
        sites++;
      };
      for (const place of recordPlaces(image, tables.records)) move(place);
      for (const place of packedPlaces(image, tables.packed)) move(place);
      return { sites, notes: [] };
    },
  };
}

function* recordPlaces(image: Image, range: TableRange | undefined): Generator<number> {
  const view = viewOf(image, range);
  if (!view) return;
  for (let at = 0; at + recordSize <= view.byteLength; at += recordSize)
    if (view.getUint32(at + wordSize, true) === relative && view.getUint32(at + wordSize + 4, true) === 0)
      yield address(view, at);
}

/** Words that are addresses, and words of bits that tell of the 63 words behind the last place. */
function* packedPlaces(image: Image, range: TableRange | undefined): Generator<number> {
  const view = viewOf(image, range);
  if (!view) return;
  let next = Number.NaN;
  for (let at = 0; at + wordSize <= view.byteLength; at += wordSize) {
    const [low, high] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    if ((low & 1) === 0) {
      yield address(view, at);
      next = address(view, at) + wordSize;
      continue;
    }
    for (let bit = 1; bit <= packed; bit++)
      if (((bit < 32 ? low >>> bit : high >>> (bit - 32)) & 1) !== 0) yield next + (bit - 1) * wordSize;
    next += packed * wordSize;
  }
}

function viewOf(image: Image, range: TableRange | undefined): DataView | undefined {
  if (!range || image.fileOffset(range.start, range.size) === undefined) return undefined;
  const bytes = image.read(range.start, range.size);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A pointer as textpoke holds addresses. */
const address = (view: DataView, at: number): number =>
  view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
