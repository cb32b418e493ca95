// Dynamic relocations of an image: what the loader will make of a pointer, and how to change it in the file
// (gABI chapter 5, "Dynamic Section"; DT_RELR: gABI "Relative Relocation Table").

import type { Arch } from '../arch/arch.ts';
import type { Address, CodePointer, SymbolNumber } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import {
  DT_JMPREL,
  DT_NULL,
  DT_PLTREL,
  DT_PLTRELSZ,
  DT_REL,
  DT_RELA,
  DT_RELACOUNT,
  DT_RELASZ,
  DT_RELCOUNT,
  DT_RELR,
  DT_RELRSZ,
  DT_RELSZ,
  PT_DYNAMIC,
  SHF_ALLOC,
  SHT_REL,
  SHT_RELA,
  SHT_RELR,
} from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { Rel, Rela } from '../elf/records.ts';
import { readRelocations } from '../elf/relocations.ts';
import { packInfo32 } from '../elf/renumber.ts';
import { PackedRelocations } from './packed-relocations.ts';

/** What a pointer in the image will be when the program runs. */
export type Pointer =
  | { readonly kind: 'address'; readonly address: CodePointer }
  | { readonly kind: 'external'; readonly name: string };

/** The image as relocations are read from it. */
export interface RelocatedMemory {
  readonly file: ElfFile;
  readonly arch: Arch;
  contains(address: Address, length?: number): boolean;
  read(address: Address, length: number): Uint8Array;
  readWord(address: Address): number;
}

export interface DynamicRelocation {
  /** Virtual address of the record itself, and its size in bytes. */
  readonly record: Address;
  readonly size: number;
  readonly type: number;
  readonly symbol: SymbolNumber;
  /** Of the record, or (REL) what stands in the pointer that it fills. */
  readonly addend: number;
}

interface Table {
  readonly address: number;
  readonly size: number;
  readonly rela: boolean;
}

/** Relocations by the address they fill. Where they lie is read once; what they say is read from memory when it is asked. */
export class DynamicTable {
  /** Those of DT_JMPREL first, so that one of the main table counts where both fill a place. */
  private readonly tables: Table[] = [];
  /** The places that relocations fill, ascending, and the numbers of the relocations, over all tables. */
  private places: Float64Array;
  private readonly order: Uint32Array;
  private readonly packed: PackedRelocations;
  /** .rela.dyn or .rel.dyn, and where the value of DT_RELACOUNT or DT_RELCOUNT stands, if it has one. */
  private readonly main: Table | undefined;
  private readonly countAt: number | undefined;
  private readonly image: RelocatedMemory;
  private repeats: boolean | undefined;
  /** How many leading records of the main table are relative. */
  private leading: number | undefined;

  constructor(image: RelocatedMemory) {
    this.image = image;
    const segment = image.file.segments.find((s) => s.type === PT_DYNAMIC);
    let packed: Table | undefined;
    if (segment) {
      const { table, countAt, lazy, relr } = readTags(image, segment.vaddr, segment.filesz);
      this.main = table;
      this.countAt = countAt;
      for (const found of [lazy, table]) if (found) this.tables.push(found);
      packed = relr;
    } else {
      // An arm64 kernel moves itself: it has relocations in memory, and no dynamic segment that says where.
      const inMemory = image.file.sections.filter((s) => (s.flags & SHF_ALLOC) !== 0 && s.size > 0);
      for (const { addr, size, type } of inMemory) {
        if (type === SHT_RELA || type === SHT_REL)
          this.tables.push({ address: addr, size, rela: type === SHT_RELA });
      }
      this.main = this.tables[0];
      const relr = inMemory.find(({ type }) => type === SHT_RELR);
      packed = relr && { address: relr.addr, size: relr.size, rela: false };
    }
    const words = packed ? image.read(packed.address, Math.max(packed.size, 0)) : new Uint8Array(0);
    this.packed = new PackedRelocations(new ByteView(words, image.file.header.little), image.arch.wordSize);
    const offsets = this.tables.map((table) => this.records(table).offset);
    const count = offsets.reduce((sum, { length }) => sum + length, 0);
    this.places = new Float64Array(count);
    let at = 0;
    for (const some of offsets) {
      this.places.set(some, at);
      at += some.length;
    }
    const { places } = this;
    this.order = Uint32Array.from(places.keys());
    if (places.some((place, i) => i > 0 && !((places[i - 1] as number) <= place))) {
      this.order.sort((a, b) => (places[a] as number) - (places[b] as number) || a - b);
      this.places = Float64Array.from(this.order, (i) => places[i] as number);
    }
  }

  private sizeOf({ rela }: Table): number {
    return (rela ? Rela : Rel)[this.image.arch.class].size;
  }

  private records({ address, size, rela }: Table): ReturnType<typeof readRelocations> {
    return readRelocations({
      header: this.image.file.header,
      bytes: this.image.read(address, size - (size % this.sizeOf({ address, size, rela }))),
      rela,
      section: 0,
      target: 0,
      name: 'dynamic relocations',
      symbolCount: Number.POSITIVE_INFINITY,
    });
  }

  /** The relocation that fills the pointer at an address. */
  at(address: Address): DynamicRelocation | undefined {
    const found = countUpTo(this.places, address) - 1;
    return this.places[found] === address ? this.relocation(this.order[found] as number, address) : undefined;
  }

  private relocation(number: number, place: Address): DynamicRelocation {
    let index = number;
    let [table] = this.tables as [Table];
    for (const one of this.tables) {
      table = one;
      const count = Math.floor(table.size / this.sizeOf(table));
      if (index < count) break;
      index -= count;
    }
    const size = this.sizeOf(table);
    const record = table.address + index * size;
    const { type, symbol, addend } = this.records({ address: record, size, rela: table.rela });
    const isStored = this.image.contains(place, this.image.arch.wordSize);
    return {
      record,
      size,
      type: type[0] as number,
      symbol: symbol[0] as number,
      addend: table.rela ? (addend[0] as number) : isStored ? this.image.readWord(place) : 0,
    };
  }

  /** To be told of a record whose type has changed; without one, of any number of them. */
  changed(record?: Address): void {
    const { main, leading } = this;
    const index = main && record !== undefined ? (record - main.address) / this.sizeOf(main) : 0;
    if (leading === undefined || !main || !(index <= leading)) return;
    // All in front of it are relative still.
    this.leading = record === undefined ? undefined : this.relativeFrom(main, index);
  }

  /** The pointer at an address as it will be at run time with a load base of 0. */
  pointerAt(address: Address): Pointer {
    const relocation = this.at(address);
    const { file, arch } = this.image;
    const { dynamic } = arch;
    if (!relocation || relocation.type === dynamic.none)
      return { kind: 'address', address: this.image.readWord(address) };
    if (relocation.type === dynamic.relative) return { kind: 'address', address: relocation.addend };
    const byName = [dynamic.symbolic, dynamic.globData, dynamic.jumpSlot].includes(relocation.type);
    const table = file.dynsym && file.symbols(file.dynsym);
    if (!byName || !table || relocation.symbol >= table.count) {
      return { kind: 'external', name: 'a function that the loader chooses' }; // an IFUNC, for example
    }
    if (table.isUndefined(relocation.symbol))
      return { kind: 'external', name: table.name(relocation.symbol) };
    const addend = relocation.type === dynamic.symbolic ? relocation.addend : 0;
    return { kind: 'address', address: (table.value[relocation.symbol] as number) + addend };
  }

  /** What a change of the pointer at an address writes to: the pointer, and the relocation that makes it. */
  rangesOf(address: Address): (readonly [address: number, length: number])[] {
    const relocation = this.at(address);
    const pointer = [address, this.image.arch.wordSize] as const;
    return relocation ? [pointer, [relocation.record, relocation.size]] : [pointer];
  }

  /** True when a packed relative relocation (DT_RELR) adds the load base to the pointer at an address. */
  isPacked(address: Address): boolean {
    return this.packed.has(address);
  }

  /** A record's new bytes for `type` and `addend` without a symbol. */
  encode(arch: Arch, { size }: DynamicRelocation, type: number, place: number, addend: number): Uint8Array {
    const bytes = new Uint8Array(size);
    const view = new ByteView(bytes, this.image.file.header.little);
    const stored = type === arch.dynamic.none ? 0 : addend;
    if (arch.class === 64) {
      view.setS64(0, place);
      view.setU64(8, BigInt(type));
      if (size === Rela[64].size) view.setS64(16, stored);
    } else {
      view.setU32(0, place);
      view.setU32(4, packInfo32(0, type));
      if (size === Rela[32].size) view.setU32(8, stored >>> 0);
    }
    return bytes;
  }

  /**
   * True when pointers with a relative relocation hold its addend: always with REL, which has it nowhere else;
   * with RELA as well when GNU ld made the image, and not when lld did.
   */
  repeatsAddends(arch: Arch): boolean {
    this.repeats ??= this.main?.rela === false || this.doesRepeat(arch);
    return this.repeats;
  }

  private doesRepeat(arch: Arch): boolean {
    for (const table of this.tables) {
      const { offset, type, addend, count } = this.records(table);
      for (let i = 0; i < count; i++) {
        if (type[i] !== arch.dynamic.relative || addend[i] === 0) continue;
        const place = offset[i] as number;
        if (this.image.contains(place, arch.wordSize)) return this.image.readWord(place) === addend[i];
      }
    }
    return false;
  }

  /**
   * DT_RELACOUNT promises that so many leading records are relative, and glibc asserts it: where its value
   * stands, and what it has to be for the records as they are now.
   */
  relativeCount(): { at: number; count: number } | undefined {
    if (this.countAt === undefined || !this.main) return undefined;
    this.leading ??= this.relativeFrom(this.main, 0);
    return { at: this.countAt, count: this.leading };
  }

  /** How many leading records are relative, of which those in front of number `from` are known to be. */
  private relativeFrom(table: Table, from: number): number {
    const size = this.sizeOf(table);
    const skipped = from * size;
    const { address, rela } = table;
    const { type, count } = this.records({ address: address + skipped, size: table.size - skipped, rela });
    let relative = 0;
    while (relative < count && type[relative] === this.image.arch.dynamic.relative) relative++;
    return from + relative;
  }
}

/** The tables that the dynamic segment tells of. */
function readTags(image: RelocatedMemory, start: Address, size: number) {
  const word = image.arch.wordSize;
  const tags = new Map<number, { value: number; at: number }>();
  for (let at = start; at + 2 * word <= start + size; at += 2 * word) {
    const tag = image.readWord(at);
    if (tag === DT_NULL) break;
    tags.set(tag, { value: image.readWord(at + word), at: at + word });
  }
  const tableOf = (addressTag: number, sizeTag: number, rela: boolean): Table | undefined => {
    const address = tags.get(addressTag)?.value;
    const bytes = tags.get(sizeTag)?.value;
    return address !== undefined && bytes ? { address, size: bytes, rela } : undefined;
  };
  const table = tableOf(DT_RELA, DT_RELASZ, true) ?? tableOf(DT_REL, DT_RELSZ, false);
  return {
    table,
    countAt: tags.get(table?.rela === false ? DT_RELCOUNT : DT_RELACOUNT)?.at,
    lazy: tableOf(DT_JMPREL, DT_PLTRELSZ, tags.get(DT_PLTREL)?.value === DT_RELA),
    relr: tableOf(DT_RELR, DT_RELRSZ, false),
  };
}
