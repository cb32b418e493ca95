// Reads numbers and names in the memory of a running kernel. Whatever a dump claims, no more is read than a limit.
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import type { Memory } from '../memory.ts';

const blockSize = 4096;
/** Blocks that are kept: lists lead here and there, and come back. */
const keptBlocks = 1024;
/** Far more than the lists and tables of any kernel have together. */
const mostBytes = 512 << 20;
/** Up to here multiples of 8 are numbers. */
const farthest = 2 ** 56;
/** More than one table has. */
const mostAtOnce = 64 << 20;

export class KernelReader {
  /** Bytes of a pointer. */
  readonly wordSize: 4 | 8;
  readonly little: boolean;
  private readonly memory: Memory;
  private readonly blocks = new Map<number, Uint8Array | undefined>();
  private left = mostBytes;

  /** `memory` is by virtual addresses of the running kernel, whose machine is the image's. */
  constructor(memory: Memory, { arch, file }: Image) {
    this.memory = memory;
    this.wordSize = arch.wordSize;
    this.little = file.header.little;
  }

  /** The bytes at an address; undefined where not all of them are there. Error `memory-malformed`: there is no end of it. */
  bytes(address: number, length: number): Uint8Array | undefined {
    if (!Number.isInteger(address) || Math.abs(address) > farthest || !(length >= 0 && length <= mostAtOnce))
      return undefined;
    this.left -= length;
    if (this.left < 0) {
      throw new TextpokeError(
        'memory-malformed',
        `the lists and tables of the kernel have more than ${mostBytes} bytes together; some of them lead in circles`,
      );
    }
    const first = Math.floor(address / blockSize);
    const at = address - first * blockSize;
    if (at + length <= blockSize) {
      const block = this.block(first);
      if (block) return block.subarray(at, at + length);
    }
    const bytes = new Uint8Array(length);
    return this.memory.read(address, bytes) ? bytes : undefined;
  }

  /** A block that is there as a whole. */
  private block(number: number): Uint8Array | undefined {
    if (this.blocks.has(number)) return this.blocks.get(number);
    const bytes = new Uint8Array(blockSize);
    const block = this.memory.read(number * blockSize, bytes) ? bytes : undefined;
    if (this.blocks.size >= keptBlocks) this.blocks.delete(this.blocks.keys().next().value as number);
    this.blocks.set(number, block);
    return block;
  }

  private view(address: number, length: number): DataView | undefined {
    const bytes = this.bytes(address, length);
    return bytes && new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** A pointer or a long, as textpoke holds addresses; NaN for one that no number holds, undefined where none is. */
  word(address: number): number | undefined {
    return this.tagged(address, 0)?.pointer;
  }

  /**
   * A pointer in whose low bits flags stand. With page tables of five levels, what a kernel allocates lies below the
   * integers that a number holds one by one (0xff11000000000000); multiples of 8 are exact there, and such pointers are.
   */
  tagged(address: number, flags: number): { readonly pointer: number; readonly bits: number } | undefined {
    const view = this.view(address, this.wordSize);
    if (!view) return undefined;
    const isWide = this.wordSize === 8;
    const low = view.getUint32(isWide && !this.little ? 4 : 0, this.little);
    const bits = low & flags;
    if (!isWide) return { pointer: low - bits, bits };
    const high = view.getInt32(this.little ? 4 : 0, this.little);
    const pointer = high * 0x1_0000_0000 + (low - bits);
    const isExact = Number.isSafeInteger(pointer) || ((low - bits) % 8 === 0 && Math.abs(pointer) < farthest);
    return { pointer: isExact ? pointer : Number.NaN, bits };
  }

  u32(address: number): number | undefined {
    return this.view(address, 4)?.getUint32(0, this.little);
  }

  /** The text up to a NUL, of at most `most` bytes; undefined where it is not there or does not end. */
  text(address: number, most: number): string | undefined {
    let text = '';
    for (let at = address; at < address + most; ) {
      const size = Math.min(
        32,
        address + most - at,
        blockSize - (at - Math.floor(at / blockSize) * blockSize),
      );
      const bytes = this.bytes(at, size);
      if (!bytes) return undefined;
      const end = bytes.indexOf(0);
      text += Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1');
      if (end >= 0) return text;
      at += size;
    }
    return undefined;
  }
}
