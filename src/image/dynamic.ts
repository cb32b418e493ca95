// Dynamic relocations of an image: what the loader will make of a pointer, and how to change it in the file
// (gABI chapter 5, "Dynamic Section"; DT_RELR: gABI "Relative Relocation Table").
import type { Arch } from '../arch/arch.ts';
import { ByteView } from '../bytes/view.ts';
import {
  DT_JMPREL,
  DT_NULL,
  DT_PLTRELSZ,
  DT_RELA,
  DT_RELACOUNT,
  DT_RELASZ,
  DT_RELR,
  DT_RELRSZ,
  PT_DYNAMIC,
} from '../elf/constants.ts';
import { Rela } from '../elf/records.ts';
import type { Image } from './image.ts';

export interface DynamicRelocation {
  /** Virtual address of the record itself. */
  readonly record: number;
  readonly type: number;
  readonly symbol: number;
  readonly addend: number;
}

/** Relocations by the address they fill. */
export class DynamicTable {
  private readonly byPlace = new Map<number, DynamicRelocation>();
  private readonly packed = new Set<number>();
  /** Where .rela.dyn lies, and where DT_RELACOUNT's value stands, if it has one. */
  private readonly rela: { address: number; size: number } | undefined;
  private readonly relaCountAt: number | undefined;
  private readonly image: Image;

  constructor(image: Image) {
    this.image = image;
    const segment = image.file.segments.find((s) => s.type === PT_DYNAMIC);
    if (!segment || image.arch.wordSize !== 8) return;
    const tags = new Map<number, { value: number; at: number }>();
    for (let at = segment.vaddr; at + 16 <= segment.vaddr + segment.filesz; at += 16) {
      const tag = image.readWord(at);
      if (tag === DT_NULL) break;
      tags.set(tag, { value: image.readWord(at + 8), at: at + 8 });
    }
    const range = (address: number, size: number) => {
      const from = tags.get(address)?.value;
      const bytes = tags.get(size)?.value;
      return from !== undefined && bytes ? { address: from, size: bytes } : undefined;
    };
    this.rela = range(DT_RELA, DT_RELASZ);
    this.relaCountAt = tags.get(DT_RELACOUNT)?.at;
    for (const table of [range(DT_JMPREL, DT_PLTRELSZ), this.rela]) if (table) this.readRela(table);
    const relr = range(DT_RELR, DT_RELRSZ);
    if (relr) this.readRelr(relr);
  }

  private readRela(table: { address: number; size: number }): void {
    const view = new ByteView(this.image.read(table.address, table.size), this.image.file.header.little);
    const { size } = Rela[64];
    for (let at = 0; at + size <= table.size; at += size) {
      this.byPlace.set(view.s64(at), {
        record: table.address + at,
        type: view.u32(at + 8),
        symbol: view.u32(at + 12),
        addend: view.s64(at + 16),
      });
    }
  }

  private readRelr(table: { address: number; size: number }): void {
    const view = new ByteView(this.image.read(table.address, table.size), this.image.file.header.little);
    let next = 0;
    for (let at = 0; at + 8 <= table.size; at += 8) {
      const word = view.u64(at);
      if ((word & 1n) === 0n) {
        this.packed.add(Number(word));
        next = Number(word) + 8;
        continue;
      }
      for (let bit = 1; bit < 64; bit++)
        if ((word >> BigInt(bit)) & 1n) this.packed.add(next + (bit - 1) * 8);
      next += 63 * 8;
    }
  }

  /** The relocation that fills the pointer at an address. */
  at(address: number): DynamicRelocation | undefined {
    return this.byPlace.get(address);
  }

  /** True when a packed relative relocation (DT_RELR) adds the load base to the pointer at an address. */
  isPacked(address: number): boolean {
    return this.packed.has(address);
  }

  /** The record's new bytes for `type` and `addend` without a symbol. */
  encode(arch: Arch, type: number, place: number, addend: number): Uint8Array {
    const bytes = new Uint8Array(Rela[64].size);
    const view = new ByteView(bytes, this.image.file.header.little);
    view.setS64(0, place);
    view.setU64(8, BigInt(type));
    view.setS64(16, type === arch.dynamic.none ? 0 : addend);
    return bytes;
  }

  /** True when pointers with a relative relocation hold its addend as well, as GNU ld leaves them and lld does not. */
  repeatsAddends(arch: Arch): boolean {
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
    if (this.relaCountAt === undefined || !this.rela) return undefined;
    let count = 0;
    for (; (count + 1) * Rela[64].size <= this.rela.size; count++) {
      const record = this.image.read(this.rela.address + count * Rela[64].size, Rela[64].size);
      if (new ByteView(record, this.image.file.header.little).u32(8) !== arch.dynamic.relative) break;
    }
    return { at: this.relaCountAt, count };
  }
}
