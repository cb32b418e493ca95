// A linked image as an address space: bytes by virtual address, symbols, code, tables' places. Segments are read
// when first touched, so a large image costs only what is looked at.
import type { Arch, InstructionSet, SiteInstruction } from '../arch/arch.ts';
import { blankCodeMap, type CodeMap, codeMapOf, isAllData, symbolPlace } from '../arch/code-map.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { archOf } from '../arch/registry.ts';
import { hex } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import {
  ET_DYN,
  ET_EXEC,
  PF_X,
  PT_LOAD,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_TLS,
  SHT_NOBITS,
} from '../elf/constants.ts';
import type { ElfFile, Section, Segment } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import { DynamicTable } from './dynamic.ts';
import { SymbolIndex } from './symbols.ts';

/** What a pointer in the image will be when the program runs. */
export type Pointer =
  | { readonly kind: 'address'; readonly address: number }
  | { readonly kind: 'external'; readonly name: string };

export interface CodeRange {
  readonly name: string;
  /** Virtual address of the first byte. */
  readonly address: number;
  readonly code: Uint8Array;
}

/** Bytes of the longest PLT entry or veneer of any machine. */
const longestStub = 32;

/** An image that is mapped beside another one: a module. */
export interface Guest {
  readonly name: string;
  readonly image: Image;
}

export class Image {
  readonly file: ElfFile;
  readonly arch: Arch;
  readonly symbols: SymbolIndex;
  private readonly loads: readonly Segment[];
  private readonly loaded = new Map<Segment, Uint8Array>();
  private dynamicTable: DynamicTable | undefined;
  private ranges: CodeRange[] | undefined;
  private readonly maps = new Map<CodeRange, CodeMap>();
  /** Bytes written where the file has none (.bss), by address. */
  private readonly written = new Map<number, number>();
  private readonly mapped: Guest[] = [];

  /**
   * `symbols` are the file's, where another image of it has read them already.
   * Errors: `not-an-image` for an object or a file without loadable segments, `machine-unsupported`.
   */
  constructor(file: ElfFile, symbols?: SymbolIndex) {
    this.file = file;
    this.arch = archOf(file.header);
    if (file.header.type !== ET_EXEC && file.header.type !== ET_DYN) {
      throw new TextpokeError('not-an-image', 'the file is not a linked executable or shared object', {
        file: file.path,
      });
    }
    this.loads = file.segments.filter((s) => s.type === PT_LOAD && s.memsz > 0);
    if (this.loads.length === 0) {
      throw new TextpokeError('not-an-image', 'the file has no loadable segment (PT_LOAD)', {
        file: file.path,
      });
    }
    for (const load of this.loads) {
      if (load.offset + load.filesz > file.source.size || load.filesz > load.memsz) {
        throw new TextpokeError(
          'elf-truncated',
          `the segment at ${hex(load.vaddr)} needs bytes ${load.offset} to ${load.offset + load.filesz} of a file of ${file.source.size}`,
          { file: file.path },
        );
      }
    }
    this.symbols = symbols ?? new SymbolIndex(file, this.arch);
  }

  get dynamic(): DynamicTable {
    this.dynamicTable ??= new DynamicTable(this);
    return this.dynamicTable;
  }

  /** Makes the next look at dynamic relocations read them again; for whoever has changed one. */
  forgetDynamic(): void {
    this.dynamicTable = undefined;
  }

  /** True when the loader may put the image anywhere, so that pointers in it need relocations. */
  get isPositionIndependent(): boolean {
    return this.file.header.type === ET_DYN;
  }

  private segmentOf(address: number, length: number): Segment | undefined {
    return this.loads.find((s) => address >= s.vaddr && address + length <= s.vaddr + s.memsz);
  }

  /** Modules mapped beside the image, oldest first: their addresses can be asked for here as well. */
  get guests(): readonly Guest[] {
    return this.mapped;
  }
  map(guest: Guest): void {
    this.mapped.push(guest);
  }
  unmap(guest: Guest): void {
    this.mapped.splice(this.mapped.indexOf(guest), 1);
  }

  private guestAt(address: number): Image | undefined {
    if (this.mapped.length === 0) return undefined;
    return this.mapped.find(({ image }) => image.contains(address))?.image;
  }

  /** Where the memory ends that lies on the same side of address 0 as the code. */
  get end(): number {
    const isHigh = (this.code[0]?.address ?? 0) < 0;
    const own = this.loads.filter((s) => s.vaddr < 0 === isHigh).map((s) => s.vaddr + s.memsz);
    return Math.max(...own, ...this.mapped.map(({ image }) => image.end));
  }

  /** True when [address, address + length) lies in a loaded segment. */
  contains(address: number, length = 1): boolean {
    return (
      this.segmentOf(address, length) !== undefined ||
      this.mapped.some(({ image }) => image.contains(address, length))
    );
  }

  /** File offset of an address; undefined where the file has no byte for it (.bss). */
  fileOffset(address: number, length: number): number | undefined {
    const segment = this.segmentOf(address, length);
    if (!segment || address + length > segment.vaddr + segment.filesz) return undefined;
    return segment.offset + (address - segment.vaddr);
  }

  /** Bytes at an address, shared with the file's; zeros where it has none. `elf-malformed` outside the image. */
  read(address: number, length: number): Uint8Array {
    const segment = this.segmentOf(address, length);
    if (!segment) {
      const guest = this.guestAt(address);
      if (guest) return guest.read(address, length);
      throw new TextpokeError('elf-malformed', `${length} bytes at ${hex(address)} are outside the image`, {
        file: this.file.path,
      });
    }
    let bytes = this.loaded.get(segment);
    if (!bytes) {
      bytes = this.file.source.read(segment.offset, segment.filesz);
      this.loaded.set(segment, bytes);
    }
    const at = address - segment.vaddr;
    if (at + length <= segment.filesz) return bytes.subarray(at, at + length);
    const padded = new Uint8Array(length);
    if (at < segment.filesz) padded.set(bytes.subarray(at, segment.filesz));
    if (this.written.size > 0) {
      for (let i = Math.max(segment.filesz - at, 0); i < length; i++) {
        padded[i] = this.written.get(address + i) ?? 0;
      }
    }
    return padded;
  }

  /** Writes to memory: to the file's bytes, or beside them where it has none. `elf-malformed` outside the image. */
  write(address: number, bytes: Uint8Array): void {
    const guest = this.segmentOf(address, 1) ? undefined : this.guestAt(address);
    if (guest) guest.write(address, bytes);
    else if (this.fileOffset(address, bytes.length) !== undefined)
      this.read(address, bytes.length).set(bytes);
    else
      for (const [i, byte] of this.read(address, bytes.length).entries()) {
        this.written.set(address + i, bytes[i] ?? byte);
      }
  }

  /** True for memory that `write` changes in the file, or in a module, which is in no file. */
  isStored(address: number, length: number): boolean {
    return this.fileOffset(address, length) !== undefined || this.guestAt(address) !== undefined;
  }

  /** At most `length` bytes at an address, fewer where the segment ends. */
  readUpTo(address: number, length: number): Uint8Array {
    const segment = this.segmentOf(address, 1);
    if (!segment) return this.guestAt(address)?.readUpTo(address, length) ?? new Uint8Array(0);
    return this.read(address, Math.min(length, segment.vaddr + segment.memsz - address));
  }

  private view(address: number, length: number): ByteView {
    return new ByteView(this.read(address, length), this.file.header.little);
  }
  readS32(address: number): number {
    return this.view(address, 4).s32(0);
  }
  /** A long as an address; NaN where a number cannot hold it. */
  readWord(address: number): number {
    return this.arch.wordSize === 8 ? this.view(address, 8).s64(0) : this.view(address, 4).u32(0);
  }

  /** The sum of an address and a distance, which wraps round where addresses have 32 bits. */
  addressAt(base: number, distance: number): number {
    return this.arch.class === 32 ? (base + distance) >>> 0 : base + distance;
  }

  /** The signed distance from one address to another. */
  distance(from: number, to: number): number {
    return this.arch.class === 32 ? (to - from) | 0 : to - from;
  }

  /** Why the instructions at a place cannot be read: nothing but mapping symbols tells ARM from Thumb code. */
  get unreadable(): string | undefined {
    if (!this.arch.thumbBit || this.symbols.hasMapping) return undefined;
    return 'the image has no mapping symbols ($a, $t), so nothing says which code is Thumb; give it as it was before strip';
  }

  /** The instruction set of the code at a place. */
  instructionsAt(place: number): InstructionSet {
    const { arch } = this;
    if (!arch.thumbBit) return arch.instructionsOf(place);
    const range = this.codeAt(place);
    return range
      ? arch.instructionsAt(this.codeMap(range), place - range.address)
      : arch.instructionsOf(place);
  }

  /** The instruction at a place. */
  instructionAt(place: number): SiteInstruction {
    return this.instructionsAt(place).readInstruction(this.readUpTo(place, this.arch.maxSite), 0, place);
  }

  /** The pointer at an address as it will be at run time with a load base of 0. */
  readPointer(address: number): Pointer {
    const relocation = this.dynamic.at(address);
    const { dynamic } = this.arch;
    if (!relocation || relocation.type === dynamic.none)
      return { kind: 'address', address: this.readWord(address) };
    if (relocation.type === dynamic.relative) return { kind: 'address', address: relocation.addend };
    const byName = [dynamic.symbolic, dynamic.globData, dynamic.jumpSlot].includes(relocation.type);
    const table = this.file.dynsym && this.file.symbols(this.file.dynsym);
    if (!byName || !table || relocation.symbol >= table.count) {
      return { kind: 'external', name: 'a function that the loader chooses' }; // an IFUNC, for example
    }
    if (table.isUndefined(relocation.symbol))
      return { kind: 'external', name: table.name(relocation.symbol) };
    const addend = relocation.type === dynamic.symbolic ? relocation.addend : 0;
    return { kind: 'address', address: (table.value[relocation.symbol] as number) + addend };
  }

  /** Follows PLT stubs and veneers from a call's target to the function that runs. */
  callee(address: number): Pointer {
    let at = address;
    for (let hops = 0; hops < 4; hops++) {
      const stub = this.isStub(placeOf(this.arch, at)) ? this.stubAt(at) : undefined;
      if (!stub) break;
      if ('target' in stub) at = stub.target;
      else {
        const pointer = this.contains(stub.slot, this.arch.wordSize)
          ? this.readPointer(stub.slot)
          : undefined;
        if (!pointer) break;
        if (pointer.kind === 'external') return pointer;
        at = pointer.address;
      }
    }
    return { kind: 'address', address: at };
  }

  /** What the code behind a code pointer says, read as a stub. */
  private stubAt(pointer: number): ReturnType<InstructionSet['readStub']> {
    const place = placeOf(this.arch, pointer);
    return this.arch.instructionsOf(pointer).readStub(this.readUpTo(place, longestStub), 0, place);
  }

  /** Linkers put stubs into sections of their own; a function that happens to begin with a jump is none. */
  private isStub(address: number): boolean {
    return this.isVeneer(address) || (this.sectionAt(address)?.name.startsWith('.plt') ?? false);
  }

  private veneerTargets: Map<number, number> | undefined;
  private veneersByCallee: Map<number, number[]> | undefined;

  private veneerPlaces: Set<number> | undefined;

  /** The veneers that linkers put among other code, known by their names, and where each leads: code pointers. */
  private get veneers(): ReadonlyMap<number, number> {
    if (!this.veneerTargets) {
      this.veneerTargets = new Map();
      const { veneerName } = this.arch;
      if (veneerName) {
        for (const { address } of this.symbols.named((name) => veneerName.test(name))) {
          const stub = this.stubAt(address);
          if (stub && 'target' in stub) this.veneerTargets.set(address, stub.target);
        }
      }
    }
    return this.veneerTargets;
  }

  /** True when a veneer lies at a place. */
  isVeneer(place: number): boolean {
    this.veneerPlaces ??= new Set(Array.from(this.veneers.keys(), (pointer) => placeOf(this.arch, pointer)));
    return this.veneerPlaces.has(place);
  }

  /** True inside a veneer too: some of ARM's hold branches of their own (bx pc; b .-2; b target). */
  isInVeneer(address: number): boolean {
    const near = this.symbols.nearest(address);
    return near !== undefined && near.offset < longestStub && this.isVeneer(address - near.offset);
  }

  /** True for the jump and the NOP that GNU ld puts in front of veneers: it leads to whatever comes behind them. */
  jumpsOverVeneers(address: number): boolean {
    const jump = this.instructionAt(address);
    const behind = address + jump.size;
    const nop = this.instructionAt(behind);
    return jump.kind === 'jump' && nop.kind === 'nop' && this.isVeneer(behind + nop.size);
  }

  /** The veneers that lead to `target`, the nearest to `from` first; all are code pointers. */
  veneersTo(target: number, from: number): number[] {
    if (!this.veneersByCallee) {
      this.veneersByCallee = new Map();
      for (const veneer of this.veneers.keys()) {
        const callee = this.callee(veneer);
        if (callee.kind !== 'address') continue;
        const known = this.veneersByCallee.get(callee.address);
        if (known) known.push(veneer);
        else this.veneersByCallee.set(callee.address, [veneer]);
      }
    }
    const found = this.veneersByCallee.get(target) ?? [];
    return [...found].sort((a, b) => Math.abs(a - from) - Math.abs(b - from));
  }

  private alloc: Section[] | undefined;
  private allocStarts: Float64Array | undefined;

  /** The section that holds an address, if the image has section headers. */
  sectionAt(address: number): Section | undefined {
    const guest = this.guestAt(address);
    if (guest) return guest.sectionAt(address);
    this.alloc ??= this.file.sections
      .filter((s) => (s.flags & SHF_ALLOC) !== 0 && s.size > 0 && (s.flags & SHF_TLS) === 0)
      .sort((a, b) => a.addr - b.addr);
    this.allocStarts ??= Float64Array.from(this.alloc, (s) => s.addr);
    const section = this.alloc[countUpTo(this.allocStarts, address) - 1];
    return section && address < section.addr + section.size ? section : undefined;
  }

  /** Executable ranges: sections where there are headers, else executable segments. */
  get code(): readonly CodeRange[] {
    if (!this.ranges) {
      const sections = this.file.sections.filter(
        (s) =>
          (s.flags & SHF_EXECINSTR) !== 0 &&
          (s.flags & SHF_ALLOC) !== 0 &&
          s.type !== SHT_NOBITS &&
          s.size > 0,
      );
      const found =
        sections.length > 0
          ? sections.map((s) => ({ name: s.name, address: s.addr, size: s.size }))
          : this.loads
              .filter((s) => (s.flags & PF_X) !== 0)
              .map((s) => ({ name: `segment ${hex(s.vaddr)}`, address: s.vaddr, size: s.filesz }));
      this.ranges = found
        .filter((r) => this.contains(r.address, r.size))
        .map((r) => ({ name: r.name, address: r.address, code: this.read(r.address, r.size) }));
    }
    return this.ranges;
  }

  codeAt(address: number): CodeRange | undefined {
    return (
      this.code.find((r) => address >= r.address && address < r.address + r.code.length) ??
      this.guestAt(address)?.codeAt(address)
    );
  }

  codeMap(range: CodeRange): CodeMap {
    const guest = this.guestAt(range.address);
    if (guest) return guest.codeMap(range);
    let map = this.maps.get(range);
    if (!map) {
      const { table } = this.symbols;
      const members = this.symbols.between(range.address, range.address + range.code.length);
      map = table
        ? codeMapOf(
            this.arch,
            table,
            members,
            (i) => symbolPlace(this.arch, table, i) - range.address,
            range.code.length,
          )
        : blankCodeMap;
      this.maps.set(range, map);
    }
    return map;
  }

  /** True where an instruction begins, as a sweep of the code between its symbols finds them. */
  isInstructionStart(address: number): boolean {
    const range = this.codeAt(address);
    return (
      range !== undefined &&
      this.arch.startsInstruction(range.code, this.codeMap(range), address - range.address)
    );
  }

  /** True for bytes of the file that are no code, those among code included. */
  isData(address: number, length: number): boolean {
    const range = this.codeAt(address);
    if (!range) return this.fileOffset(address, length) !== undefined;
    return isAllData(this.codeMap(range), address - range.address, length);
  }

  /** `symbol+0x1c` (or `symbol`), else the bare address. */
  describe(pointer: number): string {
    const guest = this.guestAt(pointer);
    if (guest) return guest.describe(pointer);
    const address = this.codeAt(pointer) ? placeOf(this.arch, pointer) : pointer;
    const near = this.symbols.nearest(address);
    if (!near || !this.contains(address)) return hex(address);
    // A stripped image knows few symbols; the nearest may belong to another section altogether.
    const section = this.sectionAt(address);
    if (near.offset > 0 && section && section.index !== near.section) return hex(address);
    return near.offset === 0 ? near.name : `${near.name}+0x${near.offset.toString(16)}`;
  }

  private initText: readonly (readonly [start: number, end: number])[] | undefined;

  /** True for code that is freed after start-up: .init.text, .exit.text or between _sinittext and _einittext. */
  isInitText(address: number): boolean {
    const guest = this.guestAt(address);
    // A module keeps its .exit.text as long as it is loaded (kernel/module/main.c, module_init_section).
    if (guest) return guest.sectionAt(address)?.name.startsWith('.init') ?? false;
    if (!this.initText) {
      const start = this.symbols.addressOf('_sinittext');
      const end = this.symbols.addressOf('_einittext');
      this.initText = [
        ...(start !== undefined && end !== undefined ? [[start, end] as const] : []),
        ...this.file.sections
          .filter(({ name, size }) => (name === '.init.text' || name === '.exit.text') && size > 0)
          .map(({ addr, size }) => [addr, addr + size] as const),
      ];
    }
    return this.initText.some(([start, end]) => address >= start && address < end);
  }

  /** True for .exit.text: a kernel that is linked as one image never runs it. */
  isExitText(address: number): boolean {
    return this.guestAt(address) === undefined && this.sectionAt(address)?.name === '.exit.text';
  }
}
