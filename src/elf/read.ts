// Reads the frame of an ELF file: ident, header, section and segment tables, extended numbering included
// (gABI: e_shnum 0 puts the count into sh_size of section 0, e_shstrndx SHN_XINDEX into its sh_link, e_phnum
// PN_XNUM into its sh_info). The name table is the one e_shstrndx names, whatever that section is called.
import { requireSafe, toAddress } from '../bytes/integer.ts';
import { ByteView, signed64 } from '../bytes/view.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type ByteSource, memorySource } from '../files/source.ts';
import { constantName, identClasses, identOrders, identVersions, sectionTypes } from './constant-names.ts';
import {
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  EV_CURRENT,
  PN_XNUM,
  SHN_UNDEF,
  SHN_XINDEX,
  SHT_NOBITS,
  SHT_NULL,
  SHT_STRTAB,
} from './constants.ts';
import { ElfFile, type Section, type Segment } from './file.ts';
import type { ElfHeader } from './header.ts';
import { refuseOthers } from './magic.ts';
import { Ehdr, identSize, Phdr, Shdr } from './records.ts';
import { StringTable } from './strings.ts';

/** The header with the counts as they stand, before section 0 has its say. */
type RawHeader = ElfHeader & {
  readonly shentsize: number;
  readonly phentsize: number;
  readonly shnum: number;
  readonly phnum: number;
};

/** Throws unless the byte of e_ident at `offset` is one of those that this reader knows. */
function requireIdent(
  field: string,
  offset: number,
  value: number,
  names: Readonly<Record<number, string>>,
  known: readonly number[],
): void {
  if (known.includes(value)) return;
  const nameOf = (number: number) => constantName(names, number);
  throw new TextpokeError(
    'elf-malformed',
    `${field} is ${nameOf(value)}; ${known.map(nameOf).join(' or ')} is required`,
    { offset },
  );
}

function readHeader(source: ByteSource): RawHeader {
  const ident = source.read(0, Math.min(identSize, source.size));
  refuseOthers(source, ident);
  if (ident.length < identSize) {
    throw new TextpokeError('elf-truncated', `the file has fewer than ${identSize} bytes`, {
      offset: source.size,
    });
  }
  const [, , , , elfClass, data, version, osabi] = ident;
  requireIdent('EI_CLASS', 4, elfClass as number, identClasses, [ELFCLASS32, ELFCLASS64]);
  requireIdent('EI_DATA', 5, data as number, identOrders, [ELFDATA2LSB, ELFDATA2MSB]);
  requireIdent('EI_VERSION', 6, version as number, identVersions, [EV_CURRENT]);
  const bits = elfClass === ELFCLASS64 ? 64 : 32;
  const little = data === ELFDATA2LSB;
  const format = Ehdr[bits];
  const size = Math.min(identSize + format.size, source.size);
  const raw = format.read(new ByteView(source.read(0, size), little), identSize);
  return {
    class: bits,
    little,
    osabi: osabi as number,
    type: raw.type,
    machine: raw.machine,
    flags: raw.flags,
    entry: toAddress(raw.entry),
    phoff: requireSafe(raw.phoff, 'e_phoff'),
    shoff: requireSafe(raw.shoff, 'e_shoff'),
    shstrndx: raw.shstrndx,
    shentsize: raw.shentsize,
    phentsize: raw.phentsize,
    shnum: raw.shnum,
    phnum: raw.phnum,
  };
}

function readTable(
  source: ByteSource,
  offset: number,
  count: number,
  size: number,
  what: string,
): Uint8Array {
  if (offset + count * size > source.size) {
    throw new TextpokeError(
      'elf-truncated',
      `the ${what} table needs ${count} entries of ${size} bytes, but the file ends at byte ${source.size}`,
      { offset },
    );
  }
  return source.read(offset, count * size);
}

function requireEntsize(found: number, required: number, what: string): void {
  if (found !== required) {
    throw new TextpokeError('elf-malformed', `${what} is ${found}; ${required} is required`);
  }
}

/** Section count, name table and segment count; section 0 has those that do not fit the header. */
function readCounts(
  source: ByteSource,
  header: RawHeader,
): { shnum: number; shstrndx: number; phnum: number } {
  const { shnum, shstrndx, phnum } = header;
  if (header.shoff === 0) return { shnum: 0, shstrndx: 0, phnum };
  const format = Shdr[header.class];
  requireEntsize(header.shentsize, format.size, 'e_shentsize');
  const bytes = readTable(source, header.shoff, 1, format.size, 'section header');
  const first = format.read(new ByteView(bytes, header.little), 0);
  return {
    shnum: shnum === 0 ? requireSafe(first.size, 'sh_size of section 0') : shnum,
    shstrndx: shstrndx === SHN_XINDEX ? first.link : shstrndx,
    phnum: phnum === PN_XNUM ? first.info : phnum,
  };
}

function readSections(source: ByteSource, header: RawHeader, shnum: number, shstrndx: number): Section[] {
  if (shnum === 0) return [];
  const format = Shdr[header.class];
  const bytes = readTable(source, header.shoff, shnum, format.size, 'section header');
  const table = new ByteView(bytes, header.little).table(0, bytes.length);
  const { little } = header;
  const { offsets } = format;
  const isWide = header.class === 64;
  const nameOffsets = new Uint32Array(shnum);
  const sections: (Omit<Section, 'name'> & { name: string })[] = [];
  for (let index = 0, at = 0; index < shnum; index++, at += format.size) {
    // Objects of a build have some hundred thousand sections together: no bigint for what a number holds.
    const wide = (field: 'flags' | 'offset' | 'size' | 'addralign' | 'entsize'): number => {
      if (!isWide) return table.getUint32(at + offsets[field], little);
      const value = signed64(table, at + offsets[field], little);
      if (value >= 0) return value;
      return requireSafe(table.getBigUint64(at + offsets[field], little), `sh_${field} of section ${index}`);
    };
    const addr = at + offsets.addr;
    nameOffsets[index] = table.getUint32(at + offsets.name, little);
    sections.push({
      index,
      name: '',
      type: table.getUint32(at + offsets.type, little),
      flags: wide('flags'),
      addr: isWide ? signed64(table, addr, little) : table.getUint32(addr, little),
      offset: wide('offset'),
      size: wide('size'),
      link: table.getUint32(at + offsets.link, little),
      info: table.getUint32(at + offsets.info, little),
      addralign: wide('addralign'),
      entsize: wide('entsize'),
    });
  }
  const names = readNames(source, sections, shstrndx);
  for (const section of sections) {
    if (section.index > 0) section.name = names?.at(nameOffsets[section.index] as number) ?? '';
    checkSection(source, section);
  }
  return sections;
}

/** The table of section names; undefined in a file whose sections have none. */
function readNames(
  source: ByteSource,
  sections: readonly Section[],
  shstrndx: number,
): StringTable | undefined {
  if (shstrndx === SHN_UNDEF) return undefined;
  const table = sections[shstrndx];
  if (table?.type !== SHT_STRTAB) {
    throw new TextpokeError(
      'elf-malformed',
      table
        ? `e_shstrndx names section ${shstrndx}, which is not a string table (its type is ${constantName(sectionTypes, table.type)})`
        : `e_shstrndx names section ${shstrndx}, but the file has ${sections.length} sections`,
    );
  }
  checkSection(source, table);
  return new StringTable(source.read(table.offset, table.size), `section ${shstrndx} (e_shstrndx)`);
}

function readSegments(source: ByteSource, header: RawHeader, phnum: number): Segment[] {
  if (header.phoff === 0 || phnum === 0) return [];
  const format = Phdr[header.class];
  requireEntsize(header.phentsize, format.size, 'e_phentsize');
  const bytes = readTable(source, header.phoff, phnum, format.size, 'program header');
  const table = new ByteView(bytes, header.little);
  return Array.from({ length: phnum }, (_, i) => {
    const raw = format.read(table, i * format.size);
    const whose = `of program header ${i}`;
    return {
      type: raw.type,
      flags: raw.flags,
      offset: requireSafe(raw.offset, `p_offset ${whose}`),
      vaddr: toAddress(raw.vaddr),
      paddr: toAddress(raw.paddr),
      filesz: requireSafe(raw.filesz, `p_filesz ${whose}`),
      memsz: requireSafe(raw.memsz, `p_memsz ${whose}`),
      align: requireSafe(raw.align, `p_align ${whose}`),
    };
  });
}

/** Reads an ELF file's frame. Errors: `not-elf`, `lto-object`, `elf-truncated`, `elf-malformed`. */
export function readElfFrom(path: string, source: ByteSource): ElfFile {
  return inFile(path, () => {
    const raw = readHeader(source);
    const { shnum, shstrndx, phnum } = readCounts(source, raw);
    const { class: bits, little, osabi, type, machine, flags, entry, phoff, shoff } = raw;
    const header = { class: bits, little, osabi, type, machine, flags, entry, phoff, shoff, shstrndx };
    const sections = readSections(source, raw, shnum, shstrndx);
    return new ElfFile(path, source, header, sections, readSegments(source, raw, phnum));
  });
}

/** The program headers of a file that may have millions of them: a field of one at a time. */
export interface ProgramHeaders {
  readonly header: ElfHeader;
  readonly count: number;
  /** A field as a number; a 64-bit one as the signed reading of its bits (NaN where that is not exact). */
  readonly field: (index: number, name: 'type' | 'offset' | 'filesz') => number;
  /** An address; NaN where a number cannot hold it (`wide64`). */
  readonly address: (index: number, name: 'vaddr' | 'paddr') => number;
}

/** Reads the header and the segments' table. Errors: `not-elf`, `elf-truncated`, `elf-malformed`. */
export function readProgramHeaders(path: string, source: ByteSource): ProgramHeaders {
  return inFile(path, () => {
    const header = readHeader(source);
    const { phnum } = readCounts(source, header);
    const count = header.phoff === 0 ? 0 : phnum;
    const format = Phdr[header.class];
    if (count > 0) requireEntsize(header.phentsize, format.size, 'e_phentsize');
    const view = new ByteView(
      readTable(source, header.phoff, count, format.size, 'program header'),
      header.little,
    );
    const { offsets } = format;
    const field = (index: number, name: keyof typeof offsets) => {
      const at = index * format.size + offsets[name];
      return header.class === 32 || name === 'type' ? view.u32(at) : view.s64(at);
    };
    const address = (index: number, name: 'vaddr' | 'paddr') => {
      const at = index * format.size + offsets[name];
      return header.class === 32 ? view.u32(at) : view.wide64(at);
    };
    return { header, count, field, address };
  });
}

function checkSection(source: ByteSource, section: Section): void {
  const { type, offset, size, addralign } = section;
  if (type === SHT_NULL) return;
  const place = { section: section.name || `section ${section.index}` };
  if (type !== SHT_NOBITS && offset + size > source.size) {
    throw new TextpokeError(
      'elf-truncated',
      `the section needs bytes ${offset} to ${offset + size}, but the file ends at byte ${source.size}`,
      place,
    );
  }
  if (addralign > 1 && 2 ** Math.floor(Math.log2(addralign)) !== addralign) {
    throw new TextpokeError(
      'elf-malformed',
      `sh_addralign is ${addralign}; a power of two is required`,
      place,
    );
  }
}

/** Reads an ELF file that lies in memory. */
export function readElf(path: string, bytes: Uint8Array): ElfFile {
  return readElfFrom(path, memorySource(bytes));
}
