// What dump needs of a file, whether its places are sections with offsets (an object) or addresses (an image).
import type { Arch, InstructionSet } from '../arch/arch.ts';
import type { TableRow } from '../bytes/table.ts';
import type { LineOptions, SourceLines } from '../dwarf/source-lines.ts';
import type { TableKind } from '../kinds/kind.ts';
import type { DumpedPlace, KeyReader } from '../kinds/shown.ts';
import type { Identity } from './groups.ts';
import type { TablePart } from './model.ts';

/** One entry as it stands: its places in the row's order, or why there are none. */
export interface RawEntry<Place> {
  /** Position in the table, all its sections together. */
  readonly index: number;
  readonly fields: readonly Place[] | undefined;
  readonly bytes: Uint8Array;
  /** Zeroed by a linker that discarded the code it named. */
  readonly discarded: boolean;
  readonly problem: string | undefined;
}

export interface RawTable<Place> {
  readonly parts: readonly TablePart[];
  readonly total: number;
  /** In order; those of an image are read each time they are gone through. */
  readonly entries: Iterable<RawEntry<Place>>;
  readonly problems: readonly string[];
  /** Fields hold addresses, not distances. */
  readonly absolute: boolean;
}

/** Code at a place: the bytes it stands in, and where; `address` is what the disassembler is told. */
export interface CodeAt {
  readonly code: Uint8Array;
  readonly offset: number;
  readonly address: number;
  readonly instructions: InstructionSet;
}

export interface TableView<Place> {
  readonly arch: Arch;
  /** Places have addresses: not in an object, where they count from their sections. */
  readonly hasAddresses: boolean;
  read(row: TableRow): RawTable<Place>;
  /** The form of a table in this file; undefined where it has none that can be read. */
  formOf(kind: TableKind): TableRow | undefined;
  /** Names a place. */
  place(place: Place): DumpedPlace;
  /** Source lines of places in code, all at once, in the order of the question. */
  sourceLines(places: readonly Place[], options: LineOptions): SourceLines;
  /** The same number or text for the same place, and for what other objects of an archive call by the same name. */
  identify(place: Place): Identity;
  /** A place in code as a number: places that are next to each other in a section are so here. */
  ordinal(place: Place): number;
  /** The place that its name, as `place` gives it, is counted from: where its function or object begins. */
  startOf(place: Place, named: DumpedPlace): Place;
  /** Bytes of the object whose symbol names a place; 0 where no symbol says. */
  sizeAround(place: Place): number;
  /** True for code that is freed after start-up. */
  isInit(place: Place): boolean;
  /** Bytes of all code, and of init text in it. */
  textSize(): { readonly bytes: number; readonly initBytes: number };
  /** The data of a key. */
  keyReader(key: Place): KeyReader;
  /** Takes the flags out of the low two bits of a key field. */
  splitKey(place: Place): { readonly key: Place; readonly flags: number };
  /** Why no instruction can be read at all. */
  readonly unreadable?: string | undefined;
  /** Undefined where no code is, or none that can be read. */
  codeAt(place: Place): CodeAt | undefined;
  /** Bytes at a place that is data, among code or elsewhere; undefined for code, and where the file has none. */
  dataAt(place: Place, length: number): Uint8Array | undefined;
  /** Where the direct branch at a place goes; undefined for other instructions. */
  branchTarget(place: Place): Place | undefined;
}
