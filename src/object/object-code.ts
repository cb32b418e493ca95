// A relocatable object as the site finders see it: its code sections with what symbols and relocations say.

import type { Arch, InstructionSet } from '../arch/arch.ts';
import { type CodeMap, codeMapOf, isNameless, symbolPlace } from '../arch/code-map.ts';
import { SymbolOrder } from '../arch/symbol-order.ts';
import { hex } from '../bytes/integer.ts';
import type { SectionNumber, SymbolNumber } from '../bytes/named-numbers.ts';
import { ET_REL, SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STT_FILE, STT_SECTION } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import type { Relocations } from '../elf/relocations.ts';
import { type SymbolTable, sectionUndefined } from '../elf/symbols.ts';
import { TextpokeError } from '../errors.ts';

/**
 * What alternatives are copied from (arch/x86/kernel/alternative.c): code that never runs where it stands. An entry
 * would not tell of the copies. Objtool lists none there either (annotate_call_site), before Linux 6.15.
 */
const templateSection = '.altinstr_replacement';

/** A place in an object: a section and a byte offset in it, or (section 0) an undefined symbol plus an offset. */
export interface Place {
  readonly section: SectionNumber;
  /** Section-relative byte offset; with section 0 the offset from the symbol. */
  readonly offset: number;
  /** The symbol that a relocation used to name the place. */
  readonly symbol: SymbolNumber;
}

export interface CodeSection {
  readonly section: Section;
  readonly code: Uint8Array;
  readonly relocations: readonly Relocations[];
}

/** One relocation: which table, and which of its rows. */
export interface FieldRelocation {
  readonly relocations: Relocations;
  readonly index: number;
}

export class ObjectCode {
  readonly file: ElfFile;
  readonly arch: Arch;
  readonly symbols: SymbolTable;
  readonly codeSections: readonly CodeSection[];
  /** Those whose instructions run where they stand, so that they may hold sites. */
  readonly siteSections: readonly CodeSection[];
  private readonly codeNumbers: ReadonlySet<number>;
  private readonly maps = new Map<number, CodeMap>();
  private readonly fields = new Map<number, Map<number, FieldRelocation>>();
  private readonly orders = new Map<number, SymbolOrder>();
  private bySection: Map<number, number[]> | undefined;

  /** Errors: `not-relocatable` for anything but ET_REL, `elf-malformed` without a symbol table. */
  constructor(file: ElfFile, arch: Arch) {
    if (file.header.type !== ET_REL) {
      throw new TextpokeError(
        'not-relocatable',
        'the file is a linked image; annotate the objects before the link',
      );
    }
    this.file = file;
    this.arch = arch;
    const symtab = file.symtab;
    if (!symtab) {
      throw new TextpokeError(
        'elf-malformed',
        'the object has no symbol table; annotate the object before strip',
      );
    }
    this.symbols = file.symbols(symtab);
    this.codeSections = file.sections
      .filter(
        (s) => s.type === SHT_PROGBITS && (s.flags & SHF_EXECINSTR) !== 0 && (s.flags & SHF_ALLOC) !== 0,
      )
      .map((section) => ({
        section,
        code: file.data(section),
        relocations: file.relocationSections(section.index).map((r) => file.relocations(r)),
      }));
    this.siteSections = this.codeSections.filter(({ section }) => section.name !== templateSection);
    this.requireAddends();
    this.codeNumbers = new Set(this.codeSections.map((code) => code.section.index));
  }

  /** Addends have to be where the machine's psABI puts them: everything here reads them there. */
  private requireAddends(): void {
    const { rela } = this.arch.relocations;
    for (const { section, relocations } of this.codeSections) {
      if (relocations.every((table) => table.rela === rela)) continue;
      throw new TextpokeError(
        'elf-unsupported',
        `the section has ${rela ? 'SHT_REL' : 'SHT_RELA'} relocations; objects for ${this.arch.name} must have ${rela ? 'SHT_RELA' : 'SHT_REL'}`,
        { section: section.name },
      );
    }
  }

  /** Symbol numbers by the section they are defined in, in table order. */
  symbolsIn(section: SectionNumber): readonly SymbolNumber[] {
    if (!this.bySection) {
      this.bySection = new Map();
      for (let i = 1; i < this.symbols.count; i++) {
        const defined = this.symbols.section[i] as number;
        // No offset is known of a value that no number holds.
        if (defined <= 0 || this.symbols.type(i) === STT_FILE || Number.isNaN(this.symbols.value[i]))
          continue;
        const list = this.bySection.get(defined);
        if (list) list.push(i);
        else this.bySection.set(defined, [i]);
      }
    }
    return this.bySection.get(section) ?? [];
  }

  /** What the symbols of a section say about code and data in it. */
  codeMap(section: Section): CodeMap {
    let map = this.maps.get(section.index);
    if (!map) {
      map = codeMapOf(
        this.arch,
        this.symbols,
        this.symbolsIn(section.index),
        (i) => this.placeOfSymbol(i),
        section.size,
      );
      this.maps.set(section.index, map);
    }
    return map;
  }

  /** True for the number of a code section. */
  isCode(section: SectionNumber): boolean {
    return this.codeNumbers.has(section);
  }

  /** The instruction set of the code at byte `offset` of a code section. */
  instructionsAt(code: CodeSection, offset: number): InstructionSet {
    return this.arch.instructionsAt(this.codeMap(code.section), offset);
  }

  /** Section-relative place that a symbol names. */
  placeOfSymbol(symbol: SymbolNumber): number {
    return symbolPlace(this.arch, this.symbols, symbol);
  }

  /** True when an instruction starts at byte `offset` of a code section. */
  isInstructionStart(code: CodeSection, offset: number): boolean {
    return this.arch.startsInstruction(code.code, this.codeMap(code.section), offset);
  }

  /** Relocations of a section by the byte offset they fill; those of type NONE fill nothing. */
  fieldRelocations(section: SectionNumber): ReadonlyMap<number, FieldRelocation> {
    let map = this.fields.get(section);
    if (!map) {
      map = new Map();
      for (const table of this.file.relocationSections(section)) {
        const relocations = this.file.relocations(table);
        for (let index = 0; index < relocations.count; index++) {
          if (relocations.type[index] === this.arch.relocations.none) continue;
          map.set(relocations.offset[index] as number, { relocations, index });
        }
      }
      this.fields.set(section, map);
    }
    return map;
  }

  /** The place that symbol + addend names. */
  placeOf(symbol: SymbolNumber, addend: number): Place {
    const section = this.symbols.section[symbol] as number;
    if (section === sectionUndefined) return { section: 0, offset: addend, symbol };
    return { section, offset: this.placeOfSymbol(symbol) + addend, symbol };
  }

  /** The section symbol of a section, if the assembler left one that stands for the section's start. */
  sectionSymbol(section: SectionNumber): SymbolNumber | undefined {
    return this.symbolsIn(section).find(
      (i) => this.symbols.type(i) === STT_SECTION && this.symbols.value[i] === 0,
    );
  }

  /** A symbol's name, the section's for a section symbol. */
  symbolName(symbol: SymbolNumber): string {
    if (this.symbols.isSectionSymbol(symbol)) {
      return this.file.sections[this.symbols.section[symbol] as number]?.name ?? '';
    }
    return this.symbols.name(symbol);
  }

  /** The symbol that names a place of a section (`SymbolOrder`); undefined where none does. */
  symbolAt(section: SectionNumber, offset: number): SymbolNumber | undefined {
    let order = this.orders.get(section);
    if (!order) {
      const { arch, symbols } = this;
      const isNamed = (i: number) => symbols.name(i) !== '' && !isNameless(arch, symbols, i);
      const members = this.symbolsIn(section).filter((i) => !symbols.isSectionSymbol(i) && isNamed(i));
      order = new SymbolOrder(arch, symbols, members);
      this.orders.set(section, order);
    }
    return order.nameOf(offset);
  }

  /** `symbol+0x1c` for people: the symbol that names the place, else the section's name. */
  describe(section: SectionNumber, offset: number): string {
    const best = this.symbolAt(section, offset);
    if (best === undefined)
      return `${this.file.sections[section]?.name ?? `section ${section}`}+0x${offset.toString(16)}`;
    return `${this.symbols.name(best)}+0x${(offset - this.placeOfSymbol(best)).toString(16)}`;
  }

  /** The same for a place that may lie in no section. */
  describePlace(place: Place): string {
    if (place.section > 0) return this.describe(place.section, place.offset);
    return `${this.symbolName(place.symbol)}+${hex(place.offset)}`;
  }
}

/** True when two places are one; undefined symbols are told apart by their numbers. */
export function isSamePlace(a: Place, b: Place): boolean {
  return a.section === b.section && a.offset === b.offset && (a.section !== 0 || a.symbol === b.symbol);
}
