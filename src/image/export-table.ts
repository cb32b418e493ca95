// The symbols that a kernel gives to modules, by its own table of them (include/linux/export.h, `struct kernel_symbol`), where no
// symbol names data or the table itself (kallsyms without CONFIG_KALLSYMS_ALL). The table is found by what it must hold.
import { ByteView } from '../bytes/view.ts';
import { PT_LOAD } from '../elf/constants.ts';
import type { Image } from './image.ts';

/** Distances of 32 bits from the fields to the value, the name and the namespace (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS). */
const entrySize = 12;
const nameField = 4;
/** What every kernel with modules exports. */
const anchors = ['kfree', 'kstrdup', 'memcpy'] as const;
/** Entries around an anchor that have to be sound, too. */
const witnesses = 8;
/** Longest name of a symbol, NUL included (KSYM_NAME_LEN). */
const longestName = 512;
const symbolName = /^[A-Za-z_]\w*$/;

const known = new WeakMap<Image, ReadonlyMap<string, number>>();

/** Addresses of exported symbols by their names; empty where no such table is found. */
export function exportTable(image: Image): ReadonlyMap<string, number> {
  let table = known.get(image);
  if (!table) {
    table = findTable(image);
    known.set(image, table);
  }
  return table;
}

function findTable(image: Image): ReadonlyMap<string, number> {
  for (const { type, vaddr, filesz } of image.file.segments) {
    if (type !== PT_LOAD || filesz === 0 || image.fileOffset(vaddr, filesz) === undefined) continue;
    const bytes = image.read(vaddr, filesz);
    const segment = new Segment(bytes, vaddr, image.file.header.little);
    for (const name of anchors) {
      const address = image.symbols.globalAddressOf(name);
      if (address === undefined) continue;
      for (const at of segment.entriesOf(name, address)) {
        const table = segment.around(at, (of) => image.symbols.globalAddressOf(of));
        if (table) return table;
      }
    }
  }
  return new Map();
}

interface Entry {
  readonly name: string;
  readonly value: number;
}

class Segment {
  private readonly bytes: Buffer;
  private readonly view: ByteView;
  private readonly start: number;

  constructor(bytes: Uint8Array, start: number, little: boolean) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.view = new ByteView(bytes, little);
    this.start = start;
  }

  /** Offsets of what may be the entry of a symbol: its name is a string, which may be the end of
   * another one's (linkers merge them), and its value the symbol's. */
  *entriesOf(name: string, address: number): Generator<number> {
    const text = Buffer.from(`${name}\0`, 'latin1');
    const names = new Set<number>();
    for (let at = this.bytes.indexOf(text); at >= 0; at = this.bytes.indexOf(text, at + 1)) names.add(at);
    if (names.size === 0) return;
    const { view } = this;
    for (let at = 0; at + entrySize <= this.bytes.length; at += 4) {
      if (!names.has(at + nameField + view.s32(at + nameField))) continue;
      if (this.start + at + view.s32(at) === address) yield at;
    }
  }

  /** All entries in front of one and behind it; undefined where its neighbours are none. */
  around(
    at: number,
    addressOf: (name: string) => number | undefined,
  ): ReadonlyMap<string, number> | undefined {
    for (let i = -witnesses; i <= witnesses; i++) {
      const entry = this.entry(at + i * entrySize);
      if (!entry) continue;
      const named = addressOf(entry.name);
      if (named !== undefined && named !== entry.value) return undefined;
    }
    const table = new Map<string, number>();
    for (const step of [-entrySize, entrySize]) {
      for (let place = at; ; place += step) {
        const entry = this.entry(place);
        if (!entry) break;
        table.set(entry.name, entry.value);
      }
    }
    return table.size > witnesses ? table : undefined;
  }

  private entry(at: number): Entry | undefined {
    if (at < 0 || at + entrySize > this.bytes.length) return undefined;
    const from = at + nameField + this.view.s32(at + nameField);
    if (from < 0 || from >= this.bytes.length) return undefined;
    const end = this.bytes.indexOf(0, from);
    if (end <= from || end - from >= longestName) return undefined;
    const name = this.bytes.toString('latin1', from, end);
    return symbolName.test(name) ? { name, value: this.start + at + this.view.s32(at) } : undefined;
  }
}
