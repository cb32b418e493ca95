// Carries out an ElfChange on a relocatable object: symbols first, for every number hangs on them, then contents,
// new sections with their relocations, groups, and names last.
import { requireS32 } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { inFile, TextpokeError } from '../errors.ts';
import type { ElfChange, NewSection, SymbolRef } from './change.ts';
import { checkObject } from './check-object.ts';
import {
  EM_386,
  EM_ARM,
  EM_BPF,
  EM_IAMCU,
  EM_MIPS,
  ET_REL,
  SHF_INFO_LINK,
  SHT_REL,
  SHT_RELA,
  SHT_SYMTAB_SHNDX,
} from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { writeElf } from './layout.ts';
import { newSection, ObjectBuilder } from './object-builder.ts';
import { identSize, Rel, Rela } from './records.ts';
import { infoHalves } from './relocations.ts';
import { packInfo32, renumberSymbols } from './renumber.ts';
import { rewriteSymbols } from './rewrite-symbols.ts';
import { openStrings, type StringAppender } from './string-appender.ts';

/** Machines whose psABI keeps addends in the relocated field; the others all use SHT_RELA. */
const relMachines = new Set([EM_386, EM_IAMCU, EM_ARM, EM_MIPS, EM_BPF]);

/**
 * Whether new relocation sections carry addends: as the machine's psABI says, unless the object shows otherwise.
 * (A lone SHT_REL proves nothing: clang's .rel.llvm.call-graph-profile is one on every machine.)
 */
function usesRela(file: ElfFile): boolean {
  return !relMachines.has(file.header.machine) || file.sections.some((s) => s.type === SHT_RELA);
}

function encodeRelocations(
  file: ElfFile,
  section: NewSection,
  rela: boolean,
  indexOf: (symbol: SymbolRef) => number,
): Uint8Array {
  const { class: bits, little } = file.header;
  const { size } = (rela ? Rela : Rel)[bits];
  const bytes = new Uint8Array(section.relocations.length * size);
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const halves = infoHalves(file.header);
  section.relocations.forEach((relocation, i) => {
    const at = i * size;
    const symbol = indexOf(relocation.symbol);
    if (bits === 64) {
      view.setBigUint64(at, BigInt(relocation.offset), little);
      view.setUint32(at + halves.symbol, symbol, little);
      view.setUint32(at + halves.type, relocation.type, halves.typeLittle);
      if (rela) view.setBigInt64(at + Rela[64].offsets.addend, BigInt(relocation.addend), little);
    } else {
      view.setUint32(at, relocation.offset, little);
      view.setUint32(at + Rel[32].offsets.info, packInfo32(symbol, relocation.type), little);
      if (rela) {
        const addend = requireS32(relocation.addend, 'r_addend', { section: section.name });
        view.setInt32(at + Rela[32].offsets.addend, addend, little);
      }
    }
  });
  return bytes;
}

/** Throws `defect` for a change that names what the file does not have: whoever planned it was wrong. */
function checkChange(file: ElfFile, change: ElfChange, symbolCount: number): void {
  const wrong = (what: string): never => {
    throw new TextpokeError('defect', `the change names ${what}, which does not exist`);
  };
  const needSection = (index: number): Section => file.sections[index] ?? wrong(`section ${index}`);
  const refs = symbolCount + change.symbols.length;
  const needSymbol = (ref: SymbolRef) => ref < refs || wrong(`symbol ${ref} of ${refs}`);
  for (const symbol of change.symbols) needSection(symbol.section);
  for (const { section, offset, bytes } of change.patches) {
    const { length } = file.data(needSection(section));
    if (offset + bytes.length > length) wrong(`byte ${offset} of section ${section}`);
  }
  for (const { section } of change.realigned) needSection(section);
  for (const { section, index } of change.retyped) {
    if (index >= file.relocations(needSection(section)).count) wrong(`relocation ${index} of ${section}`);
  }
  for (const { relocations, group } of change.sections) {
    for (const { symbol } of relocations) needSymbol(symbol);
    if (group !== undefined) needSection(group);
  }
  for (const { signature, members, newMembers } of change.groups) {
    needSymbol(signature);
    for (const member of members) needSection(member);
    for (const member of newMembers) if (!change.sections[member]) wrong(`new section ${member}`);
  }
}

/**
 * The object with the change carried out. Everything the change does not name keeps its bytes and its order.
 * Errors: `not-relocatable` for an image, `elf-malformed`, `elf-unsupported`; `defect` for a change that names
 * what is not there.
 */
export function rewriteObject(file: ElfFile, change: ElfChange): Uint8Array {
  return inFile(file.path, () => rewrite(file, change));
}

function rewrite(file: ElfFile, change: ElfChange): Uint8Array {
  const { header, symtab } = file;
  if (header.type !== ET_REL || file.segments.length > 0) {
    throw new TextpokeError('not-relocatable', 'the file is not a relocatable object');
  }
  if (!symtab) throw new TextpokeError('elf-malformed', 'the object has no symbol table');
  checkObject(file, symtab);
  checkChange(file, change, file.symbols(symtab).count);
  const builder = new ObjectBuilder(file, change.groups.length);

  // One string table may serve sections and symbols alike (clang's .strtab).
  const symbolNames = openStrings(file, symtab.link);
  const sectionNames = header.shstrndx === symtab.link ? symbolNames : openStrings(file, header.shstrndx);

  const indexOf = changeSymbols(builder, file, symtab, change, symbolNames);
  // From here on every symbol number and the number of every section that the file had is final.

  for (const { section, offset, bytes } of change.patches) {
    builder.editable(builder.number(section)).bytes.set(bytes, offset);
  }
  for (const { section, addralign } of change.realigned) {
    const header = builder.at(builder.number(section));
    header.addralign = Math.max(header.addralign, addralign);
  }
  for (const { section, index, type } of change.retyped) {
    retypeRelocation(builder, file, builder.number(section), index, type);
  }
  const rela = usesRela(file);
  const added = change.sections.map((section) => addSection(builder, file, symtab, section, rela, indexOf));
  change.groups.forEach((group, i) => {
    const index = 1 + i;
    builder.at(index).link = builder.number(symtab.index);
    builder.at(index).info = indexOf(group.signature);
    const old = group.members.flatMap((m) => [m, ...file.relocationSections(m).map((r) => r.index)]);
    builder.joinGroup(index, [
      ...old.map((m) => builder.number(m)),
      ...group.newMembers.flatMap((m) => added[m] as number[]),
    ]);
  });

  // Names last, now that every section is there.
  builder.finish(sectionNames);
  builder.setData(builder.number(symtab.link), symbolNames.bytes());
  if (sectionNames !== symbolNames) builder.setData(builder.number(header.shstrndx), sectionNames.bytes());

  const original = file.source.read(0, file.source.size);
  const ident = original.slice(0, identSize);
  if (change.osabi !== undefined) ident[7] = change.osabi;
  return writeElf(
    { ...header, shstrndx: builder.number(header.shstrndx), ident },
    builder.output(),
    original,
  );
}

/** Adds a section and, where it has relocations, their section behind it; returns both numbers. */
function addSection(
  builder: ObjectBuilder,
  file: ElfFile,
  symtab: Section,
  section: NewSection,
  rela: boolean,
  indexOf: (symbol: SymbolRef) => number,
): number[] {
  const made = newSection(section.name, section.type, section.addralign, section.entsize, section.data);
  made.flags = section.flags;
  const index = builder.add(made);
  const both = [index];
  if (section.relocations.length > 0) {
    const { class: bits } = file.header;
    const companion = newSection(
      `${rela ? '.rela' : '.rel'}${section.name}`,
      rela ? SHT_RELA : SHT_REL,
      bits === 64 ? 8 : 4,
      (rela ? Rela : Rel)[bits].size,
      encodeRelocations(file, section, rela, indexOf),
    );
    companion.flags = SHF_INFO_LINK;
    companion.link = builder.number(symtab.index);
    companion.info = index;
    both.push(builder.add(companion));
  }
  if (section.group !== undefined) builder.joinGroup(builder.number(section.group), both);
  return both;
}

/** Rewrites the symbol table and all that holds its numbers; returns the final number of a symbol. */
function changeSymbols(
  builder: ObjectBuilder,
  file: ElfFile,
  symtab: Section,
  change: ElfChange,
  names: StringAppender,
): (symbol: SymbolRef) => number {
  const oldCount = file.symbols(symtab).count;
  const localCount = change.symbols.filter((s) => s.binding === 'local').length;
  const renumber = (symbol: number) => {
    if (symbol < symtab.info) return symbol;
    if (symbol < oldCount) return symbol + localCount;
    throw new TextpokeError(
      'elf-malformed',
      `a field names symbol ${symbol}, but the symbol table has ${oldCount} symbols`,
    );
  };
  const added: number[] = [];
  let nextLocal = symtab.info;
  let nextGlobal = oldCount + localCount;
  for (const symbol of change.symbols) added.push(symbol.binding === 'local' ? nextLocal++ : nextGlobal++);
  if (change.symbols.length > 0 || change.groups.length > 0) {
    const rewritten = rewriteSymbols(file, symtab, change.symbols, names, (n) => builder.number(n));
    const index = builder.number(symtab.index);
    builder.setData(index, rewritten.records);
    builder.at(index).info = rewritten.firstGlobal;
    const words = file.extendedNumbers(symtab);
    if (rewritten.extended && words) builder.setData(builder.number(words.index), rewritten.extended);
    else if (rewritten.extended) {
      const section = newSection('.symtab_shndx', SHT_SYMTAB_SHNDX, 4, 4, rewritten.extended);
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

/** Gives a relocation another type; its symbol and addend stay. */
function retypeRelocation(
  builder: ObjectBuilder,
  file: ElfFile,
  section: number,
  index: number,
  type: number,
): void {
  const { header } = file;
  const view = builder.editable(section);
  const { size, offsets } = (builder.at(section).type === SHT_RELA ? Rela : Rel)[header.class];
  const at = index * size;
  if (header.class === 64) view.setU32(at + infoHalves(header).type, type);
  else view.setU32(at + offsets.info, packInfo32(view.u32(at + offsets.info) >>> 8, type));
}
