// Carries out an ElfChange on a relocatable object. Local symbols go in front of all globals (gABI: sh_info is
// the first non-local), new sections behind all others, so section numbers never move.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { ElfChange, NewSection, NewSymbol, SymbolRef } from './change.ts';
import {
  ET_REL,
  SHF_GROUP,
  SHF_INFO_LINK,
  SHN_LORESERVE,
  SHN_XINDEX,
  SHT_GROUP,
  SHT_NOBITS,
  SHT_REL,
  SHT_RELA,
  SHT_SYMTAB_SHNDX,
  STB_GLOBAL,
  STB_LOCAL,
} from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { type OutputSection, writeElf } from './layout.ts';
import { identSize, Rel, Rela, Shdr, Sym } from './records.ts';
import { renumberSymbols } from './renumber.ts';

/** Appends names to a string table, once each; a name that ends an existing string shares its bytes. */
class StringAppender {
  private readonly original: Buffer;
  private readonly added = new Map<string, number>();
  private readonly tail: string[] = [];
  private size: number;

  constructor(bytes: Uint8Array) {
    this.original = Buffer.from(bytes);
    this.size = bytes.length;
  }

  offsetOf(name: string): number {
    if (name === '') return 0;
    let offset = this.added.get(name);
    if (offset === undefined) {
      offset = this.original.indexOf(`${name}\0`);
      if (offset < 0) {
        offset = this.size;
        this.tail.push(name);
        this.size += Buffer.byteLength(name) + 1;
      }
      this.added.set(name, offset);
    }
    return offset;
  }

  bytes(): Uint8Array {
    if (this.tail.length === 0) return this.original;
    return Buffer.concat([this.original, Buffer.from(`${this.tail.join('\0')}\0`)]);
  }
}

interface MutableSection {
  name?: string;
  nameOffset: number;
  type: number;
  flags: number;
  addr: number;
  link: number;
  info: number;
  addralign: number;
  entsize: number;
  data: Uint8Array;
  size: number;
  oldOffset?: number;
}

/** The relocation form of the file's machine: RELA or REL, as its own relocation sections have it. */
export function usesRela(file: ElfFile, fallback: boolean): boolean {
  if (file.sections.some((s) => s.type === SHT_RELA)) return true;
  if (file.sections.some((s) => s.type === SHT_REL)) return false;
  return fallback;
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

/** Symbol records in their new order, and the .symtab_shndx words beside them. */
function rebuildSymtab(
  file: ElfFile,
  symtab: Section,
  change: ElfChange,
  names: StringAppender,
): { records: Uint8Array; extended: Uint8Array | undefined; firstGlobal: number } {
  const { class: bits, little } = file.header;
  const format = Sym[bits];
  const old = file.data(symtab);
  const oldIndices = file.sections.find((s) => s.type === SHT_SYMTAB_SHNDX && s.link === symtab.index);
  const oldWords = oldIndices && new ByteView(file.data(oldIndices), little, { section: oldIndices.name });
  const count = old.length / format.size;
  const total = count + change.symbols.length;
  const records = new Uint8Array(total * format.size);
  const view = new ByteView(records, little);
  const words = new Uint8Array(total * 4);
  const wordView = new ByteView(words, little);
  let needed = oldIndices !== undefined;
  let next = 0;
  const copy = (from: number, to: number) => {
    records.set(old.subarray(from * format.size, to * format.size), next * format.size);
    for (let i = from; i < to; i++)
      wordView.setU32((next + i - from) * 4, oldWords ? oldWords.u32(i * 4) : 0);
    next += to - from;
  };
  const add = (symbol: NewSymbol) => {
    const far = symbol.section >= SHN_LORESERVE;
    const common = {
      name: names.offsetOf(symbol.name),
      info: ((symbol.binding === 'local' ? STB_LOCAL : STB_GLOBAL) << 4) | symbol.type,
      other: 0,
      shndx: far ? SHN_XINDEX : symbol.section,
    };
    const at = next * format.size;
    if (bits === 64) Sym[64].write(view, at, { ...common, value: BigInt(symbol.value), size: 0n });
    else Sym[32].write(view, at, { ...common, value: symbol.value, size: 0 });
    if (far) {
      needed = true;
      wordView.setU32(next * 4, symbol.section);
    }
    next++;
  };
  const locals = change.symbols.filter((s) => s.binding === 'local');
  copy(0, symtab.info);
  locals.forEach(add);
  copy(symtab.info, count);
  for (const symbol of change.symbols) if (symbol.binding === 'global') add(symbol);
  return { records, extended: needed ? words : undefined, firstGlobal: symtab.info + locals.length };
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
  if (!symtab) {
    throw new TextpokeError('elf-malformed', 'the object has no symbol table', { file: file.path });
  }
  const sections: MutableSection[] = file.sections.map((s) => ({
    nameOffset: 0,
    type: s.type,
    flags: s.flags,
    addr: s.addr,
    link: s.link,
    info: s.info,
    addralign: s.addralign,
    entsize: s.entsize,
    data: file.data(s),
    size: s.size,
    oldOffset: s.offset,
  }));
  const at = (index: number): MutableSection => sections[index] as MutableSection;
  const setData = (index: number, data: Uint8Array) => {
    at(index).data = data;
    at(index).size = data.length;
  };

  // Names: one string table may serve sections and symbols alike (clang's .strtab).
  const symbolNames = new StringAppender(file.data(file.section(symtab.link, 'sh_link of the symbol table')));
  const sectionNames =
    header.shstrndx === symtab.link
      ? symbolNames
      : new StringAppender(file.data(file.section(header.shstrndx, 'e_shstrndx')));
  const rawNames = new ByteView(
    file.source.read(header.shoff, file.sections.length * Shdr[header.class].size),
    header.little,
  );
  sections.forEach((section, i) => {
    section.nameOffset = rawNames.u32(i * Shdr[header.class].size);
  });

  // Symbols. From here on every symbol number is final.
  const oldCount = file.symbols(symtab).count;
  const localCount = change.symbols.filter((s) => s.binding === 'local').length;
  const renumber = (symbol: number) => (symbol < symtab.info ? symbol : symbol + localCount);
  const finalIndex = new Map<number, number>();
  let nextLocal = symtab.info;
  let nextGlobal = oldCount + localCount;
  change.symbols.forEach((symbol, i) => {
    finalIndex.set(oldCount + i, symbol.binding === 'local' ? nextLocal++ : nextGlobal++);
  });
  const indexOf = (symbol: SymbolRef) => finalIndex.get(symbol) ?? renumber(symbol);
  if (change.symbols.length > 0) {
    const rebuilt = rebuildSymtab(file, symtab, change, symbolNames);
    setData(symtab.index, rebuilt.records);
    at(symtab.index).info = rebuilt.firstGlobal;
    const indices = file.sections.find((s) => s.type === SHT_SYMTAB_SHNDX && s.link === symtab.index);
    if (indices && rebuilt.extended) setData(indices.index, rebuilt.extended);
    else if (rebuilt.extended) {
      sections.push({
        name: '.symtab_shndx',
        nameOffset: 0,
        type: SHT_SYMTAB_SHNDX,
        flags: 0,
        addr: 0,
        link: symtab.index,
        info: 0,
        addralign: 4,
        entsize: 4,
        data: rebuilt.extended,
        size: rebuilt.extended.length,
      });
    }
    if (localCount > 0) {
      const renumbered = renumberSymbols(file, symtab, renumber);
      for (const [index, data] of renumbered.data) setData(index, data);
      for (const [index, info] of renumbered.info) at(index).info = info;
    }
  }

  for (const { section, offset, bytes } of change.patches) {
    const data = at(section).data.slice();
    data.set(bytes, offset);
    at(section).data = data;
  }
  for (const { section, index } of change.voided) {
    const data = at(section).data.slice();
    const view = new ByteView(data, header.little);
    const format = (at(section).type === SHT_RELA ? Rela : Rel)[header.class];
    const info = index * format.size + format.offsets.info;
    if (header.class === 64) view.setU32(info + (header.little ? 0 : 4), 0);
    else view.setU32(info, (view.u32(info) & ~0xff) >>> 0);
    at(section).data = data;
  }

  // New sections, each with its relocations right behind it.
  const rela = usesRela(file, true);
  const joins = new Map<number, number[]>();
  const join = (group: number, member: number) => {
    const members = joins.get(group) ?? [];
    joins.set(group, members);
    members.push(member);
    at(member).flags += at(member).flags & SHF_GROUP ? 0 : SHF_GROUP;
  };
  const companionsOf: number[][] = change.sections.map((section) => {
    const index = sections.length;
    sections.push({
      name: section.name,
      nameOffset: 0,
      type: section.type,
      flags: section.flags,
      addr: 0,
      link: 0,
      info: 0,
      addralign: section.addralign,
      entsize: section.entsize,
      data: section.data,
      size: section.data.length,
    });
    const members = [index];
    if (section.relocations.length > 0) {
      const data = encodeRelocations(file, section, rela, indexOf);
      members.push(sections.length);
      sections.push({
        name: `${rela ? '.rela' : '.rel'}${section.name}`,
        nameOffset: 0,
        type: rela ? SHT_RELA : SHT_REL,
        flags: SHF_INFO_LINK,
        addr: 0,
        link: symtab.index,
        info: index,
        addralign: header.class === 64 ? 8 : 4,
        entsize: (rela ? Rela : Rel)[header.class].size,
        data,
        size: data.length,
      });
    }
    if (section.group !== undefined) for (const member of members) join(section.group, member);
    return members;
  });
  for (const group of change.groups) {
    const index = sections.length;
    sections.push({
      name: '.group',
      nameOffset: 0,
      type: SHT_GROUP,
      flags: 0,
      addr: 0,
      link: symtab.index,
      info: indexOf(group.signature),
      addralign: 4,
      entsize: 4,
      data: new Uint8Array(4),
      size: 4,
    });
    for (const member of group.members) {
      join(index, member);
      for (const relocations of file.relocationSections(member)) join(index, relocations.index);
    }
    for (const added of group.newMembers)
      for (const member of companionsOf[added] as number[]) join(index, member);
  }
  for (const [group, members] of joins) {
    const data = new Uint8Array(at(group).data.length + members.length * 4);
    data.set(at(group).data);
    const view = new ByteView(data, header.little);
    members.forEach((member, i) => {
      view.setU32(at(group).data.length + i * 4, member);
    });
    setData(group, data);
  }

  // Names last, now that every section is there.
  for (const section of sections) {
    if (section.name !== undefined) section.nameOffset = sectionNames.offsetOf(section.name);
  }
  setData(symtab.link, symbolNames.bytes());
  if (sectionNames !== symbolNames) setData(header.shstrndx, sectionNames.bytes());

  const original = file.source.read(0, file.source.size);
  const ident = original.slice(0, identSize);
  if (change.osabi !== undefined) ident[7] = change.osabi;
  return writeElf({ ...header, ident }, sections.map(asOutput), original);
}

function asOutput(section: MutableSection): OutputSection {
  return section.type === SHT_NOBITS ? { ...section, data: new Uint8Array(0) } : section;
}
