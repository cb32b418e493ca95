// Dumps in other forms, for tests that need only Node: pages by LZO and snappy, LiME, AVML, raw images, page tables.
import { crc32c } from '../../src/bytes/crc32.ts';
import type { Level, PageTables } from '../../src/memory/page-tables/format.ts';
import { x86Tables } from '../../src/memory/page-tables/x86-64.ts';
import { type Packed, type Page, pageSize } from './dumps.ts';

/** An LZO1X stream of literals, whose last bytes are a copy if they repeat those in front of them. */
export function lzoOf(content: Uint8Array): Uint8Array {
  const doubled =
    content.length > 600 && Buffer.from(content).subarray(-8).equals(Buffer.from(content).subarray(-16, -8));
  const count = content.length - (doubled ? 8 : 0);
  const rest = (count - 18) % 255;
  const length = [0, ...Array(Math.floor((count - 18) / 255) - (rest === 0 ? 1 : 0)).fill(0), rest || 255];
  // Eight bytes from eight back, by the instruction for up to 2 KiB.
  const copy = doubled ? [0xe0 | (7 << 2), 0] : [];
  return Uint8Array.from([...length, ...content.subarray(0, count), ...copy, 0x11, 0, 0]);
}

/** A snappy block: literals, and a copy at the end as above. */
export function snappyOf(content: Uint8Array): Uint8Array {
  const doubled = Buffer.from(content).subarray(-8).equals(Buffer.from(content).subarray(-16, -8));
  const count = content.length - (doubled ? 8 : 0);
  const size = [0, 7, 14].map((shift) => ((content.length >> shift) & 0x7f) | (shift < 14 ? 0x80 : 0));
  const literal = [61 << 2, (count - 1) & 0xff, (count - 1) >> 8];
  return Uint8Array.from([
    ...size,
    ...literal,
    ...content.subarray(0, count),
    ...(doubled ? [(7 << 2) | 2, 8, 0] : []),
  ]);
}

export const byLzo = (bytes: Uint8Array): Packed => ({ bytes: lzoOf(bytes), flags: 2 });
export const bySnappy = (bytes: Uint8Array): Packed => ({ bytes: snappyOf(bytes), flags: 4 });

function rangeHeader(magic: string, version: number, first: number, size: number): Buffer {
  const head = Buffer.alloc(32);
  head.write(magic, 'latin1');
  head.writeUInt32LE(version, 4);
  head.writeBigUInt64LE(BigInt(first), 8);
  head.writeBigUInt64LE(BigInt(first + size - 1), 16);
  return head;
}

/** What LiME writes, a range for each page. */
export function lime(pages: readonly Page[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      pages.flatMap(({ physical, bytes }) => [rangeHeader('EMiL', 1, physical, bytes.length), bytes]),
    ),
  );
}

function frame(type: 0 | 1, content: Uint8Array): Buffer {
  const data = type === 0 ? snappyOf(content) : content;
  const head = Buffer.alloc(8);
  head[0] = type;
  head.writeUIntLE(data.length + 4, 1, 3);
  const crc = crc32c(content);
  head.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0, 4);
  return Buffer.concat([head, data]);
}

/** What AVML writes: a range for each page, whose halves are frames of snappy and of plain bytes, with padding between. */
export function avml(pages: readonly Page[]): Uint8Array {
  const start = Buffer.from('\xff\x06\0\0sNaPpY', 'latin1');
  const padding = Buffer.from([0xfe, 3, 0, 0, 1, 2, 3]);
  return new Uint8Array(
    Buffer.concat(
      pages.flatMap(({ physical, bytes }) => {
        const half = bytes.length / 2;
        const frames = [start, frame(0, bytes.subarray(0, half)), padding, frame(1, bytes.subarray(half))];
        const footer = Buffer.alloc(8);
        footer.writeBigUInt64LE(BigInt(frames.reduce((sum, { length }) => sum + length, 0)));
        return [rangeHeader('AVML', 2, physical, bytes.length), ...frames, footer];
      }),
    ),
  );
}

/** Entries as hardware has them, from what one is to lead to. */
export interface Encoding {
  readonly table: (at: number) => bigint;
  readonly page: (at: number, level: Level, isLast: boolean) => bigint;
}

/** Makes the pages of a tree of tables from a root on, and further tables behind `next`. */
export class TableMaker {
  readonly pages = new Map<number, Uint8Array>();
  private readonly tables = new Map<string, number>();
  private readonly form: PageTables;
  private readonly encoding: Encoding;
  private readonly root: number;
  private next: number;

  constructor(form: PageTables, encoding: Encoding, root: number, next: number) {
    [this.form, this.encoding, this.root, this.next] = [form, encoding, root, next];
  }

  /** Maps the memory that an entry of a level stands for. */
  map(virtual: number, physical: number, level = this.form.levels.length - 1): void {
    let table = this.root;
    for (let i = 0; i < level; i++) {
      const { shift } = this.form.levels[i] as Level;
      const name = `${i}:${Math.floor(virtual / 2 ** shift)}`;
      let below = this.tables.get(name);
      if (below === undefined) {
        below = this.next;
        this.next += 65536;
        this.tables.set(name, below);
        this.set(table, i, virtual, this.encoding.table(below));
      }
      table = below;
    }
    const here = this.form.levels[level] as Level;
    const isLast = level === this.form.levels.length - 1;
    this.set(table, level, virtual, this.encoding.page(physical, here, isLast));
  }

  private set(table: number, level: number, virtual: number, value: bigint): void {
    const { shift, bits } = this.form.levels[level] as Level;
    const index = Number(BigInt.asUintN(bits, BigInt(Math.floor(virtual / 2 ** shift))));
    this.write(table + index * this.form.entrySize, value);
  }

  /** Writes an entry at a physical address. */
  write(at: number, value: bigint): void {
    const start = at - (at % pageSize);
    const page = this.pages.get(start) ?? new Uint8Array(pageSize);
    this.pages.set(start, page);
    const view = new DataView(page.buffer);
    if (this.form.entrySize === 8) view.setBigUint64(at - start, BigInt.asUintN(64, value), true);
    else view.setUint32(at - start, Number(value), true);
  }
}

/** A page that begins with a text. */
export function pageOf(physical: number, virtual: number, text: string): Page {
  const bytes = new Uint8Array(pageSize);
  bytes.set(Buffer.from(text));
  return { virtual, physical, bytes };
}

/**
 * The pages of a kernel with page tables that map them, and a page of its heap; `root` is the virtual address of the
 * first table.
 */
export function withTables(
  pages: readonly Page[],
  levels: 4 | 5,
  heap: number,
): { readonly memory: readonly Page[]; readonly root: number } {
  const [{ virtual, physical }] = pages as readonly [Page];
  const distance = physical - virtual;
  const root = Math.max(...pages.map((page) => page.physical)) + 0x10_0000;
  const flags = (at: number) => BigInt(at) | 0x63n;
  const form = x86Tables(0)[levels - 4] as PageTables;
  const tables = new TableMaker(form, { table: flags, page: flags }, root, root + 0x1_0000);
  for (const page of pages) tables.map(page.virtual, page.physical);
  const heapAt = root + 0x40_0000;
  tables.map(heap, heapAt);
  const own = [...tables.pages].map(([at, bytes]) => ({ virtual: at - distance, physical: at, bytes }));
  return { memory: [...pages, ...own, pageOf(heapAt, heapAt - distance, 'a module')], root: root - distance };
}
