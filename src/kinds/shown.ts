// Places, instructions and entries as people and JSON have them (schema textpoke.dump/2).
import { keyPrefix } from '../bytes/static-call-names.ts';
import type { SourceLine } from '../dwarf/source-line.ts';

/** A place in an object or an image. Addresses are `0x…` strings; in an object they count from the section. */
export interface DumpedPlace {
  readonly address?: string;
  /** Name of the section that holds the place. */
  readonly section?: string;
  /** Byte offset in the section. */
  readonly offset?: number;
  /** The symbol that names the place, or the nearest in front of it. */
  readonly symbol?: string;
  /** Byte offset from the symbol. */
  readonly symbolOffset?: number;
  /** Of a key in a structure that has no other: the structure's symbol, which commands take for the key. */
  readonly owner?: string;
  /** The symbol is defined in another object. */
  readonly undefined?: true;
  /** The symbol is a common, which the linker places. */
  readonly common?: true;
  /** The symbol is a number, in no section. */
  readonly absolute?: true;
  /**
   * Source of a place in code, where DWARF has it: as the compiler was given the name, so a relative one counts from
   * the directory where it ran.
   */
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
  /** The function that the line is in, by its name of linkage, where what was inlined is asked for. */
  readonly function?: string;
  /** What was inlined there, each called by the one in front; the last has the line of the instruction itself. */
  readonly inlined?: readonly SourceLine[];
}

/** An instruction, or a word of data in its place. */
export interface DumpedInstruction {
  /** In the order of memory, two hexadecimal digits each. */
  readonly bytes: string;
  /** What it does, as far as patching cares: `call`, `jump`, `nop`, `return`, `other`, `data` and so on. */
  readonly kind: string;
  /** As capstone reads it, else its kind in short and where it goes. */
  readonly text: string;
}

/** What the entries of every table have. */
export interface DumpedEntry {
  /** Position in the table, all its sections together. */
  readonly index: number;
  /** What is wrong with the entry; the fields that could be read are there. */
  readonly problem?: string;
}

/** An entry without places: one that a linker zeroed with the code it named, or one that cannot be read. */
export interface DumpedDeadEntry extends DumpedEntry {
  /** The entry as it stands, two hexadecimal digits a byte. */
  readonly bytes: string;
  /** A linker zeroed it with the code it named. */
  readonly discarded?: true;
}

/** True for an entry that has no places. */
export function isDead<Entry extends DumpedEntry>(entry: Entry | DumpedDeadEntry): entry is DumpedDeadEntry {
  return 'bytes' in entry;
}

/** `symbol+0x10`, else the section or the bare address. */
export function placeName(place: DumpedPlace): string {
  if (place.symbol !== undefined) {
    const offset = place.symbolOffset ?? 0;
    if (offset === 0) return place.symbol;
    return `${place.symbol}${offset < 0 ? '-' : '+'}0x${Math.abs(offset).toString(16)}`;
  }
  if (place.section !== undefined) return `${place.section}+0x${(place.offset ?? 0).toString(16)}`;
  return place.address ?? '?';
}

/** A key as people call it: a static call's without the prefix that its key has. */
export function keyName(key: DumpedPlace): string {
  const name = key.owner ?? placeName(key);
  return name.startsWith(keyPrefix) ? name.slice(keyPrefix.length) : name;
}

/** Bytes that patching may change at the site of an entry, as far as the entry shows them. */
export function sizeOfSite(entry: DumpedEntry): number {
  const { length, instruction, byte } = entry as DumpedEntry & {
    readonly length?: number;
    readonly instruction?: DumpedInstruction;
    readonly byte?: string;
  };
  if (length !== undefined) return length;
  return ((instruction?.bytes ?? byte)?.length ?? 0) / 2;
}

/** `file.c:123`, and behind it what was inlined there, if known: `file.c:123 > list.h:45`; undefined without source. */
export function sourceName({ file, line, inlined = [] }: DumpedPlace): string | undefined {
  if (file === undefined) return undefined;
  return [{ file, line }, ...inlined].map((at) => `${at.file}:${at.line}`).join(' > ');
}

/** A file as an entry is decoded from it, whether its places are sections with offsets or addresses. */
export interface EntryReader<Place> {
  /** Names a place in code, which will get its source line. */
  code(place: Place): DumpedPlace;
  /** Names a place in data. */
  data(place: Place): DumpedPlace;
  /** True for a place in init text. */
  isInit(place: Place): boolean;
  /** True for a key that was asked for. */
  accepts(key: DumpedPlace): boolean;
  /** Takes the flags out of a key field; undefined for a key that was not asked for. */
  key(value: Place): { readonly key: DumpedPlace; readonly flags: number } | undefined;
  /** The instruction at a place, or why there is none. */
  instruction(place: Place): { instruction?: DumpedInstruction; problem?: string };
  /** The instruction, or the word of data, at a place, and the four bytes that replace it there. */
  replaced(
    place: Place,
    replacement: Uint8Array,
  ): { instruction?: DumpedInstruction; problem?: string; replacement?: DumpedInstruction };
  /** The byte at a place in code, in hexadecimal digits, or why there is none. */
  byte(place: Place): { byte: string } | { problem: string };
}

/** What a key has in the file: on or off, or the function that its calls go to. */
export interface KeyState {
  /**
   * A static key: `on`, `off`. A static call: `function`, `null` (NULL) or `return 0`. `elsewhere`: another object
   * defines the key. `unknown`: the file does not say, as where a key lies in no data.
   */
  readonly state: 'on' | 'off' | 'function' | 'null' | 'return 0' | 'elsewhere' | 'unknown';
  /** Of a static key: its count, where it is not 0 for `off` and 1 for `on`. */
  readonly enabled?: number;
  /** Of a static call. */
  readonly function?: string;
}

/** The data of a key as the file has it; undefined where it has none. */
export interface KeyReader {
  /** How often a static key is on. */
  count(): number | undefined;
  /** Name of the function that a static call's key holds; null for NULL. */
  function(): string | null | undefined;
}

/** How the cells of a line are made of an entry's parts. */
export interface CellTools {
  /** Flags of the table's entries are those of the build: nothing has booted the file. */
  readonly isAsBuilt: boolean;
  /** Address, name and source line of a site: three cells. */
  site(place: DumpedPlace): string[];
  /** A key, with a word where it is not defined here. */
  key(place: DumpedPlace): string;
  /** Bytes and text: two cells. */
  instruction(instruction: DumpedInstruction | undefined): string[];
}

/** Heads of the three cells of a site. */
export const siteColumns = ['address', 'site', 'source'] as const;
/** Heads of the two cells of an instruction. */
export const instructionColumns = ['bytes', 'instruction'] as const;

/** `tail,init`, or `-` where no flag is set. */
export function flagsText(flags: Readonly<Record<string, boolean>>): string {
  const set = Object.keys(flags).filter((name) => flags[name]);
  return set.join(',') || '-';
}
