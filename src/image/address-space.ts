// The memory of a linked image: bytes, numbers and pointers by virtual address, and those of modules mapped beside it.
// Segments are read when first touched, so a large image costs only what is looked at.

import type { Arch } from '../arch/arch.ts';
import { archOf } from '../arch/registry.ts';
import { hex } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { s32In, s64In } from '../bytes/view.ts';
import { ET_DYN, ET_EXEC } from '../elf/constants.ts';
import type { ElfFile, Segment } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import { DynamicTable, type Pointer } from './dynamic.ts';
import { AddressOrder, loadsOf } from './loads.ts';

/** An image that is mapped beside another one, as a module is. */
export interface Mapped<Space> {
  readonly name: string;
  readonly image: Space;
}

/** A segment of such an image. */
interface MappedLoad<Space> {
  readonly image: Space;
  readonly load: Segment;
}

/** Bytes without a place in the file that may be asked for at once. */
const mostZeros = 1 << 20;

export class AddressSpace {
  readonly file: ElfFile;
  readonly arch: Arch;
  /** In order of address. */
  protected readonly loads: readonly Segment[];
  private readonly segmentOrder: AddressOrder<Segment>;
  private fileOrder: AddressOrder<Segment> | undefined;
  private readonly loaded = new Map<Segment, Uint8Array>();
  /** Bytes written where the file has none (.bss), by address. */
  private readonly written = new Map<number, number>();
  private readonly mapped: Mapped<this>[] = [];
  private guestOrder: AddressOrder<MappedLoad<this>> | undefined;
  private dynamicTable: DynamicTable | undefined;

  /** Errors: `not-an-image` for an object or a file without loadable segments, `machine-unsupported`. */
  constructor(file: ElfFile) {
    this.file = file;
    this.arch = archOf(file.header);
    if (file.header.type !== ET_EXEC && file.header.type !== ET_DYN) {
      throw new TextpokeError('not-an-image', 'the file is not a linked executable or shared object', {
        file: file.path,
      });
    }
    this.loads = loadsOf(file);
    this.segmentOrder = new AddressOrder(this.loads, ({ vaddr, memsz }) => [vaddr, memsz]);
  }

  private segmentOf(address: Address, length: number): Segment | undefined {
    const segment = this.segmentOrder.at(address);
    return segment && address + length <= segment.vaddr + segment.memsz ? segment : undefined;
  }

  /** The segment that an address lies in. */
  segmentAt(address: Address): Segment | undefined {
    return this.segmentOf(address, 1);
  }

  /** Modules mapped beside the image, oldest first: their addresses can be asked for here as well. */
  get guests(): readonly Mapped<this>[] {
    return this.mapped;
  }
  map(guest: Mapped<this>): void {
    this.mapped.push(guest);
    this.guestOrder = undefined;
  }
  unmap(guest: Mapped<this>): void {
    this.mapped.splice(this.mapped.indexOf(guest), 1);
    this.guestOrder = undefined;
  }

  /** The module that an address lies in. */
  protected guestAt(address: Address): this | undefined {
    if (this.mapped.length === 0) return undefined;
    // Code and data of a module may lie far apart, with other modules between them.
    this.guestOrder ??= new AddressOrder(
      this.mapped.flatMap(({ image }) => image.loads.map((load) => ({ image, load }))),
      ({ load }) => [load.vaddr, load.memsz],
    );
    return this.guestOrder.at(address)?.image;
  }

  /** True when [address, address + length) lies in a loaded segment. */
  contains(address: Address, length = 1): boolean {
    return (
      this.segmentOf(address, length) !== undefined ||
      this.guestAt(address)?.contains(address, length) === true
    );
  }

  /** File offset of an address; undefined where the file has no byte for it (.bss). */
  fileOffset(address: Address, length: number): number | undefined {
    const segment = this.segmentOf(address, length);
    if (!segment || address + length > segment.vaddr + segment.filesz) return undefined;
    return segment.offset + (address - segment.vaddr);
  }

  /** The address of a byte of the file; undefined for one that is not loaded. */
  addressOfByte(offset: number): Address | undefined {
    this.fileOrder ??= new AddressOrder(this.loads, (segment) => [segment.offset, segment.filesz]);
    const segment = this.fileOrder.at(offset);
    return segment && segment.vaddr + (offset - segment.offset);
  }

  /** Bytes at an address, shared with the file's; zeros where it has none. `elf-malformed` outside the image. */
  read(address: Address, length: number): Uint8Array {
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
    // A header may claim any number of bytes of a .bss, where there is nothing to read.
    if (length > mostZeros + this.file.source.size) {
      throw new TextpokeError(
        'elf-malformed',
        `${length} bytes at ${hex(address)} are needed, most of which the file does not have`,
        { file: this.file.path },
      );
    }
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
  write(address: Address, bytes: Uint8Array): void {
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
  isStored(address: Address, length: number): boolean {
    return this.fileOffset(address, length) !== undefined || this.guestAt(address) !== undefined;
  }

  /** At most `length` bytes at an address, fewer where the segment ends. */
  readUpTo(address: Address, length: number): Uint8Array {
    const segment = this.segmentOf(address, 1);
    if (!segment) return this.guestAt(address)?.readUpTo(address, length) ?? new Uint8Array(0);
    return this.read(address, Math.min(length, segment.vaddr + segment.memsz - address));
  }

  readS32(address: Address): number {
    return s32In(this.read(address, 4), 0, this.file.header.little);
  }
  /** A long as an address; NaN where a number cannot hold it. */
  readWord(address: Address): number {
    const { little } = this.file.header;
    return this.arch.wordSize === 8
      ? s64In(this.read(address, 8), 0, little)
      : s32In(this.read(address, 4), 0, little) >>> 0;
  }

  /** The sum of an address and a distance, which wraps round where addresses have 32 bits. */
  addressAt(base: number, distance: number): number {
    return this.arch.class === 32 ? (base + distance) >>> 0 : base + distance;
  }

  /** The signed distance from one address to another. */
  distance(from: number, to: number): number {
    return this.arch.class === 32 ? (to - from) | 0 : to - from;
  }

  get dynamic(): DynamicTable {
    this.dynamicTable ??= new DynamicTable(this);
    return this.dynamicTable;
  }

  /** Makes the next look at dynamic relocations read them again; for whoever may have changed some. */
  forgetDynamic(): void {
    this.dynamicTable?.changed();
  }

  /** True when the loader may put the image anywhere, so that pointers in it need relocations. */
  get isPositionIndependent(): boolean {
    return this.file.header.type === ET_DYN;
  }

  /** The pointer at an address as it will be at run time with a load base of 0. */
  readPointer(address: Address): Pointer {
    return this.dynamic.pointerAt(address);
  }
}
