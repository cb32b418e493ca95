// Grows a string table: what is there keeps its offset.

import { TextpokeError } from '../errors.ts';
import type { ElfFile } from './file.ts';

/** Bytes of the table that is there to search for new names: thousands of names in megabytes would take long. */
const searchBudget = 64 << 20;

/** Appends names to a string table, once each; a name that ends an existing string shares its bytes. */
export class StringAppender {
  private readonly original: Buffer;
  private readonly added = new Map<string, number>();
  private readonly tail: string[] = [];
  private size: number;
  private searched = 0;

  /** `bytes` is empty or ends in a zero byte; an empty table gets the zero byte that the empty name needs. */
  constructor(bytes: Uint8Array) {
    this.original = bytes.length > 0 ? Buffer.from(bytes) : Buffer.alloc(1);
    this.size = this.original.length;
  }

  /** Byte offset of `name` in the table that `bytes` returns. */
  offsetOf(name: string): number {
    if (name === '') return 0;
    let offset = this.added.get(name);
    if (offset === undefined) {
      offset = this.searched < searchBudget ? this.original.indexOf(`${name}\0`) : -1;
      this.searched += this.original.length;
      if (offset < 0) {
        offset = this.size;
        this.tail.push(name);
        this.size += Buffer.byteLength(name) + 1;
      }
      this.added.set(name, offset);
    }
    return offset;
  }

  bytes(): Uint8Array {
    if (this.tail.length === 0) return this.original;
    return Buffer.concat([this.original, Buffer.from(`${this.tail.join('\0')}\0`)]);
  }
}

/** A string table to append to. New names behind a last one without its zero byte would change that one. */
export function openStrings(file: ElfFile, index: number): StringAppender {
  const section = file.section(index, 'a string table');
  const bytes = file.data(section);
  if (index === 0 || (bytes.length > 0 && (bytes[0] !== 0 || bytes.at(-1) !== 0))) {
    throw new TextpokeError('elf-malformed', 'the string table does not start and end with a zero byte', {
      section: section.name,
    });
  }
  return new StringAppender(bytes);
}
