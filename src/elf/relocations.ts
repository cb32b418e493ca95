// One relocation section as typed arrays (gABI chapter 4, "Relocation").
import type { SectionNumber } from '../bytes/named-numbers.ts';
import { ByteView, signed64 } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { EM_MIPS } from './constants.ts';
import type { ElfHeader } from './header.ts';
import { Rel, Rela } from './records.ts';

export interface Relocations {
  /** Number of the relocation section itself. */
  readonly section: SectionNumber;
  /** Number of the section whose bytes are relocated; 0 for dynamic relocations. */
  readonly target: SectionNumber;
  readonly rela: boolean;
  readonly count: number;
  /** r_offset: section-relative in an object, a virtual address in an image. */
  readonly offset: Float64Array;
  /** All 32 bits behind the symbol in a 64-bit file: three types and a special symbol on MIPS, data on SPARC. */
  readonly type: Uint32Array;
  readonly symbol: Uint32Array;
  /** r_addend (RELA); zero for REL, whose addend stands in the relocated field. NaN if a number cannot hold it. */
  readonly addend: Float64Array;
}

export interface RelocationInput {
  readonly header: Pick<ElfHeader, 'class' | 'little' | 'machine'>;
  readonly bytes: Uint8Array;
  readonly rela: boolean;
  readonly section: SectionNumber;
  readonly target: SectionNumber;
  readonly name: string;
  /** Symbols in the linked symbol table; a relocation that names a later one is malformed. */
  readonly symbolCount: number;
}

/** Where a 64-bit r_info keeps its halves, as byte offsets in the record. */
export interface InfoHalves {
  readonly symbol: number;
  readonly type: number;
  /** Byte order of the type. */
  readonly typeLittle: boolean;
}

/**
 * r_info is one 64-bit number, symbol above type; but MIPS defines it as a struct with the symbol first and four
 * type bytes, which differs in little-endian files (MIPS: 64-bit ELF Object File Specification, section 2.9.1).
 */
export function infoHalves({ little, machine }: Pick<ElfHeader, 'little' | 'machine'>): InfoHalves {
  const typeFirst = little && machine !== EM_MIPS;
  const at = Rel[64].offsets.info;
  return { symbol: typeFirst ? at + 4 : at, type: typeFirst ? at : at + 4, typeLittle: typeFirst };
}

/** Throws unless `bytes` is a whole number of records; returns how many. */
export function countRecords(bytes: Uint8Array, size: number, what: string, section: string): number {
  if (bytes.length % size !== 0) {
    throw new TextpokeError(
      'elf-malformed',
      `the ${what} has ${bytes.length} bytes; a multiple of ${size} is required`,
      { section },
    );
  }
  return bytes.length / size;
}

/** Decodes a SHT_REL or SHT_RELA section; `elf-malformed` for a torn table or a symbol that does not exist. */
export function readRelocations(input: RelocationInput): Relocations {
  const { bytes, rela, symbolCount } = input;
  const { class: bits, little } = input.header;
  const format = (rela ? Rela : Rel)[bits];
  const count = countRecords(bytes, format.size, 'relocation section', input.name);
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const offset = new Float64Array(count);
  const type = new Uint32Array(count);
  const symbol = new Uint32Array(count);
  const addend = new Float64Array(count);
  const { offset: offsetAt, info: infoAt } = format.offsets;
  const addendAt = rela ? Rela[bits].offsets.addend : 0;
  const halves = infoHalves(input.header);
  for (let i = 0, base = 0; i < count; i++, base += format.size) {
    if (bits === 64) {
      offset[i] = signed64(view, base + offsetAt, little);
      type[i] = view.getUint32(base + halves.type, halves.typeLittle);
      symbol[i] = view.getUint32(base + halves.symbol, little);
      if (rela) addend[i] = signed64(view, base + addendAt, little);
    } else {
      // One number whose low byte is the type.
      const info = view.getUint32(base + infoAt, little);
      offset[i] = view.getUint32(base + offsetAt, little);
      type[i] = info & 0xff;
      symbol[i] = info >>> 8;
      if (rela) addend[i] = view.getInt32(base + addendAt, little);
    }
    if ((symbol[i] as number) >= symbolCount && symbol[i] !== 0) {
      throw new TextpokeError(
        'elf-malformed',
        `relocation ${i} names symbol ${symbol[i]}, but the symbol table has ${symbolCount} symbols`,
        { section: input.name, offset: base },
      );
    }
  }
  return { section: input.section, target: input.target, rela, count, offset, type, symbol, addend };
}
