// Opens the units of .debug_info: a stretch of the file at a time, so that a kernel's need not be held.
import { ByteView } from '../bytes/view.ts';
import type { Section } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import { type Abbreviations, largestTable, readAbbreviations } from './abbreviations.ts';
import type { InfoFile } from './info-file.ts';
import { InfoUnit, readHeader, slotOf, type UnitHeader } from './info-unit.ts';
import { readLength, type UnitFrame } from './line-header.ts';
import { contentParts } from './sections.ts';

/** A section of units. */
interface Parts {
  readonly size: number;
  read(at: number, size: number): Uint8Array;
}

/** Bytes in which a unit's header stands. */
const headerSize = 48;
/** Bytes in which its first entry mostly stands too. */
const headSize = 1024;

export class InfoReader {
  readonly info: InfoFile;
  private readonly sections = new Map<number, Parts>();
  /** Tables of abbreviations, with their bytes in the file: units that stand together may share one. */
  private readonly tables = new Map<string, { readonly table: Abbreviations; readonly size: number }>();
  private kept = 0;
  /** Bytes of abbreviations that may still be decoded: units may share tables, but not each all of them. */
  private left: number | undefined;

  constructor(info: InfoFile) {
    this.info = info;
  }

  private partsOf(section: Section): Parts {
    let parts = this.sections.get(section.index);
    if (!parts) {
      parts = contentParts(this.info.file, section);
      this.sections.set(section.index, parts);
    }
    return parts;
  }

  private view(section: Section, at: number, size: number): ByteView {
    const place = { section: section.name, offset: at };
    return new ByteView(this.partsOf(section).read(at, size), this.info.file.header.little, place);
  }

  /** Where the units of a section are. Errors: `elf-malformed`, `elf-truncated` when nothing says where the next one is. */
  *frames(section: Section): Generator<UnitFrame> {
    const { size } = this.partsOf(section);
    for (let at = 0; at < size; ) {
      const frame = this.frameAt(section, at);
      // Sections that are put together may be padded.
      if (frame.end > frame.body) yield frame;
      at = frame.end;
    }
  }

  /** The unit that begins at byte `at`. Errors as `frames`. */
  frameAt(section: Section, at: number): UnitFrame {
    const { size } = this.partsOf(section);
    const frame = readLength(this.view(section, at, headerSize), 0);
    const end = at + frame.end;
    if (end > size)
      throw new TextpokeError('elf-truncated', `unit_length leads to byte ${end}; there are ${size} bytes`);
    return { ...frame, offset: at, body: at + frame.body, end };
  }

  /** A unit whose first entry has been read. The entries behind it may be cut, unless `whole` is given. Errors: `elf-…`. */
  open(section: Section, frame: UnitFrame, whole: boolean): InfoUnit {
    const size = frame.end - frame.offset;
    const read = whole ? size : Math.min(size, headSize);
    const view = this.view(section, frame.offset, read);
    const header = readHeader(this.info, section, frame, view);
    const unit = new InfoUnit(this.info, section, header, view, this.abbreviationsOf(header));
    try {
      unit.read(header.entries);
    } catch (error) {
      if (read === size || !(error instanceof TextpokeError)) throw error;
      return this.open(section, frame, true);
    }
    return unit;
  }

  private abbreviationsOf({ abbreviations, version, addressSize, wide }: UnitHeader): Abbreviations {
    const { section, offset } = abbreviations;
    const key = [section.index, offset, version, addressSize, wide].join(' ');
    const known = this.tables.get(key);
    if (known) return known.table;
    const { bytes } = this.info.load(section).view;
    this.left ??= 1000 + 16 * bytes.length;
    if (this.left < 0) throw new TextpokeError('elf-malformed', 'units share too many abbreviations');
    // A table that cannot be read may have cost as much.
    let size = Math.max(0, Math.min(bytes.length - offset, largestTable));
    let table: Abbreviations;
    try {
      const read = readAbbreviations(bytes, offset, { version, addressSize, wide }, slotOf);
      table = read.table;
      size = read.end - offset;
    } finally {
      this.left -= size;
    }
    for (const [oldest, { size: freed }] of this.tables) {
      if (this.kept + size <= largestTable) break;
      this.tables.delete(oldest);
      this.kept -= freed;
    }
    this.tables.set(key, { table, size });
    this.kept += size;
    return table;
  }
}
