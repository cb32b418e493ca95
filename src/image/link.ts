// Links objects in memory, as the kernel's module loader would (kernel/module/main.c: layout_sections,
// simplify_symbols, apply_relocations), so that no linker is needed to see patching at work. The result is an
// ordinary ELF executable that the rest of textpoke reads like any other.
import type { Arch } from '../arch/arch.ts';
import { archOf } from '../arch/registry.ts';
import { alignUp, hex } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import {
  ET_EXEC,
  ET_REL,
  GRP_COMDAT,
  PF_R,
  PF_W,
  PF_X,
  PT_LOAD,
  SHF_ALLOC,
  SHF_EXCLUDE,
  SHF_EXECINSTR,
  SHF_TLS,
  SHF_WRITE,
  SHT_GROUP,
  SHT_NOBITS,
  SHT_NULL,
  SHT_PROGBITS,
  SHT_STRTAB,
  SHT_SYMTAB,
  STB_GLOBAL,
  STB_LOCAL,
  STB_WEAK,
  STT_FILE,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
  STT_SECTION,
} from '../elf/constants.ts';
import type { ElfFile, Section, Segment } from '../elf/file.ts';
import { type OutputSection, writeElf } from '../elf/layout.ts';
import { Ehdr, identSize, Phdr, Sym } from '../elf/records.ts';
import { StringAppender } from '../elf/string-appender.ts';
import { type SymbolTable, sectionAbsolute, sectionCommon, sectionUndefined } from '../elf/symbols.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { allTables } from '../tables/schema.ts';

const base = 0x400000;
const page = 0x1000;
/** The small code model's 2 GiB, less some room for addends (psABI section 3.5.1). */
const limit = 0x7fff_0000;

/** One input section and where it goes. */
interface Piece {
  readonly object: LinkObject;
  readonly section: Section;
  readonly output: Output;
  /** Byte offset in the output section. */
  offset: number;
  /** Copy of the section's bytes, relocated in place. */
  readonly bytes: Uint8Array;
}

interface Output {
  readonly name: string;
  readonly flags: number;
  type: number;
  align: number;
  size: number;
  address: number;
  fileOffset: number;
  readonly pieces: Piece[];
}

interface LinkObject {
  readonly file: ElfFile;
  readonly symbols: SymbolTable;
  readonly pieces: Map<number, Piece>;
  readonly discarded: Set<number>;
}

interface Definition {
  readonly object: LinkObject;
  readonly symbol: number;
  readonly weak: boolean;
}

export interface Linked {
  readonly bytes: Uint8Array;
  /** Symbols that no object defines; each got a stub that traps. */
  readonly undefinedSymbols: readonly string[];
}

/** `.text.f` goes into `.text` and so on, as in the linkers' default scripts. */
function outputName(name: string): string {
  const match = /^\.(text|rodata|data\.rel\.ro|data|bss)(?=\.)/.exec(name);
  return match ? match[0] : name;
}

class Linker {
  private readonly objects: LinkObject[] = [];
  private readonly outputs = new Map<string, Output>();
  private readonly globals = new Map<string, Definition>();
  private readonly groups = new Set<string>();
  /** Symbols made by the linker itself: bounds, stubs, commons. */
  private readonly made = new Map<string, { output: Output; offset: number; type: number; size: number }>();
  private readonly undefinedNames = new Set<string>();
  private readonly slots = new Map<string, number>();
  private readonly arch: Arch;
  private readonly got: Output;

  constructor(files: readonly ElfFile[]) {
    this.arch = archOf((files[0] as ElfFile).header);
    this.got = { ...blankOutput('.got', SHF_ALLOC | SHF_WRITE, SHT_PROGBITS), align: this.arch.wordSize };
    for (const file of files) inFile(file.path, () => this.addObject(file));
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
    const kept = flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR);
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

  /** Room for what no object section holds: common symbols, stubs of undefined symbols, bounds. */
  private makeSymbols(): void {
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
    const bounds = new Map<string, { output: Output; stop: boolean }>(
      [...this.outputs.values()].flatMap((output) => {
        const row = allTables.find((table) => table.name === output.name);
        const named: (readonly [start: string, stop: string])[] = row
          ? [...row.bounds]
          : /^[A-Za-z_]\w*$/.test(output.name)
            ? [[`__start_${output.name}`, `__stop_${output.name}`]]
            : [];
        return named.flatMap(([start, stop]) => [
          [start, { output, stop: false }] as const,
          [stop, { output, stop: true }] as const,
        ]);
      }),
    );
    for (const [name, { output, stop }] of bounds) {
      if (this.globals.has(name)) continue;
      this.made.set(name, { output, offset: stop ? output.size : 0, type: STT_NOTYPE, size: 0 });
    }
    for (const object of this.objects) {
      const { symbols } = object;
      for (let i = symbols.firstGlobal; i < symbols.count; i++) {
        const name = symbols.name(i);
        const missing = symbols.isUndefined(i) && !this.globals.has(name) && !this.made.has(name);
        if (!missing || symbols.binding(i) !== STB_GLOBAL || !this.isReferenced(object, i)) continue;
        if (this.isListed(object, i)) {
          throw new TextpokeError('link-failed', `${name} is a key, but no object defines it`, {
            file: object.file.path,
          });
        }
        this.undefinedNames.add(name);
      }
    }
    for (const name of [...this.undefinedNames].sort()) {
      const stubs = this.output('.text.undefined', SHF_ALLOC | SHF_EXECINSTR, SHT_PROGBITS);
      stubs.align = 16;
      this.made.set(name, { output: stubs, offset: stubs.size, type: STT_FUNC, size: 16 });
      stubs.size += 16;
    }
  }

  /** Only a relocation that fills a field needs an address; markers and mentions do not. */
  private isReferenced(object: LinkObject, symbol: number): boolean {
    return this.referencedBy(object).has(symbol);
  }

  /** True when a table names the symbol: it then is a key, which cannot be left out. */
  private isListed(object: LinkObject, symbol: number): boolean {
    return [...object.pieces.values()].some(
      (piece) =>
        allTables.some((row) => row.name === piece.section.name) &&
        object.file
          .relocationSections(piece.section.index)
          .some((table) => object.file.relocations(table).symbol.includes(symbol)),
    );
  }

  private readonly referenced = new Map<LinkObject, Set<number>>();
  private referencedBy(object: LinkObject): Set<number> {
    let set = this.referenced.get(object);
    if (!set) {
      set = new Set();
      for (const piece of object.pieces.values()) {
        for (const table of object.file.relocationSections(piece.section.index)) {
          const relocations = object.file.relocations(table);
          for (let i = 0; i < relocations.count; i++) {
            if (relocations.type[i] !== this.arch.relocations.none) set.add(relocations.symbol[i] as number);
          }
        }
      }
      this.referenced.set(object, set);
    }
    return set;
  }

  /** Outputs in order of segment: read-only, code, data, zeros; with their addresses. */
  private layOut(): { order: Output[]; segments: Segment[] } {
    const rank = (o: Output) =>
      (o.flags & SHF_EXECINSTR) !== 0 ? 1 : (o.flags & SHF_WRITE) === 0 ? 0 : o.type === SHT_NOBITS ? 3 : 2;
    const order = [...this.outputs.values(), this.got].sort((a, b) => rank(a) - rank(b));
    const bits = this.arch.class;
    const headers = identSize + Ehdr[bits].size + 3 * Phdr[bits].size;
    const segments: Segment[] = [];
    let address = base + headers;
    for (const [ranks, flags] of [
      [[0], PF_R],
      [[1], PF_R | PF_X],
      [[2, 3], PF_R | PF_W],
    ] as const) {
      // The first segment holds the headers; file offset and address agree modulo the page throughout.
      const start = segments.length === 0 ? base : alignUp(address, page);
      address = Math.max(address, start);
      let fileEnd = address;
      for (const output of order.filter((o) => (ranks as readonly number[]).includes(rank(o)))) {
        address = alignUp(address, output.align);
        output.address = address;
        output.fileOffset = address - base;
        address += output.size;
        if (address > limit) {
          throw new TextpokeError(
            'link-failed',
            `the image would end at ${hex(address)}; code of this model has to lie below ${hex(limit)}`,
          );
        }
        if (output.type !== SHT_NOBITS) fileEnd = address;
      }
      segments.push({
        type: PT_LOAD,
        flags,
        offset: start - base,
        vaddr: start,
        paddr: start,
        filesz: fileEnd - start,
        memsz: address - start,
        align: page,
      });
    }
    return { order, segments: segments.filter((s) => s.memsz > 0) };
  }

  /** S of a relocation: the address of a symbol of one object; undefined for one in a discarded section. */
  private addressOf(object: LinkObject, symbol: number): number | undefined {
    const { symbols } = object;
    const section = symbols.section[symbol] as number;
    if (symbol === 0) return 0;
    if (symbols.binding(symbol) !== STB_LOCAL) {
      const name = symbols.name(symbol);
      const made = this.made.get(name);
      if (made) return made.output.address + made.offset;
      const definition = this.globals.get(name);
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

  private slotOf(object: LinkObject, symbol: number, address: number): number {
    const name = object.symbols.binding(symbol) === STB_LOCAL ? '' : object.symbols.name(symbol);
    const key = name || `${this.objects.indexOf(object)}:${symbol}`;
    let slot = this.slots.get(key);
    if (slot === undefined) {
      slot = this.slots.size;
      this.slots.set(key, slot);
      this.slotValues.push(address);
    }
    return this.got.address + slot * this.arch.wordSize;
  }
  private readonly slotValues: number[] = [];

  private relocate(): void {
    for (const object of this.objects) {
      inFile(object.file.path, () => {
        for (const piece of object.pieces.values()) this.relocatePiece(object, piece);
      });
    }
  }

  private relocatePiece(object: LinkObject, piece: Piece): void {
    const start = piece.output.address + piece.offset;
    for (const table of object.file.relocationSections(piece.section.index)) {
      const relocations = object.file.relocations(table);
      for (let i = 0; i < relocations.count; i++) {
        const type = relocations.type[i] as number;
        if (type === this.arch.relocations.none) continue;
        const symbol = relocations.symbol[i] as number;
        const offset = relocations.offset[i] as number;
        const address = this.addressOf(object, symbol);
        const at = { section: piece.section.name, offset };
        if (address === undefined) {
          // Debug and unwind data may name discarded functions; linkers leave zeros there.
          if ((piece.section.flags & SHF_EXECINSTR) === 0 && piece.section.name === '.eh_frame') continue;
          throw new TextpokeError(
            'link-failed',
            `the relocation names ${object.symbols.name(symbol)} in a discarded section`,
            at,
          );
        }
        const failed = this.arch.applyRelocation({
          type,
          symbol: address,
          addend: relocations.addend[i] as number,
          place: start + offset,
          offset,
          bytes: piece.bytes,
          slot: () => this.slotOf(object, symbol, address),
        });
        if (failed) throw new TextpokeError('link-failed', failed, at);
      }
    }
  }

  link(): Linked {
    this.makeSymbols();
    // Addresses come before relocations, which ask for slots: room for every symbol that is named is enough.
    const named = new Set(
      this.objects.flatMap((o) => [...this.referencedBy(o)].map((s) => `${o.file.path}:${s}`)),
    );
    this.got.size = named.size * this.arch.wordSize;
    const { order, segments } = this.layOut();
    this.relocate();
    return { bytes: this.write(order, segments), undefinedSymbols: [...this.undefinedNames].sort() };
  }

  private content(output: Output): Uint8Array {
    if (output.type === SHT_NOBITS) return new Uint8Array(0);
    const bytes = new Uint8Array(output.size);
    if (output.name === '.text.undefined') bytes.set(this.arch.trapFill(output.size));
    for (const piece of output.pieces) bytes.set(piece.bytes, piece.offset);
    if (output === this.got) {
      const view = new ByteView(bytes, true);
      this.slotValues.forEach((value, i) => {
        if (this.arch.wordSize === 8) view.setS64(i * 8, value);
        else view.setU32(i * 4, value >>> 0);
      });
    }
    return bytes;
  }

  private write(order: readonly Output[], segments: readonly Segment[]): Uint8Array {
    const bits = this.arch.class;
    const names = new StringAppender(new Uint8Array(1));
    const sections: OutputSection[] = [
      {
        nameOffset: 0,
        type: SHT_NULL,
        flags: 0,
        addr: 0,
        link: 0,
        info: 0,
        addralign: 0,
        entsize: 0,
        data: new Uint8Array(0),
        size: 0,
      },
    ];
    const present = order.filter((o) => o.size > 0 || o.pieces.length > 0);
    const numbers = new Map(present.map((output, i) => [output, i + 1]));
    for (const output of present) {
      const data = this.content(output);
      sections.push({
        nameOffset: names.offsetOf(output.name),
        type: output.type,
        flags: output.flags,
        addr: output.address,
        link: 0,
        info: 0,
        addralign: output.align,
        entsize: 0,
        data,
        size: output.size,
        oldOffset: output.fileOffset,
      });
    }
    const strings = new StringAppender(new Uint8Array(1));
    const { records, locals } = this.symbolTable(numbers, strings);
    const meta = (name: string, type: number, data: Uint8Array, more: Partial<OutputSection>): void => {
      sections.push({
        nameOffset: names.offsetOf(name),
        type,
        flags: 0,
        addr: 0,
        link: 0,
        info: 0,
        addralign: 1,
        entsize: 0,
        data,
        size: data.length,
        ...more,
      });
    };
    meta('.symtab', SHT_SYMTAB, records, {
      link: sections.length + 1,
      info: locals,
      addralign: 8,
      entsize: Sym[bits].size,
    });
    meta('.strtab', SHT_STRTAB, strings.bytes(), {});
    names.offsetOf('.shstrtab');
    meta('.shstrtab', SHT_STRTAB, names.bytes(), {});
    const start = this.globals.get('_start');
    const entry = (start && this.addressOf(start.object, start.symbol)) ?? 0;
    const first = (this.objects[0] as LinkObject).file;
    const ident = first.source.read(0, identSize).slice();
    return writeElf(
      {
        class: bits,
        little: first.header.little,
        ident,
        type: ET_EXEC,
        machine: this.arch.machine,
        flags: first.header.flags,
        entry,
        shstrndx: sections.length - 1,
      },
      sections,
      undefined,
      segments,
    );
  }

  /** Locals of each object behind its STT_FILE symbol, then globals. */
  private symbolTable(
    numbers: ReadonlyMap<Output, number>,
    strings: StringAppender,
  ): { records: Uint8Array; locals: number } {
    const bits = this.arch.class;
    const format = Sym[bits];
    const rows: { name: string; info: number; other: number; shndx: number; value: number; size: number }[] =
      [{ name: '', info: 0, other: 0, shndx: 0, value: 0, size: 0 }];
    const add = (object: LinkObject, symbol: number) => {
      const { symbols } = object;
      const section = symbols.section[symbol] as number;
      const piece = object.pieces.get(section);
      const isFile = symbols.type(symbol) === STT_FILE;
      if (!piece && !isFile && section !== sectionAbsolute) return;
      const value = piece ? (this.addressOf(object, symbol) as number) : (symbols.value[symbol] as number);
      const size = symbols.size[symbol] as number;
      if (!Number.isSafeInteger(value) || !Number.isSafeInteger(size)) return; // names no place of the image
      rows.push({
        name: symbols.name(symbol),
        info: symbols.info[symbol] as number,
        other: symbols.other[symbol] as number,
        shndx: piece ? (numbers.get(piece.output) as number) : 0xfff1,
        value,
        size,
      });
    };
    for (const object of this.objects) {
      for (let i = 1; i < object.symbols.firstGlobal; i++)
        if (object.symbols.type(i) !== STT_SECTION) add(object, i);
    }
    const locals = rows.length;
    for (const [name, { object, symbol }] of this.globals) if (!this.made.has(name)) add(object, symbol);
    for (const [name, made] of this.made) {
      const shndx = numbers.get(made.output);
      if (shndx === undefined) continue;
      rows.push({
        name,
        info: (STB_GLOBAL << 4) | made.type,
        other: 0,
        shndx,
        value: made.output.address + made.offset,
        size: made.size,
      });
    }
    const records = new Uint8Array(rows.length * format.size);
    const view = new ByteView(records, true);
    rows.forEach((row, i) => {
      const common = { name: strings.offsetOf(row.name), info: row.info, other: row.other, shndx: row.shndx };
      const at = i * format.size;
      if (bits === 64)
        Sym[64].write(view, at, { ...common, value: BigInt(row.value), size: BigInt(row.size) });
      else Sym[32].write(view, at, { ...common, value: row.value, size: row.size });
    });
    return { records, locals };
  }
}

function blankOutput(name: string, flags: number, type: number): Output {
  return { name, flags, type, align: 1, size: 0, address: 0, fileOffset: 0, pieces: [] };
}

/**
 * Links relocatable objects to one executable image at 0x400000. Errors: `link-failed` (a duplicate or an
 * unsupported relocation), `not-relocatable`, `machine-unsupported`.
 */
export function linkObjects(files: readonly ElfFile[]): Linked {
  return new Linker(files).link();
}
