// A symbol table for an object that has none: an assembler makes such objects of code that names nothing, and new
// sections' relocations need symbols.
import { SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB } from './constants.ts';
import type { ElfFile } from './file.ts';
import { writeElf } from './layout.ts';
import { newSection, ObjectBuilder } from './object-builder.ts';
import { readElf } from './read.ts';
import { identSize, Sym } from './records.ts';
import { openStrings } from './string-appender.ts';

/**
 * The object with an empty symbol table; the same where it has one, and where relocations show that one was taken
 * from it. Errors: `elf-malformed`.
 */
export function withSymbolTable(file: ElfFile): ElfFile {
  if (file.symtab || file.ofType(SHT_REL).length > 0 || file.ofType(SHT_RELA).length > 0) return file;
  const { header } = file;
  const { size } = Sym[header.class];
  const builder = new ObjectBuilder(file, 0);
  const names = openStrings(file, header.shstrndx);
  const strings = builder.add(newSection('.strtab', SHT_STRTAB, 1, 0, new Uint8Array(1)));
  const table = newSection('.symtab', SHT_SYMTAB, header.class / 8, size, new Uint8Array(size));
  table.link = strings;
  table.info = 1;
  builder.add(table);
  builder.finish(names);
  builder.setData(builder.number(header.shstrndx), names.bytes());
  const original = file.source.read(0, file.source.size);
  const shstrndx = builder.number(header.shstrndx);
  return readElf(
    file.path,
    writeElf({ ...header, shstrndx, ident: original.slice(0, identSize) }, builder.output(), original),
  );
}
