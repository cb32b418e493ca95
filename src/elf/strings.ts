// String tables: zero-terminated names by byte offset.
import { TextpokeError } from '../errors.ts';

export class StringTable {
  readonly bytes: Uint8Array;
  private readonly section: string;
  private readonly buffer: Buffer;

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
        `no zero-terminated name stands at byte ${offset} of the ${this.bytes.length}-byte string table`,
        { section: this.section },
      );
    }
    return this.buffer.toString('utf8', offset, end);
  }

  startsWith(offset: number, prefix: Uint8Array): boolean {
    for (let i = 0; i < prefix.length; i++) if (this.bytes[offset + i] !== prefix[i]) return false;
    return true;
  }
}
