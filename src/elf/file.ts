// An ELF file as it stands: header, sections, segments; contents are read when asked for. Nothing here changes
// a file (that is rewrite.ts and image writing), and nothing decides what a section means to textpoke.

import { groupBy } from '../bytes/group.ts';
import type { SectionNumber } from '../bytes/named-numbers.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import { constantName, sectionTypes } from './constant-names.ts';
import {
  SHT_CREL,
  SHT_DYNSYM,
  SHT_NOBITS,
  SHT_NULL,
  SHT_REL,
  SHT_RELA,
  SHT_STRTAB,
  SHT_SYMTAB,
  SHT_SYMTAB_SHNDX,
} from './constants.ts';
import type { ElfHeader } from './header.ts';
import { Rel, Rela, Sym } from './records.ts';
import { type Relocations, readRelocations } from './relocations.ts';
import { StringTable } from './strings.ts';
import { SymbolTable } from './symbols.ts';

export interface Section {
  readonly index: SectionNumber;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  /** Virtual address (signed reading, see bytes/integer.ts); 0 in a relocatable object. */
  readonly addr: number;
  /** File offset in bytes. */
  readonly offset: number;
  /** Size in bytes; a SHT_NOBITS section has a size but no bytes in the file. */
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly addralign: number;
  readonly entsize: number;
}

export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly paddr: number;
  readonly filesz: number;
  readonly memsz: number;
  readonly align: number;
}

export class ElfFile {
  /** The name that diagnostics use; for an archive member `archive.a(member.o)`. */
  readonly path: string;
  readonly source: ByteSource;
  readonly header: ElfHeader;
  readonly sections: readonly Section[];
  readonly segments: readonly Segment[];
  private readonly contents = new Map<number, Uint8Array>();
  /** Sections whose bytes were asked for, and how many bytes these have together. */
  private readonly asked = new Set<number>();
  private askedBytes = 0;
  private readonly tables = new Map<number, SymbolTable>();
  private readonly relocated = new Map<number, Relocations>();
  private readonly singles = new Map<number, Section | undefined>();
  private byTarget: Map<number, Section[]> | undefined;
  private byTable: Map<number, Section[]> | undefined;

  constructor(
    path: string,
    source: ByteSource,
    header: ElfHeader,
    sections: readonly Section[],
    segments: readonly Segment[],
  ) {
    this.path = path;
    this.source = source;
    this.header = header;
    this.sections = sections;
    this.segments = segments;
  }

  /** The section numbered `index`; `elf-malformed` when there is none (`what` says who named it). */
  section(index: SectionNumber, what: string): Section {
    const section = this.sections[index];
    if (!section) {
      throw new TextpokeError(
        'elf-malformed',
        `${what} names section ${index}, but the file has ${this.sections.length} sections`,
        { file: this.path },
      );
    }
    return section;
  }

  /** The first section with that name. */
  named(name: string): Section | undefined {
    return this.sections.find((section) => section.name === name);
  }

  ofType(type: number): Section[] {
    return this.sections.filter((section) => section.type === type);
  }

  /** A section's bytes in the file, empty for SHT_NOBITS and SHT_NULL. They are shared: copy before changing. */
  data(section: Section): Uint8Array {
    let bytes = this.contents.get(section.index);
    if (!bytes) {
      bytes =
        section.type === SHT_NOBITS || section.type === SHT_NULL || section.size === 0
          ? new Uint8Array(0)
          : this.readAnew(section);
      this.contents.set(section.index, bytes);
    }
    return bytes;
  }

  /**
   * A section's bytes, kept by nobody here. Sections that are read may not have more bytes together than the file:
   * then some of them overlap, and a small file could ask for any amount of work. `elf-malformed` says which.
   */
  readAnew(section: Section): Uint8Array {
    const bytes = this.source.read(section.offset, section.size);
    this.countAsked(section);
    return bytes;
  }

  /** The same a stretch at a time, for a section that nobody needs as a whole. Errors as `readAnew`, here. */
  readParts(section: Section): (at: number, size: number) => Uint8Array {
    this.countAsked(section);
    return (at, size) =>
      this.source.read(section.offset + at, Math.max(0, Math.min(size, section.size - at)));
  }

  private countAsked(section: Section): void {
    if (this.asked.has(section.index)) return;
    this.asked.add(section.index);
    this.askedBytes += section.size;
    if (this.askedBytes > this.source.size) this.refuseOverlap();
  }

  private refuseOverlap(): never {
    const read = Array.from(this.asked, (index) => this.sections[index] as Section);
    const { first, second } = overlapOf(read.sort((a, b) => a.offset - b.offset));
    const nameOf = ({ name, index }: Section) => `section ${index}${name && ` (${name})`}`;
    throw new TextpokeError('elf-malformed', `${nameOf(second)} overlaps ${nameOf(first)}`, {
      file: this.path,
      offset: second.offset,
    });
  }

  /** The static symbol table's section, if the file has one; `elf-unsupported` when it has several. */
  get symtab(): Section | undefined {
    return this.single(SHT_SYMTAB);
  }
  get dynsym(): Section | undefined {
    return this.single(SHT_DYNSYM);
  }

  private single(type: number): Section | undefined {
    if (this.singles.has(type)) return this.singles.get(type);
    const found = this.ofType(type);
    if (found.length > 1) {
      throw new TextpokeError(
        'elf-unsupported',
        `the file has ${found.length} symbol tables (${found.map((s) => s.name).join(', ')}); one is supported`,
        { file: this.path },
      );
    }
    this.singles.set(type, found[0]);
    return found[0];
  }

  /** Throws unless a section has one of the types that its user needs, and (where given) that sh_entsize. */
  private require(section: Section, types: readonly number[], what: string, entsize = section.entsize): void {
    const found = types.includes(section.type)
      ? section.entsize === entsize
        ? undefined
        : `sh_entsize is ${section.entsize}; ${entsize} is required`
      : `${what} names section ${section.index}, whose type is ${constantName(sectionTypes, section.type)}; ${types.map((type) => constantName(sectionTypes, type)).join(' or ')} is required`;
    if (found === undefined) return;
    throw new TextpokeError('elf-malformed', found, { file: this.path, section: section.name });
  }

  /** The .symtab_shndx section of a symbol table, if it has one. */
  extendedNumbers(symtab: Section): Section | undefined {
    this.byTable ??= groupBy(
      this.sections.filter(({ type }) => type === SHT_SYMTAB_SHNDX),
      ({ link }) => link,
    );
    const found = this.byTable.get(symtab.index) ?? [];
    if (found.length > 1) {
      throw new TextpokeError(
        'elf-malformed',
        `${found.length} .symtab_shndx sections belong to one symbol table; one is allowed`,
        { file: this.path, section: symtab.name },
      );
    }
    return found[0];
  }

  /** The symbols of a SHT_SYMTAB or SHT_DYNSYM section. */
  symbols(section: Section): SymbolTable {
    let table = this.tables.get(section.index);
    if (!table) {
      this.require(
        section,
        [SHT_SYMTAB, SHT_DYNSYM],
        'a reference to a symbol table',
        Sym[this.header.class].size,
      );
      const what = `sh_link of ${section.name}`;
      const strings = this.section(section.link, what);
      this.require(strings, [SHT_STRTAB], what);
      const extended = this.extendedNumbers(section);
      table = new SymbolTable({
        class: this.header.class,
        little: this.header.little,
        bytes: this.data(section),
        strings: new StringTable(this.data(strings), strings.name),
        extended: extended && this.data(extended),
        sectionCount: this.sections.length,
        firstGlobal: section.info,
        tableName: section.name,
      });
      this.tables.set(section.index, table);
    }
    return table;
  }

  /** The relocations of a SHT_REL or SHT_RELA section. */
  relocations(section: Section): Relocations {
    let table = this.relocated.get(section.index);
    if (!table) {
      const rela = section.type === SHT_RELA;
      const format = (rela ? Rela : Rel)[this.header.class];
      this.require(section, [SHT_REL, SHT_RELA], 'a reference to a relocation section', format.size);
      const what = `sh_link of ${section.name}`;
      const symtab = section.link === 0 ? undefined : this.section(section.link, what);
      if (symtab) this.require(symtab, [SHT_SYMTAB, SHT_DYNSYM], what);
      table = readRelocations({
        header: this.header,
        bytes: this.data(section),
        rela,
        section: section.index,
        target: section.info,
        name: section.name,
        symbolCount: symtab ? this.symbols(symtab).count : 0,
      });
      this.relocated.set(section.index, table);
    }
    return table;
  }

  /**
   * The relocation sections that apply to section `target` of an object; `elf-unsupported` when they are compact
   * ones, which would be missed.
   */
  relocationSections(target: SectionNumber): readonly Section[] {
    this.byTarget ??= groupBy(
      this.sections.filter(({ type }) => type === SHT_RELA || type === SHT_REL || type === SHT_CREL),
      ({ info }) => info,
    );
    const found = this.byTarget.get(target) ?? [];
    for (const { type, name } of found) {
      if (type !== SHT_CREL) continue;
      throw new TextpokeError(
        'elf-unsupported',
        'compact relocations (SHT_CREL) are not supported; compile without -Wa,--crel',
        { file: this.path, section: name },
      );
    }
    return found;
  }
}

/** Two sections that share bytes, of some in order of offset that do. */
function overlapOf(ordered: readonly Section[]): { first: Section; second: Section } {
  let [last] = ordered as [Section];
  for (const section of ordered.slice(1)) {
    if (section.size === 0) continue;
    if (section.offset < last.offset + last.size) return { first: last, second: section };
    last = section;
  }
  throw new TextpokeError('defect', 'no sections overlap');
}
