// The patched image against the one it was made of: the same sites, and no byte changed that is none of a
// site's, a table's, a key's, a trampoline's or a key's relocation's.
import { placeOf } from '../arch/code-pointer.ts';
import { hex } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import { splitKey } from '../bytes/table.ts';
import { isLoneKey, readKey } from '../demand/keys.ts';
import type { Program } from '../demand/program.ts';
import type { ByteSource } from '../files/source.ts';
import { isReadOnlyAfterInit } from '../image/kernel.ts';
import { tableRanges } from '../image/tables.ts';
import type { LinkedKind } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { Astray } from './astray.ts';
import type { Finding } from './finding.ts';

/** How many changed places are named before the rest is only counted. */
const shownChanges = 20;

/** TP013, TP014; nothing of entries that are `faulty`, by their addresses: what is wrong with them was said. */
export function* checkOriginal(
  program: Program,
  original: Program,
  faulty: ReadonlySet<number>,
): Generator<Finding> {
  yield* compareEntries(program, original, faulty);
  yield* compareBytes(program, original);
}

interface Entry {
  readonly address: number;
  readonly entry: number;
  readonly table: string;
  readonly text: string;
}

function entriesOf({ sites }: Program): Map<string, Entry> {
  const entries = kinds.flatMap((kind) =>
    sites.of(kind).map((site): Entry => {
      const { address, entry } = site;
      const text = `${kind.name} ${hex(address)}${kind.tell(site)}`;
      return { address, entry: entry.address, table: kind.name, text };
    }),
  );
  return new Map(entries.map((entry) => [entry.text, entry]));
}

/** A site that both list, but otherwise, is one finding; so is an entry at fault and the one that it was. */
function* compareEntries(
  program: Program,
  original: Program,
  faulty: ReadonlySet<number>,
): Generator<Finding> {
  const { image } = program;
  const now = entriesOf(program);
  const then = entriesOf(original);
  const gained = [...now.values()].filter(({ text }) => !then.has(text));
  const astray = new Astray(gained.flatMap(({ table, entry }) => (faulty.has(entry) ? [table] : [])));
  const unknown = new Map(
    gained.filter(({ entry }) => !faulty.has(entry)).map((entry) => [entry.address, entry]),
  );
  const make = (address: number, message: string): Finding => ({
    rule: 'TP014',
    address,
    place: image.describe(address),
    message,
  });
  for (const { text, table, address } of then.values()) {
    if (now.has(text)) continue;
    const instead = unknown.get(address);
    unknown.delete(address);
    if (instead || !astray.takes(table)) {
      const also = instead ? `; this image lists: ${instead.text}` : '';
      yield make(address, `the original lists: ${text}${also}`);
    }
  }
  for (const { text, address } of unknown.values())
    yield make(address, `the original does not list: ${text}`);
}

/** The parts of the file that patching may change: their starts and ends, in order. */
interface Changeable {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
}

function changeable(program: Program): Changeable {
  const { image, sites, calls } = program;
  const ranges: { start: number; end: number }[] = [];
  const allow = (address: number, length: number) => {
    const start = image.fileOffset(address, length);
    if (start !== undefined) ranges.push({ start, end: start + length });
  };
  for (const kind of kinds) {
    for (const site of sites.of(kind)) {
      for (const [address, length] of kind.changes(program, site)) allow(address, length);
    }
    // What tables list was compared entry by entry.
    for (const { start, end } of tableRanges(image, kind.table)) allow(start, end - start);
  }
  for (const address of linkedWords(program)) allow(address, image.arch.wordSize);
  // A call without a site can be updated, too.
  for (const { key, trampoline, literal } of calls.values()) {
    for (const pointer of literal === undefined ? [key] : [key, literal])
      for (const [address, length] of image.dynamic.rangesOf(pointer)) allow(address, length);
    if (trampoline !== undefined && literal === undefined)
      allow(placeOf(image.arch, trampoline), image.arch.trampolineSize);
  }
  const count = image.dynamic.relativeCount();
  if (count) allow(count.at, image.arch.wordSize);
  ranges.sort((a, b) => a.start - b.start);
  // What ends last of those that begin in front: ranges may lie in others.
  let last = 0;
  const ends = Float64Array.from(ranges, ({ end }) => {
    last = Math.max(last, end);
    return last;
  });
  return { starts: Float64Array.from(ranges, ({ start }) => start), ends };
}

/** The words of keys that lead to their first entry, as boot --raw stores them, or are sealed. */
function* linkedWords({ image, sites }: Program): Generator<number> {
  const { wordSize } = image.arch;
  for (const kind of kinds) {
    if (!kind.link) continue;
    const first = new Map<number, number>();
    for (const { key, entry } of sites.of(kind as LinkedKind))
      if (!first.has(key)) first.set(key, entry.address);
    for (const [key, entry] of first) {
      if (!image.contains(key, 2 * wordSize)) continue;
      const { key: pointer, flags } = splitKey(image.readWord(key + wordSize));
      const isSealed = pointer === 0 && (flags & 2) !== 0 && isReadOnlyAfterInit(image, key);
      if (pointer === entry || isSealed) yield key + wordSize;
    }
  }
}

function mayChange({ starts, ends }: Changeable, offset: number): boolean {
  return offset < (ends[countUpTo(starts, offset) - 1] ?? 0);
}

/** Bytes of both files that are in memory at once. */
const chunk = 1 << 20;

function* compareBytes(program: Program, original: Program): Generator<Finding> {
  const now = program.image.file.source;
  const then = original.image.file.source;
  if (now.size !== then.size) {
    yield {
      rule: 'TP013',
      address: undefined,
      place: 'file',
      message: `the file has ${now.size} bytes, the original ${then.size}; patching does not change the size`,
    };
    return;
  }
  let runs = 0;
  for (const { offset, length } of changedRuns(now, then, changeable(program), (at) =>
    loneKeyAt(program, original, at),
  )) {
    if (runs++ >= shownChanges) continue;
    const shown = Math.min(length, 16);
    yield changed(program, offset, now.read(offset, shown).slice(), then.read(offset, shown).slice(), length);
  }
  if (runs > shownChanges) {
    const message = `${runs - shownChanges} further places differ from the original`;
    yield { rule: 'TP013', address: undefined, place: 'file', message };
  }
}

/**
 * The key that no entry names whose count holds the byte at a file offset: its sites were all dropped, and boot stored
 * what it was told. The original has it as linkers leave it, or switched once.
 */
function loneKeyAt(
  program: Program,
  original: Program,
  offset: number,
): { readonly end: number } | undefined {
  const address = program.image.addressOfByte(offset);
  if (address === undefined) return undefined;
  const key = address - (((address % 4) + 4) % 4);
  const isKey = [program, original].every(({ image }) => isLoneKey(image, key));
  if (!isKey || ![0, 1].includes(readKey(original.image, key).enabled)) return undefined;
  return { end: offset + (key + 4 - address) };
}

/** Where bytes differ that may not. */
function* changedRuns(
  now: ByteSource,
  then: ByteSource,
  may: Changeable,
  loneKeyAt: (offset: number) => { readonly end: number } | undefined,
): Generator<{ readonly offset: number; readonly length: number }> {
  let start = -1;
  let allowedTo = 0;
  const isOther = (one: number | undefined, other: number | undefined, offset: number): boolean => {
    if (one === other || offset < allowedTo || mayChange(may, offset)) return false;
    const key = start < 0 ? loneKeyAt(offset) : undefined;
    if (key) allowedTo = key.end;
    return key === undefined;
  };
  for (let at = 0; at < now.size; at += chunk) {
    const size = Math.min(chunk, now.size - at);
    const [a, b] = [now.read(at, size), then.read(at, size)];
    const isSame = Buffer.compare(a, b) === 0;
    for (let i = 0; i < (isSame ? 1 : size); i++) {
      const differs = isOther(a[i], b[i], at + i);
      if (differs && start < 0) start = at + i;
      else if (!differs && start >= 0) {
        yield { offset: start, length: at + i - start };
        start = -1;
      }
    }
  }
  if (start >= 0) yield { offset: start, length: now.size - start };
}

function changed(
  program: Program,
  offset: number,
  found: Uint8Array,
  expected: Uint8Array,
  length: number,
): Finding {
  const { image } = program;
  const address = image.addressOfByte(offset);
  return {
    rule: 'TP013',
    address,
    place: address !== undefined ? image.describe(address) : `file offset ${hex(offset)}`,
    message: `${length} bytes at file offset ${hex(offset)} differ from the original, outside every site, table and key`,
    found,
    expected,
  };
}
