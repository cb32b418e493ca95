// Debug sections as DWARF readers need them: decompressed (gABI, "Section Compression", and the older .zdebug_*
// sections of GNU), and in an object with the relocations that a linker would carry out.
import { expandLimit, inflate, unzstd } from '../bytes/decompress.ts';
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

/** What compresses a section, from which byte on it is, and how many bytes it says that it has. */
interface Packed {
  readonly from: number;
  readonly size: number;
  readonly decompress: (bytes: Uint8Array, size: number) => Uint8Array;
}

/** How a section is compressed, as its first bytes tell. Errors: `elf-malformed`, `elf-unsupported`. */
function packingOf(file: ElfFile, section: Section): Packed | undefined {
  const { class: bits, little } = file.header;
  const place = { section: section.name };
  const isOld = section.name.startsWith('.zdebug_');
  const isPacked = (section.flags & SHF_COMPRESSED) !== 0;
  if (!isOld && !isPacked) return undefined;
  const headSize = isPacked ? Chdr[bits].size : 12;
  const head = file.source.read(section.offset, Math.min(headSize, section.size));
  if (!isPacked) {
    // `ZLIB`, then the size as a big-endian number.
    const size = requireSafe(new ByteView(head, false, place).u64(4), 'the size', place);
    return { from: headSize, size, decompress: inflate };
  }
  const { type, size } = Chdr[bits].read(new ByteView(head, little, place), 0);
  const decompress = { [ELFCOMPRESS_ZLIB]: inflate, [ELFCOMPRESS_ZSTD]: unzstd }[type];
  if (decompress) return { from: headSize, size: requireSafe(size, 'ch_size', place), decompress };
  throw new TextpokeError('elf-unsupported', `compression type ${type} is not supported`, place);
}

/** Bytes that compressed debug sections of a file say they have, all together. */
const claims = new WeakMap<ElfFile, number>();

/** Bytes that a section says it has; 0 for one that is refused when it is read. */
function claimOf(file: ElfFile, section: Section): number {
  try {
    return packingOf(file, section)?.size ?? 0;
  } catch (error) {
    if (error instanceof TextpokeError) return 0;
    throw error;
  }
}

/** Throws `elf-malformed` where a file's debug sections would expand to more than a compressed file of its size may. */
function requireBounded(file: ElfFile): void {
  let sum = claims.get(file);
  if (sum === undefined) {
    sum = 0;
    for (const section of file.sections) {
      if (section.type === SHT_NOBITS || !/^\.z?debug_/.test(section.name)) continue;
      sum += claimOf(file, section);
    }
    claims.set(file, sum);
  }
  const limit = expandLimit(file.source.size);
  if (sum > limit) {
    throw new TextpokeError(
      'elf-malformed',
      `the compressed debug sections say that they have ${sum} bytes; ${limit} are the most for a file of this size`,
    );
  }
}

/**
 * A section's content. It is read anew and kept by nobody else: the sections are large. Errors: those of reading,
 * `compressed-malformed` and `elf-unsupported` for compression, `elf-malformed` for sizes that are not to be had.
 */
export function readContent(file: ElfFile, section: Section): Uint8Array {
  const packed = packingOf(file, section);
  const bytes = file.readAnew(section);
  if (!packed) return bytes;
  requireBounded(file);
  const content = packed.decompress(bytes.subarray(packed.from), packed.size);
  if (content.length === packed.size) return content;
  throw new TextpokeError(
    'elf-malformed',
    `the decompressed data have ${content.length} bytes; the section says ${packed.size}`,
    { section: section.name },
  );
}

/** A section's content, of which stretches are asked for: only what is compressed is held. Errors as `readContent`. */
export function contentParts(
  file: ElfFile,
  section: Section,
): { readonly size: number; read(at: number, size: number): Uint8Array } {
  if (!packingOf(file, section)) return { size: section.size, read: file.readParts(section) };
  const content = readContent(file, section);
  return { size: content.length, read: (at, size) => content.subarray(at, at + size) };
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
