// An image as it stands in a dump: its symbols and its geometry are the file's, its bytes are the memory's.
import type { Pointer } from '../image/dynamic.ts';
import { Image } from '../image/image.ts';
import type { ImagePlace } from './memory.ts';

/** Bytes that are read at once, and how many such blocks are kept: sites are looked at in order, keys are not. */
const blockSize = 4096;
const keptBlocks = 4096;

/** What the dump has of the image from an address on, as linked. */
export interface Stretch {
  readonly start: number;
  readonly memory: Uint8Array;
}

export class MemoryImage extends Image {
  readonly place: ImagePlace;
  private readonly blocks = new Map<number, Uint8Array>();
  /** Blocks by number: whether the dump has all of one. */
  private readonly whole = new Map<number, boolean>();
  private readonly known: Stretch | undefined;

  /** `known` was read before, and the dump has all of it. */
  constructor(image: Image, place: ImagePlace, known?: Stretch) {
    super(image.file, image.symbols);
    this.place = place;
    this.known = known;
  }

  /** Bytes that are there already. */
  private knownAt(address: number, length: number): Uint8Array | undefined {
    const { known } = this;
    const at = known ? address - known.start : -1;
    return known && at >= 0 && at + length <= known.memory.length
      ? known.memory.subarray(at, at + length)
      : undefined;
  }

  /** Where the dump has what is linked at an address. */
  private at(address: number): number {
    return address + this.place.offset;
  }

  /** True when the dump has all of [address, address + length). */
  has(address: number, length: number): boolean {
    const guest = this.segmentAt(address) ? undefined : this.guestAt(address);
    if (guest) return guest.has(address, length);
    if (this.knownAt(address, length)) return true;
    const first = Math.floor(address / blockSize);
    const last = Math.floor((address + length - 1) / blockSize);
    let isWhole = true;
    for (let number = first; number <= last && isWhole; number++) isWhole = this.isWhole(number);
    return isWhole || this.place.memory.read(this.at(address), new Uint8Array(length));
  }

  /** Whether the dump has all of a block; of most it has, and then of every part of it. */
  private isWhole(number: number): boolean {
    if (!this.whole.has(number)) this.block(number);
    return this.whole.get(number) as boolean;
  }

  /**
   * Bytes at an address as linked; zeros where the dump has none. Of memory that changes they are what they were when
   * they were first looked at, so that a finding is told as it was found. `elf-malformed` outside the image.
   */
  override read(address: number, length: number): Uint8Array {
    // Modules lie in the same memory, but in other places of it.
    if (!this.contains(address, length) || !this.segmentAt(address)) return super.read(address, length);
    const known = this.knownAt(address, length);
    if (known) return known;
    const first = Math.floor(address / blockSize);
    const last = Math.floor((address + length - 1) / blockSize);
    if (last <= first) {
      const at = address - first * blockSize;
      return this.block(first).subarray(at, at + length);
    }
    const bytes = new Uint8Array(length);
    if (this.place.memory.isLive) {
      for (let number = first; number <= last; number++) {
        const at = number * blockSize - address;
        bytes.set(this.block(number).subarray(Math.max(-at, 0), length - at), Math.max(at, 0));
      }
    } else this.place.memory.read(this.at(address), bytes);
    return bytes;
  }

  private block(number: number): Uint8Array {
    let bytes = this.blocks.get(number);
    if (!bytes) {
      bytes = new Uint8Array(blockSize);
      this.whole.set(number, this.place.memory.read(this.at(number * blockSize), bytes));
      if (!this.place.memory.isLive && this.blocks.size >= keptBlocks)
        this.blocks.delete(this.blocks.keys().next().value as number);
      this.blocks.set(number, bytes);
    }
    return bytes;
  }

  /** A pointer in memory leads to where the code was moved to; here it is read as it was linked. */
  override readPointer(address: number): Pointer {
    const value = this.readWord(address);
    return { kind: 'address', address: value === 0 ? 0 : this.addressAt(value, -this.place.slide) };
  }
}
