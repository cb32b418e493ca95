// The first half of an in-memory link: objects come in, COMDAT groups fold, symbols resolve (kernel/module/main.c,
// simplify_symbols). Afterwards every section that stays has its place in an output section.
import type { Arch } from '../arch/arch.ts';
import { symbolPlace } from '../arch/code-map.ts';
import { archOf } from '../arch/registry.ts';
import { alignUp } from '../bytes/integer.ts';
import { allTables } from '../bytes/schema.ts';
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
  STB_GLOBAL,
  STB_LOCAL,
  STB_WEAK,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
} from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { type SymbolTable, sectionAbsolute, sectionCommon, sectionUndefined } from '../elf/symbols.ts';
import { inFile, TextpokeError } from '../errors.ts';

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
}

export interface LinkObject {
  readonly file: ElfFile;
  readonly symbols: SymbolTable;
  readonly pieces: Map<number, Piece>;
  readonly discarded: Set<number>;
}

export interface Definition {
  readonly object: LinkObject;
  readonly symbol: number;
  readonly weak: boolean;
}

/** A symbol made by the link itself: a table's bound, a stub, a common symbol. */
export interface MadeSymbol {
  readonly output: Output;
  readonly offset: number;
  readonly type: number;
  readonly size: number;
}

/** Where stubs of undefined symbols go. */
export const stubSection = '.text.undefined';
const stubSize = 16;
const offsetTableName = '_GLOBAL_OFFSET_TABLE_';

/** `.text.f` goes into `.text` and so on, as in the linkers' default scripts. */
function outputName(name: string): string {
  const match = /^\.(text|rodata|data\.rel\.ro|data|bss)(?=\.)/.exec(name);
  return match ? match[0] : name;
}

/** What lies around an in-memory link: where it goes, and what symbols exist already. */
export interface LinkPlace {
  /** Virtual address of the first byte, a multiple of the largest page. */
  readonly base: number;
  /** The code pointer or address of a symbol that lies outside; undefined where there is none. */
  readonly external?: ((name: string) => number | undefined) | undefined;
}

export class LinkInput {
  readonly objects: LinkObject[] = [];
  readonly outputs = new Map<string, Output>();
  readonly globals = new Map<string, Definition>();
  readonly made = new Map<string, MadeSymbol>();
  /** Where pointers to symbols go, for code that reads them from a table; its size is the layout's business. */
  readonly offsetTable = blankOutput('.got', SHF_ALLOC | SHF_WRITE, SHT_PROGBITS);
  /** Symbols that no object defines, sorted. */
  readonly undefinedNames: readonly string[];
  readonly arch: Arch;
  /** Symbols that relocations fill fields with, over all objects. */
  readonly referencedCount: number;
  private readonly groups = new Set<string>();
  private readonly external: LinkPlace['external'];
  private readonly outside = new Map<string, number>();

  get little(): boolean {
    return (this.objects[0] as LinkObject).file.header.little;
  }

  /** Errors: `link-failed`, `not-relocatable`, `machine-unsupported`. */
  constructor(files: readonly ElfFile[], external?: LinkPlace['external']) {
    this.external = external;
    this.arch = archOf((files[0] as ElfFile).header);
    for (const file of files) inFile(file.path, () => this.addObject(file));
    this.makeCommons();
    this.makeBounds();
    // Position-independent code calls the table of pointers by this name.
    if (!this.globals.has(offsetTableName)) {
      this.made.set(offsetTableName, { output: this.offsetTable, offset: 0, type: STT_OBJECT, size: 0 });
    }
    const uses = this.objects.map((object) => ({ object, ...this.symbolUses(object) }));
    this.undefinedNames = this.makeStubs(uses);
    this.referencedCount = uses.reduce((sum, { filled }) => sum + filled.size, 0);
  }

  private addObject(file: ElfFile): void {
    if (file.header.type !== ET_REL) {
      throw new TextpokeError(
        'not-relocatable',
        'only relocatable objects can be linked in memory; give one image alone',
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
          'thread-local data is not supported by the in-memory link; link with ld',
          {
            section: section.name,
          },
        );
      }
      this.place(object, section);
    }
    for (let i = object.symbols.firstGlobal; i < object.symbols.count; i++) this.define(object, i);
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

  private output(name: string, flags: number, type: number): Output {
    // A table is one section, whatever flags its parts came with.
    const row = allTables.find((table) => table.name === name);
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
    const output = this.output(outputName(section.name), section.flags, section.type);
    output.align = Math.max(output.align, section.addralign, 1);
    const offset = alignUp(output.size, section.addralign);
    const bytes = section.type === SHT_NOBITS ? new Uint8Array(0) : object.file.data(section).slice();
    const piece: Piece = { object, section, output, offset, bytes };
    output.size = offset + section.size;
    output.pieces.push(piece);
    object.pieces.set(section.index, piece);
  }

  private define(object: LinkObject, symbol: number): void {
    const { symbols } = object;
    const section = symbols.section[symbol] as number;
    if (section === sectionUndefined || object.discarded.has(section)) return;
    const name = symbols.name(symbol);
    const definition: Definition = {
      object,
      symbol,
      weak: symbols.binding(symbol) === STB_WEAK || section === sectionCommon,
    };
    const known = this.globals.get(name);
    if (!known || (known.weak && !definition.weak)) this.globals.set(name, definition);
    else if (!known.weak && !definition.weak) {
      throw new TextpokeError('link-failed', `${name} is also defined in ${known.object.file.path}`);
    }
  }

  private makeCommons(): void {
    for (const [name, { object, symbol }] of this.globals) {
      if (object.symbols.section[symbol] !== sectionCommon) continue;
      const bss = this.output('.bss', SHF_ALLOC | SHF_WRITE, SHT_NOBITS);
      const align = Math.max(object.symbols.value[symbol] as number, 1);
      const size = object.symbols.size[symbol] as number;
      bss.align = Math.max(bss.align, align);
      const offset = alignUp(bss.size, align);
      bss.size = offset + size;
      this.made.set(name, { output: bss, offset, type: STT_OBJECT, size });
    }
  }

  /** The linker symbols of every table, and `__start_`/`__stop_` of sections whose names are C identifiers. */
  private makeBounds(): void {
    for (const output of this.outputs.values()) {
      const row = allTables.find((table) => table.name === output.name);
      const isIdentifier = /^[A-Za-z_]\w*$/.test(output.name);
      const named =
        row?.bounds ?? (isIdentifier ? [[`__start_${output.name}`, `__stop_${output.name}`] as const] : []);
      for (const [start, stop] of named) {
        const bound = { output, type: STT_NOTYPE, size: 0 };
        if (!this.globals.has(start)) this.made.set(start, { ...bound, offset: 0 });
        if (!this.globals.has(stop)) this.made.set(stop, { ...bound, offset: output.size });
      }
    }
  }

  /** Symbols by what names them: relocations that fill a field (markers do not), and tables. */
  private symbolUses(object: LinkObject): { filled: Set<number>; listed: Set<number> } {
    const filled = new Set<number>();
    const listed = new Set<number>();
    for (const { section } of object.pieces.values()) {
      const isTable = allTables.some((row) => row.name === section.name);
      for (const table of object.file.relocationSections(section.index)) {
        const relocations = object.file.relocations(table);
        for (let i = 0; i < relocations.count; i++) {
          if (relocations.type[i] === this.arch.relocations.none) continue;
          filled.add(relocations.symbol[i] as number);
          if (isTable) listed.add(relocations.symbol[i] as number);
        }
      }
    }
    return { filled, listed };
  }

  /** A stub that traps for each function that no object defines; a key cannot be left out like that. */
  private makeStubs(
    uses: readonly { object: LinkObject; filled: Set<number>; listed: Set<number> }[],
  ): readonly string[] {
    const names = new Set<string>();
    for (const { object, filled, listed } of uses) {
      const { symbols } = object;
      for (const symbol of filled) {
        const name = symbols.name(symbol);
        const missing = symbols.isUndefined(symbol) && !this.globals.has(name) && !this.made.has(name);
        if (!missing) continue;
        const address = this.external?.(name);
        if (address !== undefined) this.outside.set(name, address);
        if (address !== undefined || symbols.binding(symbol) !== STB_GLOBAL) continue;
        if (listed.has(symbol) && !this.external) {
          throw new TextpokeError('link-failed', `${name} is a key, but no object defines it`, {
            file: object.file.path,
          });
        }
        names.add(name);
      }
    }
    const sorted = [...names].sort();
    if (this.external && sorted.length > 0) {
      throw new TextpokeError('link-failed', `unknown symbol ${sorted.join(', ')}`, {
        file: this.objects[0]?.file.path,
      });
    }
    for (const name of sorted) {
      const stubs = this.output(stubSection, SHF_ALLOC | SHF_EXECINSTR, SHT_PROGBITS);
      stubs.align = stubSize;
      this.made.set(name, { output: stubs, offset: stubs.size, type: STT_FUNC, size: stubSize });
      stubs.size += stubSize;
    }
    return sorted;
  }

  /** True for a symbol of one object that names a function in Thumb state. */
  isThumb(object: LinkObject, symbol: number): boolean {
    if (!this.arch.thumbBit) return false;
    const { symbols } = object;
    if (symbols.binding(symbol) !== STB_LOCAL) {
      const name = symbols.name(symbol);
      const definition = this.made.has(name) ? undefined : this.globals.get(name);
      if (!definition) return (this.outside.get(name) ?? 0) % 2 !== 0;
      if (definition.object !== object || definition.symbol !== symbol)
        return this.isThumb(definition.object, definition.symbol);
    }
    return symbolPlace(this.arch, symbols, symbol) !== symbols.value[symbol];
  }

  /** The value of a symbol of one object after the link; undefined for one in a discarded section. */
  addressOf(object: LinkObject, symbol: number): number | undefined {
    const { symbols } = object;
    const section = symbols.section[symbol] as number;
    if (symbol === 0) return 0;
    if (symbols.binding(symbol) !== STB_LOCAL) {
      const name = symbols.name(symbol);
      const made = this.made.get(name);
      if (made) return made.output.address + made.offset;
      const definition = this.globals.get(name);
      if (!definition && this.outside.has(name)) return this.outside.get(name);
      if (!definition)
        return symbols.binding(symbol) === STB_WEAK || section === sectionUndefined ? 0 : undefined;
      if (definition.object !== object || definition.symbol !== symbol) {
        return this.addressOf(definition.object, definition.symbol);
      }
    }
    if (section === sectionAbsolute) return symbols.value[symbol] as number;
    const piece = object.pieces.get(section);
    return piece && piece.output.address + piece.offset + (symbols.value[symbol] as number);
  }
}

/** An output section without content. */
export function blankOutput(name: string, flags: number, type: number): Output {
  return { name, flags, type, align: 1, size: 0, address: 0, fileOffset: 0, pieces: [] };
}
