// What is to change in a relocatable object, as plain values: rewrite.ts carries it out.
import type { SectionNumber, SymbolNumber } from '../bytes/named-numbers.ts';

/**
 * A symbol by number. Numbers below the object's symbol count are its own symbols as they stand; a number from
 * there on names `ElfChange.symbols[number - count]`.
 */
export type SymbolRef = SymbolNumber;

export interface NewSymbol {
  /** Empty for a section symbol. */
  readonly name: string;
  readonly binding: 'local' | 'global';
  /** STT_… */
  readonly type: number;
  /** Section number as it stands, or 0 for an undefined symbol. */
  readonly section: SectionNumber;
  /** Section-relative byte offset. */
  readonly value: number;
}

export interface NewRelocation {
  /** Byte offset in the section that is relocated. */
  readonly offset: number;
  readonly type: number;
  readonly symbol: SymbolRef;
  /** r_addend; a REL object has it in the section's bytes instead, put there by whoever made them. */
  readonly addend: number;
}

/** A section to append; its relocations, if any, become a companion .rela or .rel section right behind it. */
export interface NewSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly data: Uint8Array;
  readonly addralign: number;
  readonly entsize: number;
  readonly relocations: readonly NewRelocation[];
  /** Number of the SHT_GROUP section that the section (and its companion) joins. */
  readonly group?: SectionNumber | undefined;
}

/** A section group without GRP_COMDAT: its members live and die together under --gc-sections. */
export interface NewGroup {
  /** A symbol that names the group (sh_info); it decides nothing for a group that is not COMDAT. */
  readonly signature: SymbolRef;
  /** Existing sections that join (their relocation sections join with them). */
  readonly members: readonly SectionNumber[];
  /** Indices into `ElfChange.sections` that join, with their companions. */
  readonly newMembers: readonly number[];
}

export interface ElfChange {
  readonly symbols: readonly NewSymbol[];
  readonly sections: readonly NewSection[];
  readonly groups: readonly NewGroup[];
  /** Bytes written over a section's own, same length. */
  readonly patches: readonly {
    readonly section: SectionNumber;
    readonly offset: number;
    readonly bytes: Uint8Array;
  }[];
  /** Relocations that get another type: relocation section and index in it. Symbol and addend stay. */
  readonly retyped: readonly {
    readonly section: SectionNumber;
    readonly index: number;
    readonly type: number;
  }[];
  /** Sections whose alignment in bytes grows. */
  readonly realigned: readonly { readonly section: SectionNumber; readonly addralign: number }[];
  /** e_ident[EI_OSABI] when it has to differ (SHF_GNU_RETAIN counts for GNU ld only under ELFOSABI_GNU). */
  readonly osabi?: number | undefined;
}

/** True when carrying the change out would leave every byte as it is. */
export function isEmptyChange(change: ElfChange): boolean {
  return (
    change.symbols.length === 0 &&
    change.sections.length === 0 &&
    change.groups.length === 0 &&
    change.patches.length === 0 &&
    change.retyped.length === 0 &&
    change.realigned.length === 0
  );
}
