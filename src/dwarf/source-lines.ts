// Source file and line of places in code, from the line tables of DWARF (.debug_line, versions 2 to 5). All places
// are asked for at once: one pass over the tables answers them.
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import { ET_REL, SHF_ALLOC, SHF_EXECINSTR } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { StringTable } from '../elf/strings.ts';
import { TextpokeError } from '../errors.ts';
import { DW_FORM_line_strp, DW_FORM_strp_sup } from './constants.ts';
import { DebugFiles, type DebugPlaces, pairCode } from './debug-files.ts';
import { readFrame, readLineUnit, type UnitFrame } from './line-header.ts';
import { LineNames, type StringReader } from './line-names.ts';
import { runLineProgram, type SequenceStart } from './line-program.ts';
import { debugSections, FieldRelocations, readContent } from './sections.ts';
import { WantedPlaces } from './wanted.ts';

/** A line of source. */
export interface SourceLine {
  /** As the compiler was given it: absolute, or relative to the directory where it ran. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface SourceLines {
  /** One for each place, in the order of the question; undefined where the tables have none. */
  readonly lines: readonly (SourceLine | undefined)[];
  /** Why some are missing, if line tables cannot be read. */
  readonly problem: string | undefined;
}

/**
 * The lines of addresses of a linked image, in any order. A file without line tables may have them in a debug file, if
 * it is said where that may lie. Nothing in DWARF makes it fail, and nothing in a debug file.
 */
export function linesOfAddresses(
  file: ElfFile,
  addresses: readonly number[],
  places?: DebugPlaces,
): SourceLines {
  return search(
    file,
    places,
    addresses,
    (address) => address,
    () => (offset) => ({ section: 0, offset }),
  );
}

/** A place in an object: a section's number and a byte offset. */
interface ObjectPlace {
  readonly section: number;
  readonly offset: number;
}

/** The same for places in an object. Its debug file may have other numbers for its sections. */
export function linesOfPlaces(
  file: ElfFile,
  places: readonly ObjectPlace[],
  debugPlaces?: DebugPlaces,
): SourceLines {
  return search(
    file,
    debugPlaces,
    places,
    ({ offset }) => offset,
    (debug) => {
      if (debug === file) return (place) => place;
      const numbers = new Map<number, number>();
      for (const [{ index }, other] of pairCode(file, debug)) if (other) numbers.set(index, other.index);
      return ({ section, offset }) => ({ section: numbers.get(section) ?? -1, offset });
    },
  );
}

/** Asks the file that has the line tables. */
function search<Place>(
  file: ElfFile,
  places: DebugPlaces | undefined,
  asked: readonly Place[],
  offsetOf: (place: Place) => number,
  placesIn: (debug: ElfFile) => (place: Place) => ObjectPlace,
): SourceLines {
  const none = { lines: new Array<undefined>(asked.length).fill(undefined), problem: undefined };
  // To look for a debug file costs system calls, and to make sure of it may cost reading it.
  if (!asked.some((place) => Number.isSafeInteger(offsetOf(place)))) return none;
  const debugFiles = new DebugFiles(places);
  try {
    const debug = debugFiles.withLines(file);
    const { problem } = debugFiles;
    if (!debug) return { ...none, problem: problem && missing(problem) };
    const placeIn = placesIn(debug);
    const lines = new LineSearch(
      debug,
      asked.length,
      (i) => placeIn(asked[i] as Place),
      () => debugFiles.supplementOf(debug),
    );
    return lines.result();
  } finally {
    debugFiles.close();
  }
}

function missing(why: string): string {
  return `source lines are missing: ${why}`;
}

class LineSearch {
  private readonly file: ElfFile;
  private readonly supplement: () => ElfFile;
  private readonly lines: (SourceLine | undefined)[];
  /** By section; an image has one for all, under 0. */
  private readonly wanted = new Map<number, WantedPlaces>();
  /** Where code begins and ends in an image, ascending and apart. */
  private readonly codeStarts: number[] = [];
  private readonly codeEnds: number[] = [];
  /** By section; those that no relocation names by their form. What cannot be read is tried once. */
  private readonly strings = new Map<string, StringTable | TextpokeError>();
  private broken = 0;
  private firstBroken = '';

  /** `supplement` gives the supplementary file; it may throw a TextpokeError. */
  constructor(
    file: ElfFile,
    count: number,
    place: (asker: number) => ObjectPlace,
    supplement: () => ElfFile,
  ) {
    this.file = file;
    this.supplement = supplement;
    this.lines = new Array(count).fill(undefined);
    const askers = new Map<number, number[]>();
    for (let i = 0; i < count; i++) {
      const { section, offset } = place(i);
      if (!Number.isSafeInteger(offset)) continue;
      const list = askers.get(section);
      if (list) list.push(i);
      else askers.set(section, [i]);
    }
    for (const [section, list] of askers) {
      this.wanted.set(section, new WantedPlaces(list, (asker) => place(asker).offset));
    }
    const codeFlags = SHF_ALLOC | SHF_EXECINSTR;
    const code = file.sections.filter((s) => (s.flags & codeFlags) === codeFlags);
    for (const { addr, size } of code.sort((a, b) => a.addr - b.addr)) {
      const last = this.codeEnds.length - 1;
      if (addr <= (this.codeEnds[last] ?? Number.NEGATIVE_INFINITY)) {
        this.codeEnds[last] = Math.max(this.codeEnds[last] as number, addr + size);
      } else {
        this.codeStarts.push(addr);
        this.codeEnds.push(addr + size);
      }
    }
  }

  result(): SourceLines {
    if (this.wanted.size > 0) this.search();
    const others = this.broken > 1 ? ` (and ${this.broken - 1} more)` : '';
    const problem = this.broken > 0 ? missing(`${this.firstBroken}${others}`) : undefined;
    return { lines: this.lines, problem };
  }

  private search(): void {
    for (const section of debugSections(this.file, 'line')) {
      this.guard(
        () => section.name,
        () => this.searchSection(section),
      );
    }
  }

  /** A part that cannot be read is left out and counted. */
  private guard<T>(what: () => string, body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof TextpokeError)) throw error;
      if (this.broken++ === 0) this.firstBroken = `${what()}: ${error.message}`;
      return undefined;
    }
  }

  private searchSection(section: Section): void {
    const bytes = readContent(this.file, section);
    const view = new ByteView(bytes, this.file.header.little);
    const relocations = new FieldRelocations(this.file, section);
    const locate =
      this.file.header.type === ET_REL
        ? (at: number, value: number) => this.locateInObject(relocations, at, value)
        : (_: number, value: number) => this.locateInImage(value);
    const readString: StringReader = (form, at, value) => {
      // Nothing relocates an offset in another file.
      const field = form === DW_FORM_strp_sup ? undefined : relocations.find(at, value);
      return this.stringAt(form, field?.section, field?.offset ?? value);
    };
    let frame: UnitFrame | undefined;
    for (let at = 0; at < bytes.length; at = frame.end) {
      const start = at;
      const what = () => `the unit at byte 0x${start.toString(16)} of ${section.name}`;
      frame = this.guard(what, () => readFrame(view, at));
      if (!frame) return;
      const unit = frame;
      // Sections that are put together may be padded.
      if (unit.end > unit.body) this.guard(what, () => this.searchUnit(view, unit, locate, readString));
    }
  }

  private searchUnit(
    view: ByteView,
    frame: UnitFrame,
    locate: (at: number, value: number) => SequenceStart,
    readString: StringReader,
  ): void {
    const unit = readLineUnit(view, frame);
    const { hits, definedFiles } = runLineProgram(unit, locate);
    if (hits.length === 0) return;
    const names = new LineNames(unit, definedFiles, readString);
    for (let i = 0; i < hits.length; i += 3) {
      const [asker, number, line] = hits.slice(i, i + 3) as [number, number, number];
      // Line 0 stands for code that no line has made.
      const file = line > 0 ? names.file(number) : undefined;
      if (file) this.lines[asker] = { file, line };
    }
  }

  private locateInObject(relocations: FieldRelocations, at: number, value: number): SequenceStart {
    const field = relocations.find(at, value);
    if (!field || field.section <= 0) return { address: value, wanted: undefined };
    return { address: field.offset, wanted: this.wanted.get(field.section) };
  }

  /** Linkers set the addresses of discarded code to 0, -1 or -2: sequences count where they begin in code. */
  private locateInImage(address: number): SequenceStart {
    const range = countUpTo(this.codeStarts, address) - 1;
    const isCode = address < (this.codeEnds[range] ?? Number.NEGATIVE_INFINITY);
    return { address, wanted: isCode ? this.wanted.get(0) : undefined };
  }

  private stringAt(form: number, section: number | undefined, offset: number): string {
    const key = section === undefined ? `form ${form}` : `section ${section}`;
    let table = this.strings.get(key);
    if (!table) {
      table = this.readStrings(form, section);
      this.strings.set(key, table);
    }
    if (table instanceof TextpokeError) throw table;
    return table.at(offset);
  }

  private readStrings(form: number, section: number | undefined): StringTable | TextpokeError {
    try {
      const file = form === DW_FORM_strp_sup ? this.supplement() : this.file;
      const [found] =
        section === undefined
          ? debugSections(file, form === DW_FORM_line_strp ? 'line_str' : 'str')
          : [file.section(section, 'a relocation of a name')];
      if (!found) return new TextpokeError('elf-malformed', 'the section with the file names is missing');
      return new StringTable(readContent(file, found), found.name);
    } catch (error) {
      if (error instanceof TextpokeError) return error;
      throw error;
    }
  }
}
