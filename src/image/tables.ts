// Reads and writes the tables of a linked image, where every field is a plain number: its address plus its value.

import { alignUp, hex, requireS32 } from '../bytes/integer.ts';
import type { EntryAddress } from '../bytes/named-numbers.ts';
import { entryLayout, type TableRow } from '../bytes/table.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from './image.ts';
import { kernelBanner } from './kernel.ts';

/** A table's place: virtual addresses of its first byte and of the byte behind its last. */
export interface TableRange {
  readonly start: EntryAddress;
  readonly end: EntryAddress;
}

/** One entry: address of the entry, and the addresses its fields name (flag bits of the key included). */
export interface ImageEntry {
  readonly address: EntryAddress;
  readonly fields: readonly number[];
}

/**
 * Where a table lies: between its linker symbols, else its sections (a link without script may leave several).
 * Errors: `table-malformed` for bounds out of order, a torn table, or a kernel whose symbols are gone.
 */
export function tableRanges(image: Image, row: TableRow): TableRange[] {
  for (const [startName, stopName] of row.bounds) {
    const start = image.symbols.addressOf(startName);
    const end = image.symbols.addressOf(stopName);
    if (start === undefined || end === undefined) continue;
    if (start === end) return [];
    return [checkRange(image, row, { start, end }, `${startName} to ${stopName}`)];
  }
  const isNamed = (name: string) => row.matches?.test(name) ?? name === row.name;
  const sections = image.file.sections.filter((s) => isNamed(s.name) && s.size > 0 && s.addr !== 0);
  if (row.insideOther && sections.length === 0 && !image.file.symtab && kernelBanner(image) !== undefined) {
    throw new TextpokeError(
      'table-malformed',
      `the kernel has no symbol table, so the bounds of this table (${row.bounds[0]?.join(' and ')}) are missing; use the vmlinux with its symbols`,
      { file: image.file.path, section: row.name },
    );
  }
  const ranges = sections.map((s) => checkRange(image, row, { start: s.addr, end: s.addr + s.size }, s.name));
  const ordered = [...ranges].sort((a, b) => a.start - b.start);
  ordered.forEach(({ start }, i) => {
    if (i === 0 || start >= (ordered[i - 1] as TableRange).end) return;
    throw new TextpokeError('table-malformed', `sections of this name overlap at ${hex(start)}`, {
      file: image.file.path,
      section: row.name,
    });
  });
  return ranges;
}

function checkRange(image: Image, row: TableRow, range: TableRange, what: string): TableRange {
  const { size } = entryLayout(row, image.arch.wordSize);
  const given = range.end - range.start;
  const bytes = row.lastIsShort && given > 0 ? alignUp(given, size) : given;
  if (bytes < 0 || bytes % size !== 0 || image.fileOffset(range.start, bytes) === undefined) {
    throw new TextpokeError(
      'table-malformed',
      `${what} spans ${bytes} bytes; a whole number of ${size}-byte entries inside the file is required`,
      { file: image.file.path, section: row.name },
    );
  }
  return withoutPadding(image, row, { start: range.start, end: range.start + bytes });
}

/** The range without the zeros that fill it up to the end of a page. */
function withoutPadding(image: Image, { paddedTo }: TableRow, { start, end }: TableRange): TableRange {
  if (paddedTo === undefined || end % paddedTo !== 0) return { start, end };
  const last = image.read(Math.max(start, end - paddedTo), Math.min(paddedTo, end - start));
  const used = last.findLastIndex((byte) => byte !== 0) + 1;
  // A whole page of zeros is no padding: the script would not have added it.
  if (used === 0 && last.length === paddedTo) return { start, end };
  return { start, end: end - last.length + alignUp(used, 4) };
}

/** Every entry of a table, in order, each when it is asked for. Error `table-malformed`, at once. */
export function readImageTable(image: Image, row: TableRow): Iterable<ImageEntry> {
  return readEntries(image, row, isAbsolute(image, row));
}

const forms = new WeakMap<Image, Map<TableRow, boolean>>();

/**
 * Whether a table's fields hold addresses instead of distances, as those of 32-bit ARM kernels do. Nothing in an
 * image says so but the entries themselves: only one reading leads from code to code. Error `table-malformed`
 * for a table that mixes both.
 */
export function isAbsolute(image: Image, row: TableRow): boolean {
  if (!row.mayBeAbsolute || image.arch.relocations.absolute32 === undefined) return false;
  const known = forms.get(image) ?? new Map<TableRow, boolean>();
  forms.set(image, known);
  let absolute = known.get(row);
  if (absolute === undefined) {
    const { fields: layout } = entryLayout(row, image.arch.wordSize);
    const inCode = ({ fields }: ImageEntry) =>
      layout.every(({ code }, i) => !code || image.codeAt(fields[i] as number) !== undefined);
    const asAddresses = [...readEntries(image, row, true)].filter(inCode);
    const asDistances = [...readEntries(image, row, false)].filter(inCode);
    absolute = asAddresses.length > asDistances.length;
    const [many, few] = absolute ? [asAddresses, asDistances] : [asDistances, asAddresses];
    const listed = new Set(many.map((entry) => entry.address));
    const odd = few.find((entry) => !listed.has(entry.address));
    if (odd) {
      throw new TextpokeError(
        'table-malformed',
        `the table mixes absolute and relative entries: the entry at ${hex(odd.address)} is ${absolute ? 'relative' : 'absolute'}`,
        { file: image.file.path, section: row.name },
      );
    }
    known.set(row, absolute);
  }
  return absolute;
}

function readEntries(image: Image, row: TableRow, absolute: boolean): Iterable<ImageEntry> {
  const layout = entryLayout(row, image.arch.wordSize);
  const ranges = tableRanges(image, row);
  function* read(): Generator<ImageEntry> {
    for (const { start, end } of ranges) {
      const bytes = image.read(start, end - start);
      const view = new ByteView(bytes, image.file.header.little, { section: row.name });
      for (let at = 0; at < end - start; at += layout.size) {
        const fields: number[] = [];
        for (const { offset, width, plain, absolute: isAddress } of layout.fields) {
          if (plain) fields.push(width === 2 ? view.u16(at + offset) : view.u32(at + offset));
          else {
            const value = width === 8 ? view.s64(at + offset) : view.s32(at + offset);
            fields.push(image.addressAt(absolute || isAddress ? 0 : start + at + offset, value));
          }
        }
        yield { address: start + at, fields };
      }
    }
  }
  return { [Symbol.iterator]: read };
}

/** The bytes of an entry that is to stand at `address`. Error `field-range`. */
export function encodeImageEntry(
  image: Image,
  row: TableRow,
  address: EntryAddress,
  fields: readonly number[],
): Uint8Array {
  const layout = entryLayout(row, image.arch.wordSize);
  const bytes = new Uint8Array(layout.size);
  const view = new ByteView(bytes, image.file.header.little);
  const absolute = isAbsolute(image, row);
  layout.fields.forEach(({ name, offset, width }, i) => {
    const value = image.distance(absolute ? 0 : address + offset, fields[i] as number);
    if (width === 8) view.setS64(offset, value);
    else view.setU32(offset, requireS32(value, `field ${name}`, { section: row.name }) >>> 0);
  });
  return bytes;
}
