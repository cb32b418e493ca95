// Turns sites into table sections of an object: one section for each table and code section, so that a table
// shares the fate of its code.
//
// - Code in a group (COMDAT): the table joins the group, or the link would fail on a discarded section.
// - Code in a section of its own (-ffunction-sections): both join a new group without GRP_COMDAT, whose members
//   live and die together under --gc-sections. SHF_LINK_ORDER is no tool for it: GNU ld 2.40 `-r` merges ordered
//   tables of several functions into one that follows the first of them, and entries of live code are lost.
// - Other code: SHF_GNU_RETAIN, so that no linker drops the table (GNU ld 2.36, lld 13 and later; older ones keep
//   it by its __start_ symbol or by KEEP).

import { isNameless } from '../arch/code-map.ts';
import type { SectionNumber } from '../bytes/named-numbers.ts';
import { entryLayout, type TableRow } from '../bytes/table.ts';
import { ByteView } from '../bytes/view.ts';
import type { ElfChange, NewGroup, NewRelocation, NewSection, NewSymbol, SymbolRef } from '../elf/change.ts';
import {
  ELFOSABI_GNU,
  ELFOSABI_NONE,
  SHF_ALLOC,
  SHF_GNU_RETAIN,
  SHF_GROUP,
  SHT_GROUP,
  SHT_NOTE,
  SHT_PROGBITS,
  STT_NOTYPE,
  STT_SECTION,
} from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { FieldTarget, NewEntry } from '../object/found.ts';
import type { ObjectCode } from '../object/object-code.ts';
import { noteSection } from '../object/unit-notes.ts';

/** Names that compilers give to code shared by many functions; linkers merge these as they do .text. */
const sharedCode = /^\.text\.(unlikely|hot|startup|exit|unknown|split|cold)\.?$/;

/** True for code in a section of its own, as -ffunction-sections makes it. */
function isOwnSection(name: string): boolean {
  return name.startsWith('.text.') && !name.startsWith('.text..') && !sharedCode.test(name);
}

/** Collects symbols to add, each once. */
class SymbolAdditions {
  readonly added: NewSymbol[] = [];
  private readonly sections = new Map<number, SymbolRef>();
  private readonly undefinedNames = new Map<string, SymbolRef>();
  private readonly object: ObjectCode;

  constructor(object: ObjectCode) {
    this.object = object;
  }

  private add(symbol: NewSymbol): SymbolRef {
    this.added.push(symbol);
    return this.object.symbols.count + this.added.length - 1;
  }

  /** The section's symbol; added where the assembler left none. A global or weak one could be overridden. */
  sectionSymbol(section: number): SymbolRef {
    let symbol = this.sections.get(section) ?? this.object.sectionSymbol(section);
    symbol ??= this.add({ name: '', binding: 'local', type: STT_SECTION, section, value: 0 });
    this.sections.set(section, symbol);
    return symbol;
  }

  /** The symbol by which a field names its target. */
  of(target: FieldTarget): SymbolRef {
    if ('symbol' in target) return target.symbol;
    return 'section' in target
      ? this.sectionSymbol(target.section)
      : this.undefinedSymbol(target.undefinedName);
  }

  /** A global undefined symbol of that name. */
  undefinedSymbol(name: string): SymbolRef {
    let symbol = this.undefinedNames.get(name);
    symbol ??= this.add({ name, binding: 'global', type: STT_NOTYPE, section: 0, value: 0 });
    this.undefinedNames.set(name, symbol);
    return symbol;
  }
}

function encodeSection(
  object: ObjectCode,
  row: TableRow,
  entries: readonly NewEntry[],
  symbols: SymbolAdditions,
): Pick<NewSection, 'data' | 'relocations'> {
  const { arch } = object;
  const layout = entryLayout(row, arch.wordSize);
  const data = new Uint8Array(entries.length * layout.size);
  const view = new ByteView(data, object.file.header.little, { section: row.name });
  const relocations: NewRelocation[] = [];
  entries.forEach((entry, index) => {
    layout.fields.forEach(({ offset, width }, i) => {
      const target = (i === 0 ? entry.site : entry.more[i - 1]) as FieldTarget;
      const at = index * layout.size + offset;
      const addend = target.offset;
      if (!Number.isSafeInteger(addend)) {
        throw new TextpokeError('elf-malformed', 'the offset of the place is too large for a section', {
          section: row.name,
          offset: at,
        });
      }
      relocations.push({
        offset: at,
        type: width === 8 ? arch.relocations.placeLong : arch.relocations.place32,
        symbol: symbols.of(target),
        addend,
      });
      if (arch.relocations.rela) return;
      if (width === 8) view.setS64(at, addend);
      else view.setU32(at, addend >>> 0);
    });
  });
  return { data, relocations };
}

/** Group sections by the sections that belong to them. */
function groupsByMember(object: ObjectCode): ReadonlyMap<number, number> {
  const { file } = object;
  const groups = new Map<number, number>();
  for (const group of file.ofType(SHT_GROUP)) {
    const words = new ByteView(file.data(group), file.header.little, { section: group.name });
    for (let at = 4; at + 4 <= group.size; at += 4) groups.set(words.u32(at), group.index);
  }
  return groups;
}

/** What an object gets besides its tables: notes about a code section, or (undefined) about the object as a whole. */
export interface NewNotes {
  readonly code: SectionNumber | undefined;
  readonly data: Uint8Array;
}

/** Collects sections to add; each shares the fate of the code that it is about. */
class SectionAdditions {
  readonly sections: NewSection[] = [];
  retained = false;
  private readonly object: ObjectCode;
  private readonly bind: boolean;
  private readonly groupOf: ReadonlyMap<number, number>;
  private readonly ownGroups = new Map<number, number[]>();

  constructor(object: ObjectCode, bind: boolean) {
    this.object = object;
    this.bind = bind;
    this.groupOf = groupsByMember(object);
  }

  /** Adds a section about code; `retain` asks for SHF_GNU_RETAIN where no group keeps it. */
  add(code: SectionNumber, section: NewSection, retain: boolean): void {
    const { name, flags } = this.object.file.section(code, section.name);
    if ((flags & SHF_GROUP) !== 0) {
      const group = this.groupOf.get(code);
      if (group === undefined) {
        throw new TextpokeError('elf-malformed', 'the section has SHF_GROUP, but no group lists it', {
          section: name,
        });
      }
      this.sections.push({ ...section, group });
    } else if (this.bind && isOwnSection(name)) {
      const members = this.ownGroups.get(code) ?? [];
      this.ownGroups.set(code, members);
      members.push(this.sections.length);
      this.sections.push(section);
    } else if (this.bind && retain) {
      this.retained = true;
      this.sections.push({ ...section, flags: section.flags | SHF_GNU_RETAIN });
    } else this.sections.push(section);
  }

  /** The groups of code that had none. */
  groups(symbols: SymbolAdditions): NewGroup[] {
    const { object } = this;
    return [...this.ownGroups].map(([code, newMembers]) => ({
      // Any symbol will do, but one with a name: eu-elflint wants the signature to have one.
      signature:
        object
          .symbolsIn(code)
          .find((i) => !object.symbols.isSectionSymbol(i) && !isNameless(object.arch, object.symbols, i)) ??
        symbols.sectionSymbol(code),
      members: [code],
      newMembers,
    }));
  }
}

/** A section of notes, which linkers keep without a flag unless it is in a group. */
function noteSectionOf(data: Uint8Array): NewSection {
  return {
    name: noteSection,
    type: SHT_NOTE,
    flags: SHF_ALLOC,
    addralign: 4,
    entsize: 0,
    data,
    relocations: [],
  };
}

export type EncodedTables = Pick<ElfChange, 'symbols' | 'sections' | 'groups' | 'osabi'>;

/**
 * Table sections for entries, the symbols that they need and sections of notes, in the order of tables and code
 * sections. With `bind` false (kernel modules, whose loader wants one section a table) tables are plain sections unless
 * their code is in a group.
 */
export function encodeTables(
  object: ObjectCode,
  entries: readonly NewEntry[],
  notes: readonly NewNotes[],
  bind: boolean,
): EncodedTables {
  if (entries.length === 0 && notes.length === 0)
    return { symbols: [], sections: [], groups: [], osabi: undefined };
  const { file } = object;
  const symbols = new SymbolAdditions(object);
  // Names come first, so that symbols are numbered in the order in which their calls were found.
  for (const { more } of entries) {
    for (const target of more) if ('undefinedName' in target) symbols.of(target);
  }
  const byTable = new Map<TableRow, Map<number, NewEntry[]>>();
  for (const entry of entries) {
    const byCode = byTable.get(entry.row) ?? new Map<number, NewEntry[]>();
    byTable.set(entry.row, byCode);
    const list = byCode.get(entry.site.section);
    if (list) list.push(entry);
    else byCode.set(entry.site.section, [entry]);
  }
  const additions = new SectionAdditions(object, bind);
  for (const [row, byCode] of byTable) {
    for (const [code, list] of [...byCode].sort((a, b) => a[0] - b[0])) {
      const section = {
        name: row.name,
        type: SHT_PROGBITS,
        flags: row.flags,
        addralign: object.arch.wordSize === 8 ? row.addralign : 4,
        entsize: row.entsize,
        ...encodeSection(object, row, list, symbols),
      };
      additions.add(code, section, true);
    }
  }
  for (const { code, data } of notes) {
    if (code === undefined) additions.sections.push(noteSectionOf(data));
    else additions.add(code, noteSectionOf(data), false);
  }
  const groups = additions.groups(symbols);
  return {
    symbols: symbols.added,
    sections: additions.sections,
    groups,
    osabi: additions.retained && file.header.osabi === ELFOSABI_NONE ? ELFOSABI_GNU : undefined,
  };
}
