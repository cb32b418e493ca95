// Code in an image's memory: the sections and ranges that hold it, and the instructions at a place.

import type { InstructionSet, SiteInstruction } from '../arch/arch.ts';
import { blankCodeMap, type CodeMap, codeMapOf, isAllData, symbolPlace } from '../arch/code-map.ts';
import { hex } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import type { Frame } from '../dwarf/frames.ts';
import { PF_X, SHF_ALLOC, SHF_EXECINSTR, SHF_TLS, SHF_WRITE, SHT_NOBITS } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { AddressSpace } from './address-space.ts';
import { framesOfImage } from './frames.ts';
import { AddressOrder } from './loads.ts';
import { type NearSymbol, type SymbolIndex, symbolsOf } from './symbols.ts';

export interface CodeRange {
  readonly name: string;
  /** Virtual address of the first byte. */
  readonly address: number;
  /** In bytes. */
  readonly size: number;
  /** Read when it is first asked for: that of a dump is no view of anything. */
  readonly code: Uint8Array;
}

/** What symbols say of ranges of code, by address and length. */
const mapsBySymbols = new WeakMap<SymbolIndex, Map<string, CodeMap>>();

export class CodeSpace extends AddressSpace {
  readonly symbols: SymbolIndex;
  private alloc: AddressOrder<Section> | undefined;
  private ranges: CodeRange[] | undefined;
  private unwound: readonly Frame[] | undefined;
  private frameStarts: Float64Array | undefined;
  private codeOrder: AddressOrder<CodeRange> | undefined;
  private readonly maps = new Map<CodeRange, CodeMap>();

  /** `symbols` are the file's, where another image of it has read them already. Errors as `AddressSpace`. */
  constructor(file: ElfFile, symbols?: SymbolIndex) {
    super(file);
    this.symbols = symbols ?? symbolsOf(file, this.arch);
  }

  /** The section that holds an address, if the image has section headers. */
  sectionAt(address: Address): Section | undefined {
    const guest = this.guestAt(address);
    if (guest) return guest.sectionAt(address);
    this.alloc ??= new AddressOrder(
      this.file.sections.filter(({ flags }) => (flags & SHF_ALLOC) !== 0 && (flags & SHF_TLS) === 0),
      ({ addr, size }) => [addr, size],
    );
    return this.alloc.at(address);
  }

  /** The symbol that names an address; undefined where none does. */
  symbolAt(address: Address): NearSymbol | undefined {
    const guest = this.guestAt(address);
    return guest ? guest.symbolAt(address) : this.symbols.nearest(address, this.sectionAt(address)?.index);
  }

  /** Types of the named symbols that begin at an address. */
  symbolsAt(address: Address): number[] {
    const guest = this.guestAt(address);
    if (guest) return guest.symbolsAt(address);
    return this.symbols.typesAt(address);
  }

  /** Executable ranges in order of address: sections where there are headers, else executable segments. */
  get code(): readonly CodeRange[] {
    if (!this.ranges) {
      const sections = this.file.sections.filter((s) => this.isCode(s));
      const found =
        sections.length > 0
          ? sections.map((s) => ({ name: s.name, address: s.addr, size: s.size }))
          : this.loads
              .filter((s) => (s.flags & PF_X) !== 0)
              .map((s) => ({ name: `segment ${hex(s.vaddr)}`, address: s.vaddr, size: s.filesz }));
      const inMemory = found.filter(({ address, size }) => this.contains(address, size));
      // Each address once, however often headers have it: every one of these bytes is gone through.
      this.ranges = new AddressOrder(inMemory, ({ address, size }) => [address, size]).ranges(
        ({ name }, address, size) => this.rangeOf(name, address, size),
      );
    }
    return this.ranges;
  }

  private rangeOf(name: string, address: number, size: number): CodeRange {
    let code: Uint8Array | undefined;
    const read = () => {
      code ??= this.read(address, size);
      return code;
    };
    return {
      ...{ name, address, size },
      get code() {
        return read();
      },
    };
  }

  /**
   * True for a section of code. Flags of sections are what the assembler was told: a kernel's .data is writable and
   * executable since 6.18, and its segment is not executable. So of a section that is both, the segment decides; of
   * others it does not, since a kernel's init text lies in the segment of its data.
   */
  private isCode({ flags, type, size, addr }: Section): boolean {
    const isMarked = (flags & SHF_ALLOC) !== 0 && (flags & SHF_EXECINSTR) !== 0;
    if (!isMarked || type === SHT_NOBITS || size === 0) return false;
    return (flags & SHF_WRITE) === 0 || ((this.segmentAt(addr)?.flags ?? 0) & PF_X) !== 0;
  }

  codeAt(address: Address): CodeRange | undefined {
    this.codeOrder ??= new AddressOrder(this.code, ({ address, size }) => [address, size]);
    return this.codeOrder.at(address) ?? this.guestAt(address)?.codeAt(address);
  }

  codeMap(range: CodeRange): CodeMap {
    const guest = this.guestAt(range.address);
    if (guest) return guest.codeMap(range);
    let map = this.maps.get(range);
    if (!map) {
      const { table } = this.symbols;
      map = this.mapBySymbols(range);
      if (this.arch.lockPrefix && (!table || this.symbols.dynamicOnly)) map = this.withFrames(range, map);
      this.maps.set(range, map);
    }
    return map;
  }

  /** What the symbols say, which is the same in each image that has them: in an object of its own, as code is remembered by it. */
  private mapBySymbols({ address, size }: CodeRange): CodeMap {
    const { symbols, arch } = this;
    const { table } = symbols;
    if (!table) return blankCodeMap;
    let known = mapsBySymbols.get(symbols);
    if (!known) {
      known = new Map();
      mapsBySymbols.set(symbols, known);
    }
    const key = `${address} ${size}`;
    let map = known.get(key);
    if (!map) {
      const members = symbols.between(address, address + size);
      map = codeMapOf(arch, table, members, (i) => symbolPlace(arch, table, i) - address, size);
      known.set(key, map);
    }
    return { ...map };
  }

  /** The functions in a range of code that the unwind tables describe, in order of address. */
  framesIn({ address, size }: CodeRange): readonly Frame[] {
    this.unwound ??= framesOfImage(this);
    this.frameStarts ??= Float64Array.from(this.unwound, ({ start }) => start);
    const { frameStarts } = this;
    const [from, to] = [address, address + size].map((end) => countUpTo(frameStarts, end - 1));
    return this.unwound.slice(from, to);
  }

  /** Where symbols are missing, unwind tables still say where functions begin, whatever data lies in front of them. */
  private withFrames(range: CodeRange, map: CodeMap): CodeMap {
    const starts = new Set(map.starts);
    for (const { start } of this.framesIn(range)) starts.add(start - range.address);
    return { ...map, starts: Uint32Array.from(starts).sort() };
  }

  /** What was found out about the old code is forgotten with its map. */
  override write(address: Address, bytes: Uint8Array): void {
    super.write(address, bytes);
    const range = this.maps.size > 0 ? this.codeAt(address) : undefined;
    const map = range && this.maps.get(range);
    if (range && map) this.maps.set(range, { ...map });
  }

  /** True where an instruction begins, as a sweep of the code between its symbols finds them. */
  isInstructionStart(address: Address): boolean {
    const range = this.codeAt(address);
    return (
      range !== undefined &&
      this.arch.startsInstruction(range.code, this.codeMap(range), address - range.address)
    );
  }

  /** True for bytes of the file that are no code, those among code included. */
  isData(address: Address, length: number): boolean {
    const range = this.codeAt(address);
    if (!range) return this.fileOffset(address, length) !== undefined;
    return isAllData(this.codeMap(range), address - range.address, length);
  }

  /** Where the memory ends that lies on the same side of address 0 as the code. */
  get end(): number {
    const isHigh = (this.code[0]?.address ?? 0) < 0;
    let end = Number.NEGATIVE_INFINITY;
    for (const { vaddr, memsz } of this.loads) {
      if (vaddr < 0 === isHigh) end = Math.max(end, vaddr + memsz);
    }
    return this.guests.reduce((last, { image }) => Math.max(last, image.end), end);
  }

  /** Why the instructions at a place cannot be read: nothing but mapping symbols tells ARM from Thumb code. */
  get unreadable(): string | undefined {
    if (!this.arch.thumbBit || this.symbols.hasMapping) return undefined;
    return 'the image has no mapping symbols ($a, $t), which separate ARM code from Thumb code; use the image as it was before strip';
  }

  /** The instruction set of the code at a place. */
  instructionsAt(place: Address): InstructionSet {
    const { arch } = this;
    const range = arch.thumbBit ? this.codeAt(place) : undefined;
    // Where nothing else says, it is the set that a code pointer without Thumb bit leads to.
    return range
      ? arch.instructionsAt(this.codeMap(range), place - range.address)
      : arch.instructionsOf(place as number);
  }

  /** The instruction at a place. */
  instructionAt(place: Address): SiteInstruction {
    return this.instructionsAt(place).readInstruction(this.readUpTo(place, this.arch.maxSite), 0, place);
  }
}
