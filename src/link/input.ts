// The objects of an in-memory link: COMDAT groups fold, and every section that stays has its place in an output
// section (kernel/module/main.c, layout_sections).
import type { Arch } from '../arch/arch.ts';
import { archOf } from '../arch/registry.ts';
import { alignUp } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import {
  ET_REL,
  GRP_COMDAT,
  SHF_ALLOC,
  SHF_EXCLUDE,
  SHF_EXECINSTR,
  SHF_TLS,
  SHF_WRITE,
  SHT_GROUP,
  SHT_NOBITS,
  SHT_PROGBITS,
} from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import type { SymbolTable } from '../elf/symbols.ts';
import { TextpokeError } from '../errors.ts';
import { tables } from '../kinds/registry.ts';
import type { CodeLoader } from './code-loader.ts';

/** One input section and where it goes. */
export interface Piece {
  readonly object: LinkObject;
  readonly section: Section;
  readonly output: Output;
  /** Byte offset in the output section. */
  offset: number;
  /** Copy of the section's bytes, relocated in place. */
  readonly bytes: Uint8Array;
}

export interface Output {
  readonly name: string;
  readonly flags: number;
  type: number;
  align: number;
  size: number;
  address: number;
  fileOffset: number;
  readonly pieces: Piece[];
  /** Of a section that a loader has put somewhere already: what became of its memory. */
  readonly placed?: SectionState;
}

/** `gone`: its memory was given back. `apart`: its addresses are no memory's (per-CPU variables), and only numbers. */
export type SectionState = 'here' | 'gone' | 'apart';

/** Where a loader has put a section of an object. */
export interface SectionPlace {
  readonly address: number;
  readonly state: SectionState;
}

/** The places of an object's sections; a section without one is no part of the link. */
export type SectionPlaces = (section: Section) => SectionPlace | undefined;

/** Whose relocations are carried out: those of all sections, of tables, or of those that are named. */
export type Filled = 'all' | 'tables' | ((section: Section) => boolean);

export interface LinkObject {
  readonly file: ElfFile;
  readonly symbols: SymbolTable;
  readonly pieces: Map<number, Piece>;
  readonly discarded: Set<number>;
}

/** Whether a section is a table of a kind. */
export function isTable({ name }: Section): boolean {
  return tables.some((row) => row.name === name);
}

/** `.text.f` goes into `.text` and so on, as in the linkers' default scripts. */
function outputName(name: string): string {
  const match = /^\.(text|rodata|data\.rel\.ro|data|bss)(?=\.)/.exec(name);
  return match ? match[0] : name;
}

export class LinkInput {
  readonly arch: Arch;
  readonly objects: LinkObject[] = [];
  readonly outputs = new Map<string, Output>();
  /** Where pointers to symbols go, for code that reads them from a table; its size is the layout's business. */
  readonly offsetTable = blankOutput('.got', SHF_ALLOC | SHF_WRITE, SHT_PROGBITS);
  private readonly groups = new Set<string>();

  /** Where sections are, when they are not to be laid out one behind the other. */
  readonly places: SectionPlaces | undefined;
  /** How much higher code runs than it is linked. */
  readonly slide: number;
  /** What carries out relocations of code; undefined: the machine's own way, in the order of the file. */
  readonly loader: CodeLoader | undefined;
  private readonly filled: Filled;

  constructor(
    arch: Arch,
    {
      places,
      filled = 'all',
      slide = 0,
      loader,
    }: {
      places?: SectionPlaces;
      filled?: Filled;
      slide?: number | undefined;
      loader?: CodeLoader | undefined;
    } = {},
  ) {
    this.arch = arch;
    this.places = places;
    this.filled = filled;
    this.slide = slide;
    this.loader = loader;
  }

  /** Whether the relocations of a section are carried out. */
  fills(section: Section): boolean {
    if (typeof this.filled === 'function') return this.filled(section);
    return this.filled === 'all' || isTable(section);
  }

  get little(): boolean {
    return (this.objects[0] as LinkObject).file.header.little;
  }

  /** Takes in an object's sections. Errors: `link-failed`, `not-relocatable`, `machine-unsupported`. */
  add(file: ElfFile): LinkObject {
    if (file.header.type !== ET_REL) {
      throw new TextpokeError(
        'not-relocatable',
        'the in-memory link takes only relocatable objects; to boot an image, name only that image',
      );
    }
    if (archOf(file.header) !== this.arch) {
      throw new TextpokeError(
        'link-failed',
        `the object is for ${archOf(file.header).name}, not ${this.arch.name}`,
      );
    }
    const symtab = file.symtab;
    if (!symtab) throw new TextpokeError('link-failed', 'the object has no symbol table');
    const object: LinkObject = {
      file,
      symbols: file.symbols(symtab),
      pieces: new Map(),
      discarded: new Set(),
    };
    this.objects.push(object);
    this.discardKnownGroups(object);
    for (const section of file.sections) {
      if (
        (section.flags & SHF_ALLOC) === 0 ||
        section.flags >= SHF_EXCLUDE ||
        object.discarded.has(section.index)
      )
        continue;
      if ((section.flags & SHF_TLS) !== 0 && section.size > 0) {
        throw new TextpokeError(
          'link-failed',
          'the in-memory link does not support thread-local data; link with ld',
          {
            section: section.name,
          },
        );
      }
      this.place(object, section);
    }
    return object;
  }

  /** The first COMDAT group of a name wins; members of later ones vanish. */
  private discardKnownGroups(object: LinkObject): void {
    const { file, symbols } = object;
    for (const group of file.ofType(SHT_GROUP)) {
      const words = new ByteView(file.data(group), file.header.little, { section: group.name });
      if ((words.u32(0) & GRP_COMDAT) === 0) continue;
      const name = symbols.isSectionSymbol(group.info)
        ? (file.sections[symbols.section[group.info] as number]?.name ?? '')
        : symbols.name(group.info);
      if (!this.groups.has(name)) this.groups.add(name);
      else for (let at = 4; at + 4 <= group.size; at += 4) object.discarded.add(words.u32(at));
    }
  }

  /** The output section of a name and flags, made when it is first asked for. */
  output(name: string, flags: number, type: number): Output {
    // A table is one section, whatever flags its parts came with.
    const row = tables.find((table) => table.name === name);
    const kept = (row?.flags ?? flags) & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR);
    const key = `${name} ${kept}`;
    let output = this.outputs.get(key);
    if (!output) {
      output = blankOutput(name, kept, type);
      this.outputs.set(key, output);
    }
    if (type !== SHT_NOBITS) output.type = type;
    return output;
  }

  private place(object: LinkObject, section: Section): void {
    if (this.places) {
      this.keepPlace(object, section, this.places);
      return;
    }
    const output = this.output(outputName(section.name), section.flags, section.type);
    output.align = Math.max(output.align, section.addralign, 1);
    const offset = alignUp(output.size, section.addralign);
    const bytes = section.type === SHT_NOBITS ? new Uint8Array(0) : object.file.data(section).slice();
    const piece: Piece = { object, section, output, offset, bytes };
    output.size = offset + section.size;
    output.pieces.push(piece);
    object.pieces.set(section.index, piece);
  }

  /** A section that lies somewhere already is an output of its own, whatever others are called the same. */
  private keepPlace(object: LinkObject, section: Section, places: SectionPlaces): void {
    const place = places(section);
    if (!place) return;
    const made = this.loader?.sizeOf(section);
    const output: Output = {
      ...blankOutput(section.name, section.flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR), section.type),
      size: made ?? section.size,
      address: place.address,
      placed: place.state,
    };
    this.outputs.set(`${section.name} ${section.index}`, output);
    const isEmpty = section.type === SHT_NOBITS || place.state !== 'here';
    const bytes =
      isEmpty || made !== undefined
        ? new Uint8Array(isEmpty ? 0 : (made as number))
        : object.file.data(section).slice();
    const piece: Piece = { object, section, output, offset: 0, bytes };
    output.pieces.push(piece);
    object.pieces.set(section.index, piece);
  }
}

/** An output section without content. */
export function blankOutput(name: string, flags: number, type: number): Output {
  return { name, flags, type, align: 1, size: 0, address: 0, fileOffset: 0, pieces: [] };
}
