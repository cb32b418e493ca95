// Finds the rows of line tables that cover places, and puts the lines of their callers around them.
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import { ET_REL, SHF_ALLOC, SHF_EXECINSTR } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { StringTable } from '../elf/strings.ts';
import { TextpokeError } from '../errors.ts';
import { CallChains } from './call-chains.ts';
import { DW_FORM_line_strp, DW_FORM_strp_sup } from './constants.ts';
import { type LineUnit, readFrame, readLineUnit, type UnitFrame } from './line-header.ts';
import { LineNames, type StringReader } from './line-names.ts';
import { type Hits, runLineProgram, type SequenceStart } from './line-program.ts';
import { Problems } from './problems.ts';
import { debugSections, FieldRelocations, readContent } from './sections.ts';
import type { ObjectPlace, SourceLine, SourceLines } from './source-line.ts';
import { WantedPlaces } from './wanted.ts';

/** A line table that has places which were asked for. */
interface LineTable {
  readonly section: Section;
  readonly unit: LineUnit;
  readonly definedFiles: readonly number[];
  readonly readString: StringReader;
  readonly hits: Hits;
}

/** Names the unit of a line table. */
function keyOf({ index }: Section, offset: number): string {
  return `${index} ${offset}`;
}

/** One question to one file. */
export class LineSearch {
  private readonly file: ElfFile;
  private readonly supplement: () => ElfFile;
  private readonly lines: (SourceLine | undefined)[];
  /** The line tables that have places, and for each asker the number of its own. */
  private readonly tables: LineTable[] = [];
  private readonly tableOf: Int32Array;
  private readonly tableAt = new Map<string, number>();
  /** By section; an image has one for all, under 0. */
  private readonly wanted = new Map<number, WantedPlaces>();
  /** Where code begins and ends in an image, ascending and apart. */
  private readonly codeStarts: number[] = [];
  private readonly codeEnds: number[] = [];
  /** By section; those that no relocation names by their form. What cannot be read is tried once. */
  private readonly strings = new Map<string, StringTable | TextpokeError>();
  private readonly lineProblems = new Problems('source lines');
  private readonly callProblems = new Problems('callers of inlined code');

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
    this.tableOf = new Int32Array(count).fill(-1);
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

  /** All lines; with `inlines`, what was inlined and the names of functions. */
  result(inlines: boolean): SourceLines {
    if (this.wanted.size > 0) this.search(inlines);
    const problems = [this.lineProblems, this.callProblems].flatMap(({ text }) => text ?? []);
    return { lines: this.lines, problem: problems.length > 0 ? problems.join('; ') : undefined };
  }

  private search(inlines: boolean): void {
    for (const section of debugSections(this.file, 'line')) {
      this.lineProblems.guard(
        () => section.name,
        () => this.searchSection(section),
      );
    }
    if (this.tables.length === 0) return;
    const chains = new CallChains(this.file, this.supplement, this.callProblems);
    chains.search({
      wanted: this.wanted,
      lineTables: this.tableOf,
      lineTableAt: ({ section, offset }) => this.tableAt.get(keyOf(section, offset)),
    });
    if (inlines) chains.readNames();
    for (const table of this.tables) {
      const { section, unit } = table;
      const what = () => `the unit at byte 0x${unit.offset.toString(16)} of ${section.name}`;
      this.lineProblems.guard(what, () => this.nameLines(table, chains, inlines));
    }
  }

  private nameLines(
    { unit, definedFiles, readString, hits }: LineTable,
    chains: CallChains,
    inlines: boolean,
  ): void {
    const names = new LineNames(unit, definedFiles, readString);
    // Line 0 stands for code that no line has made.
    const fileOf = (number: number, line: number) => (line > 0 ? names.file(number) : undefined);
    for (let i = 0; i < hits.length; i += 3) {
      const [asker, number, line] = hits.slice(i, i + 3) as [number, number, number];
      this.lines[asker] = chains.lineOf(asker, number, line, fileOf, inlines);
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
      frame = this.lineProblems.guard(what, () => readFrame(view, at));
      if (!frame) return;
      const unit = frame;
      // Sections that are put together may be padded.
      if (unit.end > unit.body) {
        const search = () => this.searchUnit(section, view, unit, locate, readString);
        this.lineProblems.guard(what, search);
      }
    }
  }

  private searchUnit(
    section: Section,
    view: ByteView,
    frame: UnitFrame,
    locate: (at: number, value: number) => SequenceStart,
    readString: StringReader,
  ): void {
    const unit = readLineUnit(view, frame);
    const { hits, definedFiles } = runLineProgram(unit, locate);
    if (hits.length === 0) return;
    const number = this.tables.push({ section, unit, definedFiles, readString, hits }) - 1;
    this.tableAt.set(keyOf(section, frame.offset), number);
    for (let i = 0; i < hits.length; i += 3) this.tableOf[hits[i] as number] = number;
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
