// Debug sections as DWARF readers need them: decompressed (gABI, "Section Compression", and the older .zdebug_*
// sections of GNU), and in an object with the relocations that a linker would carry out.
import { inflate, unzstd } from '../bytes/decompress.ts';
import { requireSafe } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import {
  ELFCOMPRESS_ZLIB,
  ELFCOMPRESS_ZSTD,
  EM_ARM,
  ET_REL,
  SHF_COMPRESSED,
  SHT_NOBITS,
  STT_FUNC,
} from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { Chdr } from '../elf/records.ts';
import type { Relocations } from '../elf/relocations.ts';
import type { SymbolTable } from '../elf/symbols.ts';
import { TextpokeError } from '../errors.ts';

/** The sections called `.debug_<name>`, compressed or not; an object may have one in each of its groups. */
export function debugSections(file: ElfFile, name: string): Section[] {
  const names = [`.debug_${name}`, `.zdebug_${name}`];
  return file.sections.filter((s) => s.type !== SHT_NOBITS && names.includes(s.name));
}

/** More than any of the formats gives for a byte: RLE blocks of zstd, four bytes for 128 KiB. */
const largestRatio = 0x8000;

/**
 * A section's content. It is read anew and kept by nobody else: the sections are large. Errors: those of reading,
 * `compressed-malformed` and `elf-unsupported` for compression.
 */
export function readContent(file: ElfFile, section: Section): Uint8Array {
  const bytes = file.source.read(section.offset, section.size);
  const { class: bits, little } = file.header;
  const place = { section: section.name };
  const unpack = (from: number, size: number, decompress: typeof inflate) => {
    const packed = bytes.subarray(from);
    const content = size <= packed.length * largestRatio ? decompress(packed, size) : undefined;
    if (content?.length === size) return content;
    throw new TextpokeError(
      'elf-malformed',
      `the decompressed data do not have the required ${size} bytes`,
      place,
    );
  };
  if ((section.flags & SHF_COMPRESSED) !== 0) {
    const { type, size } = Chdr[bits].read(new ByteView(bytes, little, place), 0);
    const decompress = { [ELFCOMPRESS_ZLIB]: inflate, [ELFCOMPRESS_ZSTD]: unzstd }[type];
    if (decompress) return unpack(Chdr[bits].size, requireSafe(size, 'ch_size', place), decompress);
    throw new TextpokeError('elf-unsupported', `compression type ${type} is not supported`, place);
  }
  if (section.name.startsWith('.zdebug_')) {
    // `ZLIB`, then the size as a big-endian number.
    const size = new ByteView(bytes, false, place).u64(4);
    return unpack(12, requireSafe(size, 'the size', place), inflate);
  }
  return bytes;
}

/** What a relocated field holds: an offset in a section, whose number is 0 where the symbol is in none. */
export interface RelocatedField {
  readonly section: number;
  readonly offset: number;
}

/** The relocations of one section of an object. All that debug sections have are S + A, whatever their width. */
export class FieldRelocations {
  private readonly file: ElfFile;
  private readonly rows: Relocations | undefined;
  private readonly symbols: SymbolTable | undefined;
  /** Rows in order of their offsets. */
  private readonly order: Uint32Array = new Uint32Array(0);
  private readonly offsets: Float64Array = new Float64Array(0);

  constructor(file: ElfFile, section: Section) {
    this.file = file;
    // A linked image may keep its relocations (--emit-relocs), but its fields are already relocated.
    const tables = file.header.type === ET_REL ? file.relocationSections(section.index) : [];
    if (tables.length > 1) {
      throw new TextpokeError(
        'elf-unsupported',
        `the section has ${tables.length} relocation tables; one is supported`,
      );
    }
    const [table] = tables;
    if (!table) return;
    const rows = file.relocations(table);
    const at = (row: number) => rows.offset[row] as number;
    const order = new Uint32Array(rows.count).map((_, row) => row).filter((row) => rows.type[row] !== 0);
    if (order.some((row, i) => i > 0 && at(order[i - 1] as number) > at(row))) {
      order.sort((a, b) => at(a) - at(b));
    }
    this.rows = rows;
    this.symbols = file.symbols(file.section(table.link, `sh_link of ${table.name}`));
    this.order = order;
    this.offsets = Float64Array.from(order, at);
  }

  /** The field at byte `offset`, which holds `value` now; undefined when nothing relocates it. */
  find(offset: number, value: number): RelocatedField | undefined {
    const { rows, symbols, order, offsets } = this;
    const found = countUpTo(offsets, offset) - 1;
    if (!rows || !symbols || offsets[found] !== offset) return undefined;
    const row = order[found] as number;
    const symbol = rows.symbol[row] as number;
    // Bit 0 of a Thumb function's symbol is no part of its place.
    const isThumb = this.file.header.machine === EM_ARM && symbols.type(symbol) === STT_FUNC;
    const start = symbols.value[symbol] as number;
    const addend = rows.rela ? (rows.addend[row] as number) : value;
    return {
      section: symbols.section[symbol] as number,
      offset: (isThumb ? start - (start % 2) : start) + addend,
    };
  }
}
