// Objects made by hand, for what no compiler makes, and changes that touch everything a rewrite can touch.
import { ByteView } from '../../src/bytes/view.ts';
import type { ElfChange } from '../../src/elf/change.ts';
import { SHT_NULL, SHT_STRTAB, SHT_SYMTAB, STT_NOTYPE, STT_SECTION } from '../../src/elf/constants.ts';
import type { ElfFile, Section } from '../../src/elf/file.ts';
import { type OutputSection, writeElf } from '../../src/elf/layout.ts';
import { Sym } from '../../src/elf/records.ts';
import { StringAppender } from '../../src/elf/string-appender.ts';

export const noChange: ElfChange = {
  symbols: [],
  sections: [],
  groups: [],
  patches: [],
  retyped: [],
  realigned: [],
};

export interface MadeSymbol {
  readonly name?: string;
  readonly section?: number;
  readonly value?: number;
  readonly size?: number;
  /** STB_… << 4 | STT_… */
  readonly info?: number;
  /** st_shndx where it is not the section's number. */
  readonly shndx?: number;
}

export type MadeSection = Partial<OutputSection> & { readonly name: string };

export interface Made {
  readonly class?: 32 | 64;
  readonly little?: boolean;
  readonly machine?: number;
  readonly type?: number;
  /** From section 1 on; .symtab, .strtab and .shstrtab follow them. */
  readonly sections?: readonly MadeSection[];
  /** Behind the null symbol. */
  readonly symbols?: readonly MadeSymbol[];
  /** sh_info of .symtab; counted from the bindings by default. */
  readonly firstGlobal?: number;
  /** Overrides by section name, for what must not be. */
  readonly broken?: Readonly<Record<string, Partial<OutputSection>>>;
}

/** The number that .symtab gets behind `count` sections of one's own. */
export const symtabAfter = (count: number): number => count + 1;

/** An object file of these sections and symbols. */
export function makeObject(made: Made): Uint8Array {
  const bits = made.class ?? 64;
  const little = made.little ?? true;
  const names = new StringAppender(new Uint8Array(0));
  const strings = new StringAppender(new Uint8Array(0));
  const symbols = [{}, ...(made.symbols ?? [])] as MadeSymbol[];
  const format = Sym[bits];
  const records = new Uint8Array(symbols.length * format.size);
  const view = new ByteView(records, little);
  symbols.forEach((symbol, i) => {
    format.write(view, i * format.size, {
      name: strings.offsetOf(symbol.name ?? ''),
      info: symbol.info ?? 0,
      other: 0,
      shndx: symbol.shndx ?? symbol.section ?? 0,
      value: symbol.value ?? 0,
      size: symbol.size ?? 0,
    });
  });
  const own = made.sections ?? [];
  const all: MadeSection[] = [
    { name: '', type: SHT_NULL, addralign: 0 },
    ...own,
    {
      name: '.symtab',
      type: SHT_SYMTAB,
      data: records,
      link: own.length + 2,
      info: made.firstGlobal ?? 1 + symbols.slice(1).filter((s) => (s.info ?? 0) >> 4 === 0).length,
      addralign: bits / 8,
      entsize: format.size,
    },
    { name: '.strtab', type: SHT_STRTAB, data: strings.bytes() },
    { name: '.shstrtab', type: SHT_STRTAB },
  ];
  for (const { name } of all) names.offsetOf(name);
  const sections = all.map((section, i): OutputSection => {
    const data = section.data ?? (i === all.length - 1 ? names.bytes() : new Uint8Array(0));
    return {
      type: 1,
      flags: 0,
      addr: 0,
      link: 0,
      info: 0,
      addralign: 1,
      entsize: 0,
      ...section,
      nameOffset: names.offsetOf(section.name),
      data,
      size: section.size ?? data.length,
      ...made.broken?.[section.name],
    };
  });
  const header = {
    class: bits,
    little,
    ident: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    type: made.type ?? 1,
    machine: made.machine ?? 62,
    flags: 0,
    entry: 0,
    shstrndx: all.length - 1,
  };
  return writeElf(header, sections, undefined);
}

/** 32-bit words in one byte order. */
export function words(little: boolean, ...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new ByteView(bytes, little);
  values.forEach((value, i) => {
    view.setU32(i * 4, value);
  });
  return bytes;
}

/** First section of a name; throws where there is none. */
export function named(file: ElfFile, name: string): Section {
  const section = file.named(name);
  if (!section) throw new Error(`${file.path} has no section ${name}`);
  return section;
}

/**
 * A change that inserts a section symbol, a named local and two globals, a section of its own and one in each
 * group, both with relocations against old and new symbols, and binds one more section into a new group.
 */
export function changeEverything(file: ElfFile): ElfChange {
  const symtab = file.symtab as Section;
  const { count, firstGlobal } = file.symbols(symtab);
  const code = named(file, '.text').index;
  const anyType = relocationTypes(file);
  const groups = file.ofType(17);
  const table = (group?: number) => ({
    name: '__tp_table',
    type: 1,
    flags: 2,
    data: new Uint8Array(24),
    addralign: 8,
    entsize: 8,
    group,
    relocations: [
      { offset: 0, type: anyType, symbol: count, addend: 4 },
      { offset: 4, type: anyType, symbol: count + 1, addend: -4 },
      { offset: 8, type: anyType, symbol: count + 2, addend: 0 },
      ...(firstGlobal > 1 ? [{ offset: 12, type: anyType, symbol: firstGlobal - 1, addend: 8 }] : []),
      ...(firstGlobal < count ? [{ offset: 16, type: anyType, symbol: count - 1, addend: 0x7fffffff }] : []),
    ],
  });
  return {
    symbols: [
      { name: 'tp_new_global', binding: 'global', type: STT_NOTYPE, section: 0, value: 0 },
      { name: '', binding: 'local', type: STT_SECTION, section: code, value: 0 },
      { name: 'tp_new_local', binding: 'local', type: STT_NOTYPE, section: code, value: 0 },
      { name: 'tp_other_global', binding: 'global', type: STT_NOTYPE, section: 0, value: 0 },
    ],
    sections: [
      table(),
      ...groups.map((group) => table(group.index)),
      { ...table(), name: '__tp_bound', relocations: [] },
    ],
    groups: [{ signature: count + 2, members: [code], newMembers: [groups.length + 1] }],
    patches: [],
    retyped: [],
    realigned: [],
  };
}

/** The type of the first relocation that is not of type 0; 1 where there is none. */
function relocationTypes(file: ElfFile): number {
  for (const section of [...file.ofType(4), ...file.ofType(9)]) {
    const found = file.relocations(section).type.find((type) => type !== 0);
    if (found !== undefined) return found;
  }
  return 1;
}
