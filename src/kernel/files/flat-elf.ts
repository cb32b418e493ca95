// An ELF file in memory around the bytes of a flat kernel: a header page in front, a segment for each stretch of sections
// with the same rights, and section headers.
import { ByteView } from '../../bytes/view.ts';
import {
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  ET_EXEC,
  EV_CURRENT,
  PF_R,
  PF_W,
  PF_X,
  PT_LOAD,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_NOBITS,
  SHT_STRTAB,
} from '../../elf/constants.ts';
import type { ElfFile } from '../../elf/file.ts';
import { readElfFrom } from '../../elf/read.ts';
import { Ehdr, identSize, Phdr, Shdr } from '../../elf/records.ts';
import { joinedSource } from '../../files/joined.ts';
import { type ByteSource, memorySource } from '../../files/source.ts';
import type { FlatSection } from './flat-layout.ts';

/** In front of the kernel's bytes: headers, and the start of a page, so that offsets and addresses agree. */
const headerPage = 0x10000;

/** What an ELF file of a machine says of itself. */
export interface FlatMachine {
  readonly class: 32 | 64;
  readonly little: boolean;
  readonly machine: number;
  /** e_flags. */
  readonly flags: number;
}

/** Sections that one segment holds: rights of the memory, [from, to) of the list. */
function segmentsOf(
  sections: readonly FlatSection[],
): { flags: number; first: FlatSection; last: FlatSection }[] {
  const segments: { flags: number; first: FlatSection; last: FlatSection }[] = [];
  for (const section of sections) {
    const flags =
      PF_R |
      ((section.flags & SHF_WRITE) === 0 ? 0 : PF_W) |
      ((section.flags & SHF_EXECINSTR) === 0 ? 0 : PF_X);
    const before = segments.at(-1);
    if (before?.flags === flags) before.last = section;
    else segments.push({ flags, first: section, last: section });
  }
  return segments;
}

/** The ELF file; the bytes of `body` are those of the sections from the first on. */
export function elfAround(
  path: string,
  body: ByteSource,
  sections: readonly FlatSection[],
  shape: FlatMachine,
): ElfFile {
  const { class: bits, little, machine, flags } = shape;
  const start = sections[0]?.start ?? 0;
  const segments = segmentsOf(sections);
  const head = new Uint8Array(headerPage);
  head.set([
    0x7f,
    0x45,
    0x4c,
    0x46,
    bits === 64 ? ELFCLASS64 : ELFCLASS32,
    little ? ELFDATA2LSB : ELFDATA2MSB,
    EV_CURRENT,
  ]);
  const view = new ByteView(head, little);
  const phoff = identSize + Ehdr[bits].size;
  const names = `\0${[...sections.map(({ name }) => name), '.shstrtab'].join('\0')}\0`;
  const strings = Buffer.from(names, 'latin1');
  const shnum = sections.length + 2;
  const stringsAt = headerPage + body.size;
  const shoff = Math.ceil((stringsAt + strings.length) / 16) * 16;
  const entry = bits === 32 ? start : BigInt.asUintN(64, BigInt(start));
  Ehdr[bits].write(view, identSize, {
    type: ET_EXEC,
    machine,
    version: EV_CURRENT,
    entry: entry as never,
    phoff,
    shoff,
    flags,
    ehsize: phoff,
    phentsize: Phdr[bits].size,
    phnum: segments.length,
    shentsize: Shdr[bits].size,
    shnum,
    shstrndx: shnum - 1,
  });
  const offsetOf = (address: number) => headerPage + Math.min(address - start, body.size);
  segments.forEach(({ flags: rights, first, last }, i) => {
    const offset = offsetOf(first.start);
    Phdr[bits].write(view, phoff + i * Phdr[bits].size, {
      type: PT_LOAD,
      flags: rights,
      offset,
      vaddr: first.start,
      paddr: first.start,
      filesz: offsetOf(last.end) - offset,
      memsz: last.end - first.start,
      align: 1,
    });
  });
  const tail = new Uint8Array(shoff + shnum * Shdr[bits].size - stringsAt);
  tail.set(strings);
  const headers = new ByteView(tail, little);
  let name = 1;
  const write = (
    index: number,
    fields: { type: number; flags: number; addr: number; offset: number; size: number },
  ) => {
    const at = shoff - stringsAt + index * Shdr[bits].size;
    Shdr[bits].write(headers, at, { ...fields, name, link: 0, info: 0, addralign: 1, entsize: 0 });
  };
  sections.forEach((section, i) => {
    const { type, flags: kind, start: addr, end } = section;
    write(i + 1, {
      type,
      flags: kind,
      addr,
      offset: type === SHT_NOBITS ? 0 : offsetOf(addr),
      size: end - addr,
    });
    name += section.name.length + 1;
  });
  write(shnum - 1, { type: SHT_STRTAB, flags: 0, addr: 0, offset: stringsAt, size: strings.length });
  return readElfFrom(path, joinedSource([memorySource(head), body, memorySource(tail)]));
}
