// Dynamic relocations of an image: what the loader will make of a pointer, and how to change it in the file
// (gABI chapter 5, "Dynamic Section"; DT_RELR: gABI "Relative Relocation Table").

import type { Arch } from '../arch/arch.ts';
import type { Address, CodePointer, SymbolNumber } from '../bytes/named-numbers.ts';
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

/** Relocations by the address they fill. */
export class DynamicTable {
  private readonly byPlace = new Map<number, DynamicRelocation>();
  private readonly packed = new Set<number>();
  /** .rela.dyn or .rel.dyn, and where the value of DT_RELACOUNT or DT_RELCOUNT stands, if it has one. */
  private readonly main: Table | undefined;
  private readonly countAt: number | undefined;
  private readonly image: RelocatedMemory;

  constructor(image: RelocatedMemory) {
    this.image = image;
    const segment = image.file.segments.find((s) => s.type === PT_DYNAMIC);
    if (!segment) {
      this.main = this.readSections();
      return;
    }
    const word = image.arch.wordSize;
    const tags = new Map<number, { value: number; at: number }>();
    for (let at = segment.vaddr; at + 2 * word <= segment.vaddr + segment.filesz; at += 2 * word) {
      const tag = image.readWord(at);
      if (tag === DT_NULL) break;
      tags.set(tag, { value: image.readWord(at + word), at: at + word });
    }
    const table = (addressTag: number, sizeTag: number, rela: boolean): Table | undefined => {
      const address = tags.get(addressTag)?.value;
      const size = tags.get(sizeTag)?.value;
      return address !== undefined && size ? { address, size, rela } : undefined;
    };
    this.main = table(DT_RELA, DT_RELASZ, true) ?? table(DT_REL, DT_RELSZ, false);
    this.countAt = tags.get(this.main?.rela === false ? DT_RELCOUNT : DT_RELACOUNT)?.at;
    const lazy = table(DT_JMPREL, DT_PLTRELSZ, tags.get(DT_PLTREL)?.value === DT_RELA);
    for (const found of [lazy, this.main]) if (found) this.read(found);
    const relr = table(DT_RELR, DT_RELRSZ, false);
    if (relr) this.readRelr(relr);
  }

  /** An arm64 kernel moves itself: it has relocations in memory, and no dynamic segment that says where. */
  private readSections(): Table | undefined {
    const inMemory = this.image.file.sections.filter((s) => (s.flags & SHF_ALLOC) !== 0 && s.size > 0);
    const tables = inMemory.filter(({ type }) => type === SHT_RELA || type === SHT_REL);
    const found = tables.map(({ addr, size, type }) => ({ address: addr, size, rela: type === SHT_RELA }));
    for (const table of found) this.read(table);
    const packed = inMemory.find(({ type }) => type === SHT_RELR);
    if (packed) this.readRelr({ address: packed.addr, size: packed.size, rela: false });
    return found[0];
  }

  private records({ address, size, rela }: Table): ReturnType<typeof readRelocations> {
    const record = (rela ? Rela : Rel)[this.image.arch.class].size;
    return readRelocations({
      header: this.image.file.header,
      bytes: this.image.read(address, size - (size % record)),
      rela,
      section: 0,
      target: 0,
      name: 'dynamic relocations',
      symbolCount: Number.POSITIVE_INFINITY,
    });
  }

  private read(table: Table): void {
    const { offset, type, symbol, addend, count } = this.records(table);
    const { size } = (table.rela ? Rela : Rel)[this.image.arch.class];
    for (let i = 0; i < count; i++) {
      const place = offset[i] as number;
      const isStored = table.rela || this.image.contains(place, this.image.arch.wordSize);
      this.byPlace.set(place, {
        record: table.address + i * size,
        size,
        type: type[i] as number,
        symbol: symbol[i] as number,
        addend: table.rela ? (addend[i] as number) : isStored ? this.image.readWord(place) : 0,
      });
    }
  }

  private readRelr(table: Table): void {
    const word = this.image.arch.wordSize;
    const view = new ByteView(this.image.read(table.address, table.size), this.image.file.header.little);
    let next = 0;
    for (let at = 0; at + word <= table.size; at += word) {
      const bits = word === 8 ? view.u64(at) : BigInt(view.u32(at));
      if ((bits & 1n) === 0n) {
        const place = word === 8 ? Number(BigInt.asIntN(64, bits)) : Number(bits);
        this.packed.add(place);
        next = place + word;
        continue;
      }
      for (let bit = 1; bit < 8 * word; bit++)
        if ((bits >> BigInt(bit)) & 1n) this.packed.add(next + (bit - 1) * word);
      next += (8 * word - 1) * word;
    }
  }

  /** The relocation that fills the pointer at an address. */
  at(address: Address): DynamicRelocation | undefined {
    return this.byPlace.get(address);
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
    if (this.main?.rela === false) return true;
    for (const [place, { type, addend }] of this.byPlace) {
      if (type !== arch.dynamic.relative || addend === 0 || !this.image.contains(place, arch.wordSize))
        continue;
      return this.image.readWord(place) === addend;
    }
    return false;
  }

  /**
   * DT_RELACOUNT promises that so many leading records are relative, and glibc asserts it: where its value
   * stands, and what it has to be for the records as they are now.
   */
  relativeCount(arch: Arch): { at: number; count: number } | undefined {
    if (this.countAt === undefined || !this.main) return undefined;
    const { type, count } = this.records(this.main);
    let relative = 0;
    while (relative < count && type[relative] === arch.dynamic.relative) relative++;
    return { at: this.countAt, count: relative };
  }
}
