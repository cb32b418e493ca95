// The tables of keys as the memory of a running kernel has them, sorted and flagged as start-up left them, against what
// the files list (kernel/jump_label.c, kernel/static_call_inline.c).

import { hex } from '../bytes/integer.ts';
import { entryLayout, type TableRow } from '../bytes/table.ts';
import { ByteView } from '../bytes/view.ts';
import type { Image } from '../image/image.ts';
import type { KernelReader } from '../memory/kernel/reader.ts';
import type { Finding } from './finding.ts';
import { type ListedEntry, listedEntry } from './linkage-listed.ts';

/** Who has a table: the kernel, or a module. */
export interface TableOwner {
  /** Undefined for the kernel. */
  readonly name: string | undefined;
  /** Of `struct module` in the running kernel; 0 for the kernel. */
  readonly at: number;
}

/** A table in memory. */
export interface MemoryTable {
  readonly row: TableRow;
  readonly owner: TableOwner;
  /** Where its entries lie in the running kernel. */
  readonly start: number;
  readonly entrySize: number;
  readonly entries: readonly ListedEntry[];
  /** The number of the first entry of each key. */
  readonly first: ReadonlyMap<number, number>;
}

export interface TableSource {
  readonly reader: KernelReader;
  /** The kernel, for how its machine and its tables are. */
  readonly image: Image;
  readonly slide: number;
  /** Fields hold addresses instead of distances. */
  readonly absolute: boolean;
}

/** The table at `start` of the running kernel; undefined where the dump does not have all of it. */
export function readMemoryTable(
  { reader, image, slide, absolute }: TableSource,
  row: TableRow,
  owner: TableOwner,
  start: number,
  count: number,
): MemoryTable | undefined {
  const { size, fields } = entryLayout(row, image.arch.wordSize);
  const bytes = reader.bytes(start, count * size);
  if (!bytes) return undefined;
  const view = new ByteView(bytes, reader.little);
  const linked = image.addressAt(start, -slide);
  const first = new Map<number, number>();
  const entries = Array.from({ length: count }, (_, i): ListedEntry => {
    const at = i * size;
    const named = fields.map(({ offset, width }) => {
      const value = width === 8 ? view.s64(at + offset) : view.s32(at + offset);
      return image.addressAt(absolute ? -slide : linked + at + offset, value);
    });
    const entry = listedEntry(named);
    if (!first.has(entry.key)) first.set(entry.key, i);
    return entry;
  });
  return { row, owner, start, entrySize: size, entries, first };
}

/** Where the entry of a number lies in the running kernel. */
export function entryAt({ start, entrySize }: MemoryTable, number: number): number {
  return start + number * entrySize;
}

/** What a table of memory and a file have in common. */
export interface ComparedEntries {
  readonly findings: readonly Finding[];
  /** Keys about whose entries something was found. */
  readonly touched: ReadonlySet<number>;
}

const meaning = ({ address, target, key, flag }: ListedEntry) => `${address} ${target} ${key} ${flag}`;

/** TP034: the table lists what the file lists, in order of keys, with the init flags that start-up sets. */
export function compareTable(
  image: Image,
  table: MemoryTable,
  listed: readonly ListedEntry[],
  place: (address: number) => string,
): ComparedEntries {
  const findings: Finding[] = [];
  const touched = new Set<number>();
  const { name } = table.row;
  const tell = ({ address, target, key }: ListedEntry) =>
    `${image.describe(address)}${target === 0 ? '' : ` to ${image.describe(target)}`} with the key ${image.describe(key)}`;
  const find = (address: number, message: string, keys: readonly number[]) => {
    findings.push({ rule: 'TP034', address, place: place(address), message });
    for (const key of keys) touched.add(key);
  };
  const open = new Map<string, ListedEntry[]>();
  for (const entry of listed) {
    const same = open.get(meaning(entry));
    if (same) same.push(entry);
    else open.set(meaning(entry), [entry]);
  }
  const unknown: { entry: ListedEntry; number: number }[] = [];
  for (const [number, entry] of table.entries.entries()) {
    const file = open.get(meaning(entry))?.pop();
    if (!file) unknown.push({ entry, number });
    else if (file.init !== undefined && file.init !== entry.init) {
      const has = entry.init ? 'flagged as init' : 'not flagged as init';
      const why = entry.init ? 'it is never patched again' : 'freed memory would be patched';
      find(
        entry.address,
        `the entry at ${hex(entryAt(table, number))} of ${name} is ${has}, so that ${why}`,
        [],
      );
    }
  }
  const left = new Set([...open.values()].flat());
  // An entry that was changed is one that the file does not list, in place of one that is missing.
  const byAddress = new Map(Array.from(left, (entry) => [entry.address, entry]));
  const byKey = new Map(Array.from(left, (entry) => [entry.key, entry]));
  for (const { entry, number } of unknown) {
    const was = [byAddress.get(entry.address), byKey.get(entry.key)].find((of) => of && left.has(of));
    if (was) left.delete(was);
    const at = hex(entryAt(table, number));
    const required = was ? `; the file lists ${tell(was)}` : '; the file does not list it';
    find((was ?? entry).address, `the entry at ${at} of ${name} lists ${tell(entry)}${required}`, [
      entry.key,
      ...(was ? [was.key] : []),
    ]);
  }
  for (const entry of left)
    find(entry.address, `${name} in memory does not list ${tell(entry)}`, [entry.key]);
  const torn = table.entries.findIndex(
    ({ key }, i) => i > 0 && key < (table.entries[i - 1] as ListedEntry).key,
  );
  if (torn > 0 && findings.length === 0) {
    const { address, key } = table.entries[torn] as ListedEntry;
    find(address, `${name} in memory is not sorted by key at ${hex(entryAt(table, torn))}`, [key]);
  }
  return { findings, touched };
}
