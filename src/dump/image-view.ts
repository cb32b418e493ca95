// A linked image for dump: every field is a plain number, every place an address.
import type { Arch } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { hex } from '../bytes/integer.ts';
import { entryLayout, splitKey, type TableRow } from '../bytes/table.ts';
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import { type LineOptions, linesOfAddresses, type SourceLines } from '../dwarf/source-lines.ts';
import { PF_X, SHF_EXECINSTR } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { type ImageEntry, isAbsolute, readImageTable, tableRanges } from '../image/tables.ts';
import type { TableKind } from '../kinds/kind.ts';
import type { DumpedPlace, KeyReader } from '../kinds/shown.ts';
import type { CodeAt, RawEntry, RawTable, TableView } from './view.ts';

/** Enough for any instruction of any machine. */
const longestInstruction = 16;

export class ImageView implements TableView<number> {
  readonly arch: Arch;
  readonly hasAddresses = true;
  private readonly image: Image;
  private readonly debug: DebugPlaces | undefined;

  readonly unreadable: string | undefined;

  constructor(image: Image, debug?: DebugPlaces) {
    this.image = image;
    this.debug = debug;
    this.arch = image.arch;
    this.unreadable = image.unreadable;
  }

  read(row: TableRow): RawTable<number> {
    const { image } = this;
    const layout = entryLayout(row, this.arch.wordSize);
    let found: Iterable<ImageEntry>;
    let parts: RawTable<number>['parts'];
    try {
      parts = tableRanges(image, row).map(({ start, end }) => ({
        section: image.sectionAt(start)?.name ?? row.name,
        address: hex(start),
        entries: (end - start) / layout.size,
      }));
      found = readImageTable(image, row);
    } catch (error) {
      // Where a table begins and ends is all there is to go by: without it, no entry can be told.
      if (!(error instanceof TextpokeError)) throw error;
      return { parts: [], total: 0, entries: [], problems: [error.message], absolute: false };
    }
    const rawOf = ({ address, fields }: ImageEntry, index: number): RawEntry<number> => {
      const discarded = layout.fields.every(
        ({ offset, plain, absolute }, i) => fields[i] === (plain || absolute ? 0 : address + offset),
      );
      const inexact = layout.fields.find((_, i) => !Number.isSafeInteger(fields[i]));
      return {
        index,
        fields: discarded || inexact ? undefined : fields,
        bytes: image.read(address, layout.size),
        discarded,
        problem:
          inexact && `field ${inexact.name} of entry ${index} names an address outside the address space`,
      };
    };
    function* entries(): Generator<RawEntry<number>> {
      let index = 0;
      for (const entry of found) yield rawOf(entry, index++);
    }
    const total = parts.reduce((sum, part) => sum + part.entries, 0);
    const absolute = isAbsolute(image, row);
    return { parts, total, entries: { [Symbol.iterator]: entries }, problems: [], absolute };
  }

  formOf({ table, formIn }: TableKind): TableRow {
    return formIn?.(this.image) ?? table;
  }

  place(address: number): DumpedPlace {
    const { image } = this;
    const section = image.sectionAt(address);
    const near = image.contains(address) ? image.symbolAt(address) : undefined;
    const offset = section && address - section.addr;
    // In a stripped image the nearest symbol may stand sections away: it names nothing here.
    const named = near && (offset === undefined || near.offset <= offset) ? near : undefined;
    // Field by field: there are three places in an entry, and a spread costs more than to find their names.
    const place: { -readonly [Field in keyof DumpedPlace]: DumpedPlace[Field] } = { address: hex(address) };
    if (section) {
      place.section = section.name;
      place.offset = address - section.addr;
    }
    if (named) {
      place.symbol = named.name;
      place.symbolOffset = named.offset;
    }
    return place;
  }

  sourceLines(addresses: readonly number[], options: LineOptions): SourceLines {
    return linesOfAddresses(this.image.file, addresses, this.debug, options);
  }

  identify(address: number): number {
    return address;
  }

  ordinal(address: number): number {
    return address;
  }

  startOf(address: number, { symbolOffset = 0 }: DumpedPlace): number {
    return address - symbolOffset;
  }

  sizeAround(address: number): number {
    return this.image.symbolAt(address)?.size ?? 0;
  }

  isInit(address: number): boolean {
    return this.image.isInitText(address);
  }

  textSize(): { bytes: number; initBytes: number } {
    const { image } = this;
    let [bytes, initBytes] = [0, 0];
    for (const { address, size } of image.code) {
      bytes += size;
      if (image.isInitText(address)) initBytes += size;
    }
    return { bytes, initBytes };
  }

  keyReader(key: number): KeyReader {
    const { image } = this;
    return {
      count: () => (image.contains(key, 4) ? image.readS32(key) : undefined),
      function: () => {
        if (!image.contains(key, this.arch.wordSize)) return undefined;
        const pointer = image.readPointer(key);
        if (pointer.kind === 'external') return pointer.name;
        return pointer.address === 0 ? null : image.describe(pointer.address);
      },
    };
  }

  splitKey(address: number): { key: number; flags: number } {
    return splitKey(address);
  }

  codeAt(address: number): CodeAt | undefined {
    if (!this.isCode(address) || this.unreadable !== undefined) return undefined;
    const code = this.image.readUpTo(address, longestInstruction);
    return { code, offset: 0, address, instructions: this.image.instructionsAt(address) };
  }

  dataAt(address: number, length: number): Uint8Array | undefined {
    const { image } = this;
    return image.isData(address, length) ? image.read(address, length) : undefined;
  }

  private isCode(address: number): boolean {
    const section = this.image.sectionAt(address);
    if (section) return (section.flags & SHF_EXECINSTR) !== 0;
    const segment = this.image.segmentAt(address);
    return segment !== undefined && (segment.flags & PF_X) !== 0 && address < segment.vaddr + segment.filesz;
  }

  branchTarget(address: number): number | undefined {
    const at = this.codeAt(address);
    if (!at) return undefined;
    const { kind, displacement } = at.instructions.readInstruction(at.code, at.offset, address);
    const isBranch = kind === 'jump' || kind === 'call' || kind === 'conditional jump';
    return isBranch ? placeOf(this.arch, this.image.addressAt(address, displacement)) : undefined;
  }
}
