// Reads the frame of an ELF file: ident, header, section and segment tables, extended numbering included
// (gABI: e_shnum 0 puts the count into sh_size of section 0, e_shstrndx SHN_XINDEX into its sh_link, e_phnum
// PN_XNUM into its sh_info). The name table is the one e_shstrndx names, whatever that section is called.
import { requireSafe, toAddress } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { ELFCLASS64, ELFDATA2LSB, PN_XNUM, SHN_XINDEX, SHT_NOBITS, SHT_NULL } from './constants.ts';
import { ElfFile, type ElfHeader, type Section, type Segment } from './file.ts';
import { Ehdr, identSize, Phdr, Shdr } from './records.ts';
import { type ByteSource, memorySource } from './source.ts';
import { StringTable } from './strings.ts';

/** True when the bytes start with ELF's magic number. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** LLVM bitcode starts with `BC 0xc0de`, or with its wrapper's 0x0b17c0de. */
function isBitcode(b: Uint8Array): boolean {
  return (
    (b[0] === 0x42 && b[1] === 0x43 && b[2] === 0xc0 && b[3] === 0xde) ||
    (b[0] === 0xde && b[1] === 0xc0 && b[2] === 0x17 && b[3] === 0x0b)
  );
}

function describeMagic(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'the file is empty';
  if (bytes[0] === 0x23 && bytes[1] === 0x21) return 'the file is a script';
  const shown = Array.from(bytes.subarray(0, 4), (b) => b.toString(16).padStart(2, '0')).join(' ');
  return `the file starts with ${shown}`;
}

function readHeader(
  source: ByteSource,
): ElfHeader & { shentsize: number; phentsize: number; shnum: number; phnum: number } {
  const ident = source.read(0, Math.min(identSize, source.size));
  if (isBitcode(ident)) {
    throw new TextpokeError(
      'lto-object',
      'the file is LLVM bitcode, which has no machine code yet; link it to an object first (ld -r) or compile without -flto',
    );
  }
  if (!isElf(ident)) {
    throw new TextpokeError('not-elf', `${describeMagic(ident)}; an ELF file starts with 7f 45 4c 46`);
  }
  if (ident.length < identSize) {
    throw new TextpokeError('elf-truncated', `the file ends in its first ${identSize} bytes`, {
      offset: source.size,
    });
  }
  const [, , , , elfClass, data, version, osabi] = ident;
  if (elfClass !== 1 && elfClass !== 2) {
    throw new TextpokeError('elf-malformed', `EI_CLASS is ${elfClass}; 1 or 2 is required`, { offset: 4 });
  }
  if (data !== 1 && data !== 2) {
    throw new TextpokeError('elf-malformed', `EI_DATA is ${data}; 1 or 2 is required`, { offset: 5 });
  }
  if (version !== 1) {
    throw new TextpokeError('elf-malformed', `EI_VERSION is ${version}; 1 is required`, { offset: 6 });
  }
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

/** Reads an ELF file's frame. Errors: `not-elf`, `lto-object`, `elf-truncated`, `elf-malformed`. */
export function readElfFrom(path: string, source: ByteSource): ElfFile {
  return inFile(path, () => {
    const header = readHeader(source);
    const { class: bits, little } = header;
    const shdr = Shdr[bits];
    const phdr = Phdr[bits];
    let shnum = header.shnum;
    let phnum = header.phnum;
    let shstrndx = header.shstrndx;
    const rawSections: ReturnType<typeof shdr.read>[] = [];
    if (header.shoff !== 0) {
      requireEntsize(header.shentsize, shdr.size, 'e_shentsize');
      const first = shdr.read(
        new ByteView(readTable(source, header.shoff, 1, shdr.size, 'section header'), little),
        0,
      );
      if (shnum === 0) shnum = requireSafe(first.size, 'sh_size of section 0');
      if (shstrndx === SHN_XINDEX) shstrndx = first.link;
      if (phnum === PN_XNUM) phnum = first.info;
      const table = new ByteView(readTable(source, header.shoff, shnum, shdr.size, 'section header'), little);
      for (let i = 0; i < shnum; i++) rawSections.push(shdr.read(table, i * shdr.size));
    }
    const segments: Segment[] = [];
    if (header.phoff !== 0 && phnum !== 0) {
      requireEntsize(header.phentsize, phdr.size, 'e_phentsize');
      const table = new ByteView(readTable(source, header.phoff, phnum, phdr.size, 'program header'), little);
      for (let i = 0; i < phnum; i++) {
        const raw = phdr.read(table, i * phdr.size);
        const what = `of program header ${i}`;
        segments.push({
          type: raw.type,
          flags: raw.flags,
          offset: requireSafe(raw.offset, `p_offset ${what}`),
          vaddr: toAddress(raw.vaddr),
          paddr: toAddress(raw.paddr),
          filesz: requireSafe(raw.filesz, `p_filesz ${what}`),
          memsz: requireSafe(raw.memsz, `p_memsz ${what}`),
          align: requireSafe(raw.align, `p_align ${what}`),
        });
      }
    }
    const nameTable = rawSections.length > 0 ? rawSections[shstrndx] : undefined;
    if (rawSections.length > 0 && !nameTable) {
      throw new TextpokeError(
        'elf-malformed',
        `e_shstrndx names section ${shstrndx}, but the file has ${rawSections.length} sections`,
      );
    }
    const sections: Section[] = rawSections.map((raw, index) => ({
      index,
      name: '',
      type: raw.type,
      flags: requireSafe(raw.flags, `sh_flags of section ${index}`),
      addr: toAddress(raw.addr),
      offset: requireSafe(raw.offset, `sh_offset of section ${index}`),
      size: requireSafe(raw.size, `sh_size of section ${index}`),
      link: raw.link,
      info: raw.info,
      addralign: requireSafe(raw.addralign, `sh_addralign of section ${index}`),
      entsize: requireSafe(raw.entsize, `sh_entsize of section ${index}`),
    }));
    if (shstrndx !== 0) nameSections(source, sections, rawSections, shstrndx);
    for (const section of sections) checkSection(source, section);
    return new ElfFile(path, source, { ...header, shstrndx }, sections, segments);
  });
}

function nameSections(
  source: ByteSource,
  sections: Section[],
  raw: readonly { name: number }[],
  shstrndx: number,
): void {
  const table = sections[shstrndx] as Section;
  checkSection(source, table);
  const bytes = table.type === SHT_NOBITS ? new Uint8Array(0) : source.read(table.offset, table.size);
  const names = new StringTable(bytes, `section ${shstrndx} (e_shstrndx)`);
  sections.forEach((section, i) => {
    if (section.type === SHT_NULL && i === 0) return;
    sections[i] = { ...section, name: names.at((raw[i] as { name: number }).name) };
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
  if (addralign > 1 && !Number.isInteger(Math.log2(addralign))) {
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
