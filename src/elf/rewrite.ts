// Carries out an ElfChange on a relocatable object. New sections go behind all others; new groups to the front,
// for a group has to precede its members (gABI, "Section Groups"), and every section number follows.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { ElfChange, NewSection, SymbolRef } from './change.ts';
import {
  ET_REL,
  SHF_GROUP,
  SHF_INFO_LINK,
  SHT_GROUP,
  SHT_NOBITS,
  SHT_REL,
  SHT_RELA,
  SHT_SYMTAB_SHNDX,
} from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { type OutputSection, writeElf } from './layout.ts';
import { identSize, Rel, Rela, Shdr } from './records.ts';
import { renumberSymbols } from './renumber.ts';
import { rewriteSymbols } from './rewrite-symbols.ts';
import { StringAppender } from './string-appender.ts';

type MutableSection = { -readonly [K in keyof OutputSection]: OutputSection[K] } & { name?: string };

/** Whether the file's relocation sections carry addends; `fallback` for a file without any. */
function usesRela(file: ElfFile, fallback: boolean): boolean {
  const section = file.sections.find((s) => s.type === SHT_RELA || s.type === SHT_REL);
  return section ? section.type === SHT_RELA : fallback;
}

function encodeRelocations(
  file: ElfFile,
  section: NewSection,
  rela: boolean,
  indexOf: (symbol: SymbolRef) => number,
): Uint8Array {
  const { class: bits, little } = file.header;
  const format = (rela ? Rela : Rel)[bits];
  const bytes = new Uint8Array(section.relocations.length * format.size);
  const view = new ByteView(bytes, little);
  section.relocations.forEach((relocation, i) => {
    const at = i * format.size;
    const symbol = indexOf(relocation.symbol);
    if (bits === 64) {
      view.setU64(at, BigInt(relocation.offset));
      view.setU64(at + 8, (BigInt(symbol) << 32n) | BigInt(relocation.type));
      if (rela) view.setS64(at + 16, relocation.addend);
    } else {
      view.setU32(at, relocation.offset);
      view.setU32(at + 4, ((symbol << 8) | (relocation.type & 0xff)) >>> 0);
      if (rela) view.setU32(at + 8, relocation.addend >>> 0);
    }
  });
  return bytes;
}

function blank(
  name: string,
  type: number,
  addralign: number,
  entsize: number,
  data: Uint8Array,
): MutableSection {
  return {
    name,
    nameOffset: 0,
    type,
    flags: 0,
    addr: 0,
    link: 0,
    info: 0,
    addralign,
    entsize,
    data,
    size: data.length,
  };
}

/** The sections of the result while it is built; all numbers are those of the result. */
class Builder {
  readonly sections: MutableSection[];
  private readonly file: ElfFile;
  private readonly shift: number;
  private readonly owned = new Set<Uint8Array>();

  constructor(file: ElfFile, groups: number) {
    this.file = file;
    this.shift = groups;
    const names = new ByteView(
      file.source.read(file.header.shoff, file.sections.length * Shdr[file.header.class].size),
      file.header.little,
    );
    const old = file.sections.map(
      (s): MutableSection => ({
        nameOffset: names.u32(s.index * Shdr[file.header.class].size),
        type: s.type,
        flags: s.flags,
        addr: s.addr,
        link: this.number(s.link),
        info: namesSection(s) ? this.number(s.info) : s.info,
        addralign: s.addralign,
        entsize: s.entsize,
        data: file.data(s),
        size: s.size,
        oldOffset: s.offset,
      }),
    );
    const added = Array.from({ length: groups }, () => blank('.group', SHT_GROUP, 4, 4, new Uint8Array(4)));
    this.sections = [old[0] as MutableSection, ...added, ...old.slice(1)];
    if (groups > 0) for (const section of file.ofType(SHT_GROUP)) this.renumberMembers(section);
  }

  /** The number that section `old` of the file gets. */
  number(old: number): number {
    return old > 0 ? old + this.shift : 0;
  }

  at(index: number): MutableSection {
    return this.sections[index] as MutableSection;
  }

  setData(index: number, data: Uint8Array): void {
    this.at(index).data = data;
    this.at(index).size = data.length;
  }

  /** The section's bytes to change; they are copied once. */
  editable(index: number): ByteView {
    const section = this.at(index);
    if (!this.owned.has(section.data)) {
      section.data = section.data.slice();
      this.owned.add(section.data);
    }
    return new ByteView(section.data, this.file.header.little);
  }

  private renumberMembers(group: Section): void {
    const view = this.editable(this.number(group.index));
    for (let at = 4; at + 4 <= view.bytes.length; at += 4) view.setU32(at, this.number(view.u32(at)));
  }

  add(section: MutableSection): number {
    this.sections.push(section);
    return this.sections.length - 1;
  }

  joinGroup(group: number, members: readonly number[]): void {
    const old = this.at(group).data;
    const data = new Uint8Array(old.length + members.length * 4);
    data.set(old);
    const view = new ByteView(data, this.file.header.little);
    members.forEach((member, i) => {
      view.setU32(old.length + i * 4, member);
      if ((this.at(member).flags & SHF_GROUP) === 0) this.at(member).flags += SHF_GROUP;
    });
    this.setData(group, data);
  }
}

/** True when sh_info is a section number (gABI table 4-16: relocations, and whatever has SHF_INFO_LINK). */
function namesSection(section: Section): boolean {
  return section.type === SHT_RELA || section.type === SHT_REL || (section.flags & SHF_INFO_LINK) !== 0;
}

/**
 * The object with the change carried out. Everything the change does not name keeps its bytes and its order.
 * Errors: `not-relocatable` for an image, `elf-malformed`, `elf-unsupported`.
 */
export function rewriteObject(file: ElfFile, change: ElfChange): Uint8Array {
  const { header } = file;
  if (header.type !== ET_REL || file.segments.length > 0) {
    throw new TextpokeError('not-relocatable', 'the file is not a relocatable object', { file: file.path });
  }
  const symtab = file.symtab;
  if (!symtab)
    throw new TextpokeError('elf-malformed', 'the object has no symbol table', { file: file.path });
  const builder = new Builder(file, change.groups.length);

  // One string table may serve sections and symbols alike (clang's .strtab).
  const symbolNames = new StringAppender(file.data(file.section(symtab.link, 'sh_link of the symbol table')));
  const sectionNames =
    header.shstrndx === symtab.link
      ? symbolNames
      : new StringAppender(file.data(file.section(header.shstrndx, 'e_shstrndx')));

  const indexOf = changeSymbols(builder, file, symtab, change, symbolNames);
  // From here on every symbol number and the number of every section that the file had is final.

  for (const { section, offset, bytes } of change.patches) {
    builder.editable(builder.number(section)).bytes.set(bytes, offset);
  }
  for (const { section, index } of change.voided)
    voidRelocation(builder, file, builder.number(section), index);

  const rela = usesRela(file, true);
  const members = change.sections.map((section) => {
    const made = blank(section.name, section.type, section.addralign, section.entsize, section.data);
    made.flags = section.flags;
    const index = builder.add(made);
    const both = [index];
    if (section.relocations.length > 0) {
      const form = rela
        ? { prefix: '.rela', type: SHT_RELA, record: Rela }
        : { prefix: '.rel', type: SHT_REL, record: Rel };
      const companion = blank(
        form.prefix + section.name,
        form.type,
        header.class === 64 ? 8 : 4,
        form.record[header.class].size,
        encodeRelocations(file, section, rela, indexOf),
      );
      companion.flags = SHF_INFO_LINK;
      companion.link = builder.number(symtab.index);
      companion.info = index;
      both.push(builder.add(companion));
    }
    if (section.group !== undefined) builder.joinGroup(builder.number(section.group), both);
    return both;
  });
  change.groups.forEach((group, i) => {
    const index = 1 + i;
    builder.at(index).link = builder.number(symtab.index);
    builder.at(index).info = indexOf(group.signature);
    const old = group.members.flatMap((m) => [m, ...file.relocationSections(m).map((r) => r.index)]);
    builder.joinGroup(index, [
      ...old.map((m) => builder.number(m)),
      ...group.newMembers.flatMap((m) => members[m] as number[]),
    ]);
  });

  // Names last, now that every section is there.
  for (const section of builder.sections) {
    if (section.name !== undefined) section.nameOffset = sectionNames.offsetOf(section.name);
  }
  builder.setData(builder.number(symtab.link), symbolNames.bytes());
  if (sectionNames !== symbolNames) builder.setData(builder.number(header.shstrndx), sectionNames.bytes());

  const original = file.source.read(0, file.source.size);
  const ident = original.slice(0, identSize);
  if (change.osabi !== undefined) ident[7] = change.osabi;
  const output = builder.sections.map((s) => (s.type === SHT_NOBITS ? { ...s, data: new Uint8Array(0) } : s));
  return writeElf({ ...header, shstrndx: builder.number(header.shstrndx), ident }, output, original);
}

/** Rewrites the symbol table and all that holds its numbers; returns the final number of a symbol. */
function changeSymbols(
  builder: Builder,
  file: ElfFile,
  symtab: Section,
  change: ElfChange,
  names: StringAppender,
): (symbol: SymbolRef) => number {
  const oldCount = file.symbols(symtab).count;
  const localCount = change.symbols.filter((s) => s.binding === 'local').length;
  const renumber = (symbol: number) => (symbol < symtab.info ? symbol : symbol + localCount);
  const added: number[] = [];
  let nextLocal = symtab.info;
  let nextGlobal = oldCount + localCount;
  for (const symbol of change.symbols) added.push(symbol.binding === 'local' ? nextLocal++ : nextGlobal++);
  if (change.symbols.length > 0 || change.groups.length > 0) {
    const rewritten = rewriteSymbols(file, symtab, change.symbols, names, (n) => builder.number(n));
    const index = builder.number(symtab.index);
    builder.setData(index, rewritten.records);
    builder.at(index).info = rewritten.firstGlobal;
    const words = file.sections.find((s) => s.type === SHT_SYMTAB_SHNDX && s.link === symtab.index);
    if (rewritten.extended && words) builder.setData(builder.number(words.index), rewritten.extended);
    else if (rewritten.extended) {
      const section = blank('.symtab_shndx', SHT_SYMTAB_SHNDX, 4, 4, rewritten.extended);
      section.link = index;
      builder.add(section);
    }
  }
  if (localCount > 0) {
    const { data, info } = renumberSymbols(file, symtab, renumber);
    for (const [section, bytes] of data) builder.setData(builder.number(section), bytes);
    for (const [section, number] of info) builder.at(builder.number(section)).info = number;
  }
  return (symbol) => (symbol < oldCount ? renumber(symbol) : (added[symbol - oldCount] as number));
}

/** Turns a relocation into R_*_NONE (type 0 on every machine); its symbol and addend stay. */
function voidRelocation(builder: Builder, file: ElfFile, section: number, index: number): void {
  const { class: bits, little } = file.header;
  const view = builder.editable(section);
  const format = (builder.at(section).type === SHT_RELA ? Rela : Rel)[bits];
  const info = index * format.size + format.offsets.info;
  if (bits === 64) view.setU32(info + (little ? 0 : 4), 0);
  else view.setU32(info, (view.u32(info) & ~0xff) >>> 0);
}
