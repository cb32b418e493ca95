// A relocatable object for dump: every field is a relocation, every place a section and an offset.

import type { Arch } from '../arch/arch.ts';
import { isAllData, isNameless } from '../arch/code-map.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { hex } from '../bytes/integer.ts';
import { entryLayout, splitKey, type TableRow } from '../bytes/table.ts';
import { s32In } from '../bytes/view.ts';
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import { type LineOptions, linesOfPlaces, type SourceLines } from '../dwarf/source-lines.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import { sectionAbsolute, sectionCommon } from '../elf/symbols.ts';
import type { TableKind } from '../kinds/kind.ts';
import { type DumpedPlace, type KeyReader, placeName } from '../kinds/shown.ts';
import { targetOfBranch } from '../object/branches.ts';
import type { CodeSection, ObjectCode, Place } from '../object/object-code.ts';
import { readObjectTable, tableSections } from '../object/tables.ts';
import type { CodeAt, RawEntry, RawTable, TableView } from './view.ts';

export class ObjectView implements TableView<Place> {
  readonly arch: Arch;
  readonly hasAddresses = false;
  private readonly object: ObjectCode;
  private readonly debug: DebugPlaces | undefined;
  /** How many bytes of sections lie in front of each section. */
  private readonly starts: readonly number[];
  private readonly code: ReadonlyMap<number, CodeSection>;

  constructor(object: ObjectCode, debug?: DebugPlaces) {
    this.object = object;
    this.debug = debug;
    this.arch = object.arch;
    let start = 0;
    this.starts = object.file.sections.map(({ size }) => {
      const own = start;
      start += size;
      return own;
    });
    this.code = new Map(object.codeSections.map((code) => [code.section.index, code]));
  }

  read(row: TableRow): RawTable<Place> {
    const { object } = this;
    const { size } = entryLayout(row, this.arch.wordSize);
    const parts: RawTable<Place>['parts'][number][] = [];
    const entries: RawEntry<Place>[] = [];
    const problems: string[] = [];
    const firstIndex = new Map<number, number>();
    let total = 0;
    for (const section of tableSections(object, row)) {
      const count = Math.floor(section.size / size);
      firstIndex.set(section.index, total);
      parts.push({ section: section.name, number: section.index, entries: count });
      total += count;
    }
    const bytesOf = (section: number, index: number) =>
      object.file.data(object.file.section(section, row.name)).subarray(index * size, (index + 1) * size);
    const readable = readObjectTable(object, row, ({ section, index, error }) => {
      if (index === undefined) problems.push(error.message);
      else {
        const bytes = bytesOf(section.index, index);
        const discarded =
          bytes.every((byte) => byte === 0) && !this.isRelocated(section.index, index * size, size);
        entries.push({
          index: (firstIndex.get(section.index) as number) + index,
          fields: undefined,
          bytes,
          discarded,
          problem: discarded ? undefined : error.message,
        });
      }
    });
    for (const { section, index, fields } of readable) {
      const inexact = row.fields.find((_, i) => !Number.isSafeInteger(fields[i]?.offset));
      entries.push({
        index: (firstIndex.get(section.index) as number) + index,
        fields: inexact ? undefined : fields,
        bytes: bytesOf(section.index, index),
        discarded: false,
        problem: inexact && `field ${inexact.name} of entry ${index} names a place that no section can have`,
      });
    }
    entries.sort((a, b) => a.index - b.index);
    return { parts, total: entries.length, entries, problems, absolute: readable[0]?.absolute === true };
  }

  /** Of the tables that a kernel's own tools make, those with distances alone. */
  formOf({ table, formIn }: TableKind): TableRow | undefined {
    return formIn || table.fields.some(({ absolute }) => absolute) ? undefined : table;
  }

  private isRelocated(section: number, offset: number, size: number): boolean {
    const fields = this.object.fieldRelocations(section);
    for (let at = offset; at < offset + size; at++) if (fields.has(at)) return true;
    return false;
  }

  place({ section, offset, symbol }: Place): DumpedPlace {
    const { object } = this;
    if (section <= 0) {
      const own = section === 0 ? 0 : object.placeOfSymbol(symbol);
      const named = { symbol: object.symbolName(symbol), symbolOffset: offset - own };
      if (section === sectionCommon) return { ...named, common: true };
      if (section === sectionAbsolute) return { address: hex(offset), ...named, absolute: true };
      return { ...named, undefined: true };
    }
    const name = object.file.sections[section]?.name ?? `section ${section}`;
    const near = this.symbolOf({ section, offset, symbol });
    const place = { address: hex(offset), section: name, offset };
    if (near === undefined) return place;
    const symbolOffset = offset - object.placeOfSymbol(near);
    return { ...place, symbol: object.symbols.name(near), symbolOffset };
  }

  /** The symbol that names a place in a section. */
  private symbolOf({ section, offset, symbol }: Place): number | undefined {
    const { object } = this;
    const isNamed =
      symbol > 0 &&
      object.symbolName(symbol) !== object.file.sections[section]?.name &&
      !isNameless(object.arch, object.symbols, symbol);
    return isNamed ? symbol : object.symbolAt(section, offset);
  }

  sourceLines(places: readonly Place[], options: LineOptions): SourceLines {
    return linesOfPlaces(this.object.file, places, this.debug, options);
  }

  identify(place: Place): number | string {
    const { symbols } = this.object;
    const { section, offset, symbol } = place;
    const near = section > 0 ? this.symbolOf(place) : symbol;
    const isGlobal = near !== undefined && near >= symbols.firstGlobal;
    if (section > 0 && !isGlobal) return this.ordinal(place);
    const start = section === 0 || near === undefined ? 0 : this.object.placeOfSymbol(near);
    return `${near === undefined ? '' : this.object.symbolName(near)}+${offset - start}`;
  }

  ordinal({ section, offset }: Place): number {
    return (this.starts[section] ?? 0) + offset;
  }

  startOf(place: Place, { symbolOffset = 0 }: DumpedPlace): Place {
    return { ...place, offset: place.offset - symbolOffset };
  }

  sizeAround(place: Place): number {
    const near = place.section > 0 ? this.symbolOf(place) : undefined;
    return near === undefined ? 0 : (this.object.symbols.size[near] as number);
  }

  isInit({ section }: Place): boolean {
    return isInitSection(this.object.file.sections[section]?.name ?? '');
  }

  textSize(): { bytes: number; initBytes: number } {
    let [bytes, initBytes] = [0, 0];
    for (const { section } of this.object.codeSections) {
      bytes += section.size;
      if (isInitSection(section.name)) initBytes += section.size;
    }
    return { bytes, initBytes };
  }

  keyReader({ section, offset }: Place): KeyReader {
    const { object } = this;
    const { wordSize } = this.arch;
    const { little } = object.file.header;
    const found = section > 0 ? object.file.sections[section] : undefined;
    // Nothing but .bss has no bytes of its own; there they are zeros.
    const dataOf = (length: number): Uint8Array | undefined => {
      if (!found || offset < 0 || offset + length > found.size) return undefined;
      if (found.type === SHT_NOBITS) return new Uint8Array(length);
      return object.file.data(found).subarray(offset, offset + length);
    };
    return {
      count: () => {
        const data = dataOf(4);
        return data && s32In(data, 0, little);
      },
      function: () => {
        const data = dataOf(wordSize);
        if (!data) return undefined;
        const field = object.fieldRelocations(section).get(offset);
        if (!field) return data.every((byte) => byte === 0) ? null : undefined;
        const { relocations, index } = field;
        const addend = relocations.rela ? (relocations.addend[index] as number) : s32In(data, 0, little);
        const place = object.placeOf(relocations.symbol[index] as number, addend);
        return placeName(this.place({ ...place, offset: placeOf(this.arch, place.offset) }));
      },
    };
  }

  splitKey(place: Place): { key: Place; flags: number } {
    const { key, flags } = splitKey(place.offset);
    return { key: { ...place, offset: key }, flags };
  }

  codeAt({ section, offset }: Place): CodeAt | undefined {
    const found = this.code.get(section);
    if (!found || offset < 0 || offset >= found.code.length) return undefined;
    const instructions = this.object.instructionsAt(found, offset);
    return { code: found.code, offset, address: offset, instructions };
  }

  dataAt({ section, offset }: Place, length: number): Uint8Array | undefined {
    const found = section > 0 ? this.object.file.sections[section] : undefined;
    const code = this.code.get(section);
    if (code && !isAllData(this.object.codeMap(code.section), offset, length)) return undefined;
    if (!found || found.type === SHT_NOBITS || offset < 0 || offset + length > found.size) return undefined;
    return this.object.file.data(found).subarray(offset, offset + length);
  }

  branchTarget({ section, offset }: Place): Place | undefined {
    const code = this.code.get(section);
    return code && targetOfBranch(this.object, code, offset);
  }
}

/** True for the code of a kernel's start-up, of a module's too. */
function isInitSection(name: string): boolean {
  return name === '.init.text' || name.startsWith('.init.text.');
}
