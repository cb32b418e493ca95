// A kernel's ELF file without symbols, and the symbols that kallsyms has: together an ELF file as the linker left it. What
// is new lies behind the old bytes, which stay where they are; of these only fields of the header change.
import { ByteView } from '../bytes/view.ts';
import { SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_NULL, SHT_STRTAB, SHT_SYMTAB } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { Ehdr, identSize, Phdr, Shdr, Sym } from '../elf/records.ts';
import { TextpokeError } from '../errors.ts';
import { editedSource, type Write } from '../files/edited.ts';
import { joinedSource } from '../files/joined.ts';
import { type ByteSource, memorySource, partOf } from '../files/source.ts';
import type { Kallsyms } from './kallsyms.ts';
import { type AddedSymbol, type SymbolHome, type SymbolShape, symbolTableOf } from './symbol-table.ts';

/** Section numbers above this need a table of their own, which no kernel has. */
const mostSections = 0xff00;

/** Where the bytes of an ELF file end; what lies behind them is none of its. */
export function endOfElf({ header, sections, segments }: ElfFile): number {
  let end = Math.max(
    identSize + Ehdr[header.class].size,
    header.shoff + sections.length * Shdr[header.class].size,
    header.phoff + segments.length * Phdr[header.class].size,
  );
  for (const { type, offset, size } of sections)
    if (type !== SHT_NOBITS && type !== SHT_NULL) end = Math.max(end, offset + size);
  for (const { offset, filesz } of segments) end = Math.max(end, offset + filesz);
  return end;
}

/** The file with a symbol table. Error `elf-unsupported` for more sections than a symbol can name. */
export function withKallsyms(
  file: ElfFile,
  kallsyms: Kallsyms,
  added: readonly AddedSymbol[],
  thumb: boolean,
): ByteSource {
  const { header, sections } = file;
  if (sections.length + 2 >= mostSections) {
    throw new TextpokeError(
      'elf-unsupported',
      `the file has ${sections.length} sections, too many for a kernel`,
      {
        file: file.path,
      },
    );
  }
  const shape: SymbolShape = { bits: header.class, little: header.little, thumb };
  const homes = sections.flatMap(({ index, flags, addr, size }): SymbolHome[] =>
    (flags & SHF_ALLOC) === 0
      ? []
      : [{ number: index, start: addr, end: addr + size, isCode: (flags & SHF_EXECINSTR) !== 0 }],
  );
  const { table, strings, locals } = symbolTableOf(kallsyms, homes, added, shape);
  const base = align(endOfElf(file));
  const names = namesOf(file);
  const [tableAt, stringsAt] = [base, align(base + table.length)];
  const namesAt = align(stringsAt + strings.length);
  const headersAt = align(namesAt + names.bytes.length);
  const format = Shdr[header.class];
  const headers = new Uint8Array((sections.length + 2) * format.size);
  const view = new ByteView(headers, header.little);
  if (sections.length > 0) headers.set(file.source.read(header.shoff, sections.length * format.size));
  const entry = { flags: 0, addr: 0, link: 0, info: 0, addralign: 1, entsize: 0 };
  const number = Math.max(sections.length, 1);
  format.write(view, number * format.size, {
    ...entry,
    name: names.symtab,
    type: SHT_SYMTAB,
    offset: tableAt,
    size: table.length,
    link: number + 1,
    info: locals,
    addralign: 8,
    entsize: Sym[header.class].size,
  });
  format.write(view, (number + 1) * format.size, {
    ...entry,
    name: names.strtab,
    type: SHT_STRTAB,
    offset: stringsAt,
    size: strings.length,
  });
  const nameHeader = header.shstrndx * format.size + format.offsets.offset;
  const word = (value: number) => {
    const bytes = new Uint8Array(header.class / 8);
    const field = new ByteView(bytes, header.little);
    if (header.class === 64) field.setS64(0, value);
    else field.setU32(0, value);
    return bytes;
  };
  headers.set(word(namesAt), nameHeader);
  headers.set(word(names.bytes.length), header.shstrndx * format.size + format.offsets.size);
  const count = new Uint8Array(2);
  new ByteView(count, header.little).setU16(0, sections.length + 2);
  const { offsets } = Ehdr[header.class];
  const writes: Write[] = [
    { at: identSize + offsets.shoff, bytes: word(headersAt) },
    { at: identSize + offsets.shnum, bytes: count },
  ];
  const end = endOfElf(file);
  const fill = (from: number, to: number) => memorySource(new Uint8Array(to - from));
  const whole = joinedSource([
    partOf(file.source, 0, end),
    fill(end, base),
    memorySource(table),
    fill(tableAt + table.length, stringsAt),
    memorySource(strings),
    fill(stringsAt + strings.length, namesAt),
    memorySource(names.bytes),
    fill(namesAt + names.bytes.length, headersAt),
    memorySource(headers),
  ]);
  return editedSource(whole, whole.size, [{ from: 0, to: 0, size: whole.size }], writes);
}

/** Behind headers and tables, which are read as records. */
function align(offset: number): number {
  return Math.ceil(offset / 16) * 16;
}

/** The table of section names with the two new ones. */
function namesOf({ header, sections, source, path }: ElfFile): {
  bytes: Uint8Array;
  symtab: number;
  strtab: number;
} {
  const old = sections[header.shstrndx];
  if (old?.type !== SHT_STRTAB) {
    throw new TextpokeError(
      'elf-unsupported',
      'the kernel has no section headers with names; use its vmlinux',
      {
        file: path,
      },
    );
  }
  const added = Buffer.from('\0.symtab\0.strtab\0', 'latin1');
  const bytes = new Uint8Array(old.size + added.length);
  bytes.set(source.read(old.offset, old.size));
  bytes.set(added, old.size);
  return { bytes, symtab: old.size + 1, strtab: old.size + 9 };
}
