// String tables: zero-terminated names by byte offset.
import { sumOfBytes, sumOfName } from '../bytes/name-sums.ts';
import { TextpokeError } from '../errors.ts';

/** Longer names are decoded once, and counted. */
const commonLength = 512;
/** Bytes of longer names that a table of any size may give out; a larger one four times its own size. */
const longNameBudget = 1 << 20;
/** Names that are kept once they were decoded, at least: the same few are asked for again and again. A power of two. */
const recentNames = 64;

export class StringTable {
  readonly bytes: Uint8Array;
  private readonly section: string;
  private readonly buffer: Buffer;
  private readonly longNames = new Map<number, string>();
  private longBytes = 0;
  /** The names decoded last, each where the low bits of its offset say. */
  private readonly recentOffsets = new Float64Array(recentNames).fill(-1);
  private readonly recent: string[] = new Array<string>(recentNames).fill('');

  constructor(bytes: Uint8Array, section: string) {
    this.bytes = bytes;
    this.section = section;
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The string at `offset`; `elf-malformed` when it starts outside the table or never ends. */
  at(offset: number): string {
    const slot = offset & (recentNames - 1);
    if (this.recentOffsets[slot] === offset) return this.recent[slot] as string;
    if (offset === 0 && this.bytes.length === 0) return '';
    const known = this.longNames.get(offset);
    if (known !== undefined) return known;
    const end = offset < this.bytes.length ? this.buffer.indexOf(0, offset) : -1;
    if (end < 0) {
      throw new TextpokeError(
        'elf-malformed',
        `the ${this.bytes.length}-byte string table has no zero-terminated name at byte ${offset}`,
        { section: this.section },
      );
    }
    if (end - offset > commonLength) return this.longName(offset, end);
    const name = this.buffer.toString('utf8', offset, end);
    this.recentOffsets[slot] = offset;
    this.recent[slot] = name;
    return name;
  }

  /** Many names that end in the same megabytes would cost the square of the file's size. */
  private longName(offset: number, end: number): string {
    this.longBytes += end - offset;
    if (this.longBytes > longNameBudget + 4 * this.bytes.length) {
      throw new TextpokeError('elf-malformed', `too many names of ${end - offset} bytes overlap`, {
        section: this.section,
        offset,
      });
    }
    const name = this.buffer.toString('utf8', offset, end);
    this.longNames.set(offset, name);
    return name;
  }

  /** `sumOfName` of the string, which is decoded only where it is long or not of ASCII. Errors as `at`. */
  sumAt(offset: number): number {
    return sumOfBytes(this.bytes, offset, commonLength) ?? sumOfName(this.at(offset));
  }

  startsWith(offset: number, prefix: Uint8Array): boolean {
    for (let i = 0; i < prefix.length; i++) if (this.bytes[offset + i] !== prefix[i]) return false;
    return true;
  }

  /** True where the string at `offset` ends in `suffix`, of ASCII; decoded only where it is long. Errors as `at`. */
  endsWith(offset: number, suffix: Uint8Array): boolean {
    const last = offset + commonLength;
    let end = offset;
    while (end < last && this.bytes[end] !== 0) end++;
    if (end === last) return this.at(offset).endsWith(Buffer.from(suffix).toString('latin1'));
    return end - suffix.length >= offset && this.startsWith(end - suffix.length, suffix);
  }
}
