// Re-reads a file that is about to be published with elfy, which shares no code with our reader and writer: two
// readers that agree are the point. A section whose header has the very bytes that it had in the file that was changed,
// and whose name stands where it stood, is what it was; elfy reads all others. For 32 and 64 bits and both byte orders
// compared are:
// - the header's offsets, flags and counts;
// - of every section: name, type, address, offset, size, sh_link, sh_info, the low 32 bits of sh_flags. Both
//   readers slice the same bytes, so that equal offsets and sizes mean equal contents, without comparing any.
// - sh_addralign and sh_entsize in 32-bit files only: elfy reads the 64-bit ones two bytes early.
// Not compared: names of files without any (elfy insists on a name table), 64-bit addresses that a number cannot
// hold or that are negative (elfy makes doubles of them), segments, symbols, relocations (elfy knows none of the
// latter two), and files with extended section numbers (elfy does not know them): there our reader stands alone.
import elfy from 'elfy';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import { SHN_LORESERVE, SHN_UNDEF, SHT_NOBITS, SHT_NULL } from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { readElf, readElfFrom } from './read.ts';
import { Ehdr, identSize, Phdr, Shdr } from './records.ts';

interface ElfySection {
  /** Offset of the name. */
  readonly name: number;
  /** elfy's word for it, or the number where it has none. */
  readonly type: string | number;
  /** A word for each bit that is set, or the bit's (signed) number. */
  readonly flags: Readonly<Record<string, true>>;
  readonly addr: number;
  readonly off: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly addralign: number;
  readonly entsize: number;
  readonly data: Uint8Array;
}

interface ElfyHeader {
  readonly flags: number;
  readonly phoff: number;
  readonly shoff: number;
  readonly phnum: number;
  readonly shentsize: number;
  readonly shnum: number;
  readonly shstrndx: number;
}

interface ElfyParser {
  parseHeader(bytes: Buffer): ElfyHeader;
  parseSection(entry: Buffer, header: ElfyHeader, bytes: Buffer): ElfySection;
  resolveStr(names: Uint8Array, offset: number): string;
}

const { constants, Parser } = elfy as {
  constants: {
    sectType: Readonly<Record<number, string>>;
    sectFlags: Readonly<Record<number, string>>;
  };
  Parser: new () => ElfyParser;
};

const flagBits = new Map(Object.entries(constants.sectFlags).map(([bit, word]) => [word, Number(bit)]));

/** sh_flags of elfy's words, as an unsigned 32-bit number. */
function flagsOf(section: ElfySection): number {
  let flags = 0;
  for (const word in section.flags) flags |= flagBits.get(word) ?? Number(word);
  return flags >>> 0;
}

/** A file as elfy reads it, a section at a time. */
class ElfyFile {
  readonly header: ElfyHeader;
  private readonly bytes: Buffer;
  private readonly parser = new Parser();
  private readonly names: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.header = this.parser.parseHeader(this.bytes);
    this.names = this.section(this.header.shstrndx).data;
  }

  section(index: number): ElfySection {
    const { shoff, shentsize } = this.header;
    const from = shoff + index * shentsize;
    return this.parser.parseSection(this.bytes.subarray(from, from + shentsize), this.header, this.bytes);
  }

  name({ name }: ElfySection): string {
    return this.parser.resolveStr(this.names, name);
  }
}

function withElfy<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TextpokeError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TextpokeError('defect', `elfy cannot read the result: ${reason}`);
  }
}

function agree(what: string, ours: string | number, theirs: string | number): void {
  if (ours === theirs) return;
  throw new TextpokeError(
    'defect',
    `textpoke and elfy read the result differently: ${what} is ${ours} for textpoke and ${theirs} for elfy`,
  );
}

function compareSection(file: ElfFile, section: Section, elfyFile: ElfyFile, bytes: Uint8Array): void {
  const of = `section ${section.index} (${section.name})`;
  const other = elfyFile.section(section.index);
  if (section.index > 0) agree(`the name of ${of}`, section.name, elfyFile.name(other));
  agree(`the type of ${of}`, constants.sectType[section.type] ?? section.type, other.type);
  agree(`the flags of ${of}`, Number(BigInt.asUintN(32, BigInt(section.flags))), flagsOf(other));
  if (section.addr >= 0) agree(`the address of ${of}`, section.addr, other.addr);
  agree(`the offset of ${of}`, section.offset, other.off);
  agree(`the size of ${of}`, section.size, other.size);
  agree(`sh_link of ${of}`, section.link, other.link);
  agree(`sh_info of ${of}`, section.info, other.info);
  if (file.header.class === 32) {
    agree(`sh_addralign of ${of}`, section.addralign, other.addralign);
    agree(`sh_entsize of ${of}`, section.entsize, other.entsize);
  }
  if (section.type === SHT_NOBITS || section.type === SHT_NULL || section.size === 0) return;
  const from = other.data.byteOffset - bytes.byteOffset;
  agree(`the file offset of the bytes of ${of}`, section.offset, from);
  agree(`the number of bytes of ${of}`, section.size, other.data.length);
}

/** The file that a result was made of. */
export interface Before {
  readonly file: ElfFile;
  /** How many sections were put in front of all of its own but section 0. */
  readonly inFront: number;
}

/** Whether the header of a section of the result, name included, is the one that the file had before. */
function untouchedIn(
  { header, sections }: ElfFile,
  bytes: Uint8Array,
  { file, inFront }: Before,
): (index: number) => boolean {
  const { size } = Shdr[header.class];
  const old = file.source.read(file.header.shoff, file.sections.length * size);
  const now = bytes.subarray(header.shoff);
  const names = sections[header.shstrndx] as Section;
  const oldNames = file.data(file.sections[file.header.shstrndx] as Section);
  const stay = Buffer.compare(oldNames, bytes.subarray(names.offset, names.offset + oldNames.length)) === 0;
  return (index) => {
    const was = index === 0 ? 0 : index - inFront;
    if (!stay || index === header.shstrndx || was < 0 || was >= file.sections.length) return false;
    for (let i = 0; i < size; i++) if (now[index * size + i] !== old[was * size + i]) return false;
    return true;
  };
}

/**
 * Throws `defect` unless elfy and our reader see the same header and sections in `bytes`; returns our reading. `before`
 * spares elfy the sections that are as they were. The errors of reading apply too.
 */
export function recheck(path: string, bytes: Uint8Array, before?: Before): ElfFile {
  const ours = readElf(path, bytes);
  const { header, sections } = ours;
  if (sections.length === 0 || sections.length >= SHN_LORESERVE) return ours;
  if (header.shstrndx === SHN_UNDEF) return ours;
  withElfy(() => {
    const theirs = new ElfyFile(bytes);
    agree('e_flags', header.flags, theirs.header.flags);
    agree('e_phoff', header.phoff, theirs.header.phoff);
    agree('e_shoff', header.shoff, theirs.header.shoff);
    agree('e_phnum', ours.segments.length, theirs.header.phnum);
    agree('e_shstrndx', header.shstrndx, theirs.header.shstrndx);
    agree('the section count', sections.length, theirs.header.shnum);
    const isUntouched = before ? untouchedIn(ours, bytes, before) : () => false;
    for (const section of sections) {
      if (!isUntouched(section.index)) compareSection(ours, section, theirs, bytes);
    }
  });
  return ours;
}

/** More than elfy can be given; of larger files ours is the only reading. */
const largestForElfy = 2 ** 32 - 1;

/**
 * The same for a file that need not be in memory: elfy gets its headers and tables at their places, and zeros, which
 * the system lends without memory for them, in place of all contents.
 */
export function recheckSource(path: string, source: ByteSource): void {
  const { header, segments, sections } = readElfFrom(path, source);
  if (source.size > largestForElfy) return;
  const frame = new Uint8Array(source.size);
  const copy = (offset: number, size: number) => frame.set(source.read(offset, size), offset);
  copy(0, identSize + Ehdr[header.class].size);
  copy(header.phoff, segments.length * Phdr[header.class].size);
  copy(header.shoff, sections.length * Shdr[header.class].size);
  const names = sections[header.shstrndx];
  if (names && names.type !== SHT_NOBITS) copy(names.offset, names.size);
  recheck(path, frame);
}
