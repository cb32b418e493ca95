// Grows a string table: what is there keeps its offset.

/** Appends names to a string table, once each; a name that ends an existing string shares its bytes. */
export class StringAppender {
  private readonly original: Buffer;
  private readonly added = new Map<string, number>();
  private readonly tail: string[] = [];
  private size: number;

  constructor(bytes: Uint8Array) {
    this.original = Buffer.from(bytes);
    this.size = bytes.length;
  }

  /** Byte offset of `name` in the table that `bytes` returns. */
  offsetOf(name: string): number {
    if (name === '') return 0;
    let offset = this.added.get(name);
    if (offset === undefined) {
      offset = this.original.indexOf(`${name}\0`);
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
