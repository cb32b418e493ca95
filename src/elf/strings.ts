// String tables: zero-terminated names by byte offset.
import { TextpokeError } from '../errors.ts';

/** Names up to this many bytes are what compilers make; longer ones are counted against a budget. */
const commonLength = 4096;
/** Bytes of longer names that a table of any size may give out; a larger one 64 times its own size. */
const longNameBudget = 256 << 20;

export class StringTable {
  readonly bytes: Uint8Array;
  private readonly section: string;
  private readonly buffer: Buffer;
  private longBytes = 0;

  constructor(bytes: Uint8Array, section: string) {
    this.bytes = bytes;
    this.section = section;
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The string at `offset`; `elf-malformed` when it starts outside the table or never ends. */
  at(offset: number): string {
    if (offset === 0 && this.bytes.length === 0) return '';
    const end = offset < this.bytes.length ? this.buffer.indexOf(0, offset) : -1;
    if (end < 0) {
      throw new TextpokeError(
        'elf-malformed',
        `the ${this.bytes.length}-byte string table has no zero-terminated name at byte ${offset}`,
        { section: this.section },
      );
    }
    if (end - offset > commonLength) this.spend(end - offset, offset);
    return this.buffer.toString('utf8', offset, end);
  }

  /** Many names that end in the same megabytes would cost the square of the file's size. */
  private spend(length: number, offset: number): void {
    this.longBytes += length;
    if (this.longBytes > longNameBudget + 64 * this.bytes.length) {
      throw new TextpokeError('elf-malformed', `too many names of ${length} bytes overlap`, {
        section: this.section,
        offset,
      });
    }
  }

  startsWith(offset: number, prefix: Uint8Array): boolean {
    for (let i = 0; i < prefix.length; i++) if (this.bytes[offset + i] !== prefix[i]) return false;
    return true;
  }
}
