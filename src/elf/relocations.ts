// One relocation section as typed arrays (gABI chapter 4, "Relocation").
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { Rel, Rela } from './records.ts';

export interface Relocations {
  /** Number of the relocation section itself. */
  readonly section: number;
  /** Number of the section whose bytes are relocated; 0 for dynamic relocations. */
  readonly target: number;
  readonly rela: boolean;
  readonly count: number;
  /** r_offset: section-relative in an object, a virtual address in an image. */
  readonly offset: Float64Array;
  readonly type: Uint32Array;
  readonly symbol: Uint32Array;
  /** r_addend (RELA); zero for REL, whose addend stands in the relocated field. NaN if a number cannot hold it. */
  readonly addend: Float64Array;
}

export interface RelocationInput {
  readonly class: 32 | 64;
  readonly little: boolean;
  readonly bytes: Uint8Array;
  readonly rela: boolean;
  readonly section: number;
  readonly target: number;
  readonly name: string;
  /** Symbols in the linked symbol table; a relocation that names a later one is malformed. */
  readonly symbolCount: number;
}

/** Decodes a SHT_REL or SHT_RELA section; `elf-malformed` for a torn table or a symbol that does not exist. */
export function readRelocations(input: RelocationInput): Relocations {
  const { bytes, rela, symbolCount } = input;
  const wide = input.class === 64;
  const format = (rela ? Rela : Rel)[input.class];
  const place = { section: input.name };
  if (bytes.length % format.size !== 0) {
    throw new TextpokeError(
      'elf-malformed',
      `the relocation section has ${bytes.length} bytes; a multiple of ${format.size} is required`,
      place,
    );
  }
  const count = bytes.length / format.size;
  const view = new ByteView(bytes, input.little, place);
  const offset = new Float64Array(count);
  const type = new Uint32Array(count);
  const symbol = new Uint32Array(count);
  const addend = new Float64Array(count);
  const at = format.offsets;
  const addendAt = rela ? Rela[input.class].offsets.addend : 0;
  // r_info is one number whose low half (64) or low byte (32) is the type.
  const lowHalf = input.little ? 0 : 4;
  for (let i = 0, base = 0; i < count; i++, base += format.size) {
    if (wide) {
      offset[i] = view.s64(base + at.offset);
      type[i] = view.u32(base + at.info + lowHalf);
      symbol[i] = view.u32(base + at.info + 4 - lowHalf);
      if (rela) addend[i] = view.s64(base + addendAt);
    } else {
      offset[i] = view.u32(base + at.offset);
      const info = view.u32(base + at.info);
      type[i] = info & 0xff;
      symbol[i] = info >>> 8;
      if (rela) addend[i] = view.s32(base + addendAt);
    }
    if ((symbol[i] as number) >= symbolCount && symbol[i] !== 0) {
      throw new TextpokeError(
        'elf-malformed',
        `relocation ${i} names symbol ${symbol[i]}, but the symbol table has ${symbolCount}`,
        { ...place, offset: base },
      );
    }
  }
  return { section: input.section, target: input.target, rela, count, offset, type, symbol, addend };
}
