// The debug sections of one file beside .debug_line, as units of .debug_info refer to them: by offsets, which an object
// has relocations for, and by addresses.
import { ByteView } from '../bytes/view.ts';
import { ET_REL } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { StringTable } from '../elf/strings.ts';
import { TextpokeError } from '../errors.ts';
import { debugSections, FieldRelocations, readContent } from './sections.ts';

/** A place in a debug section. */
export interface DebugPlace {
  readonly section: Section;
  readonly offset: number;
}

/** A place in code: a section of an object and an offset in it, or 0 and an address; -1 where it is in no section. */
export interface CodePlace {
  readonly section: number;
  readonly offset: number;
}

/** A debug section as a whole. */
interface Loaded {
  readonly view: ByteView;
  readonly relocations: FieldRelocations;
}

/** Debug sections are read when they are asked for, and once. */
export class InfoFile {
  readonly file: ElfFile;
  readonly isObject: boolean;
  private readonly loaded = new Map<number, Loaded>();
  private readonly relocations = new Map<number, FieldRelocations>();
  private readonly strings = new Map<number, StringTable>();
  private readonly firsts = new Map<string, Section | undefined>();

  constructor(file: ElfFile) {
    this.file = file;
    this.isObject = file.header.type === ET_REL;
  }

  /** The bytes of a section. Errors as `readContent`. */
  load(section: Section): Loaded {
    let found = this.loaded.get(section.index);
    if (!found) {
      const view = new ByteView(readContent(this.file, section), this.file.header.little, {
        section: section.name,
      });
      found = { view, relocations: this.relocationsOf(section) };
      this.loaded.set(section.index, found);
    }
    return found;
  }

  relocationsOf(section: Section): FieldRelocations {
    let found = this.relocations.get(section.index);
    if (!found) {
      found = new FieldRelocations(this.file, section);
      this.relocations.set(section.index, found);
    }
    return found;
  }

  /** The first section called `.debug_<name>`; undefined where there is none. */
  first(name: string): Section | undefined {
    if (!this.firsts.has(name)) this.firsts.set(name, debugSections(this.file, name)[0]);
    return this.firsts.get(name);
  }

  /**
   * What a field at byte `at` of `section` means, which holds `value`, an offset in the section called
   * `.debug_<name>`. Error `elf-malformed` where there is no such section.
   */
  follow(section: Section, at: number, value: number, name: string): DebugPlace {
    const field = this.isObject ? this.relocationsOf(section).find(at, value) : undefined;
    if (field) return { section: this.file.section(field.section, `.debug_${name}`), offset: field.offset };
    const first = this.first(name);
    if (first) return { section: first, offset: value };
    throw new TextpokeError('elf-malformed', `the section .debug_${name} is missing`);
  }

  /** The address that stands at byte `at` of `view`, which is byte `place` of `section`. */
  address(view: ByteView, at: number, size: number, section: Section, place: number): CodePlace {
    const value = size === 8 ? view.s64(at) : view.u32(at);
    if (!this.isObject) return { section: 0, offset: value };
    const field = this.relocationsOf(section).find(place, value);
    return field && field.section > 0 ? field : { section: -1, offset: field?.offset ?? value };
  }

  /** The string at a place. Errors as `StringTable.at`. */
  string({ section, offset }: DebugPlace): string {
    let table = this.strings.get(section.index);
    if (!table) {
      table = new StringTable(readContent(this.file, section), section.name);
      this.strings.set(section.index, table);
    }
    return table.at(offset);
  }
}
