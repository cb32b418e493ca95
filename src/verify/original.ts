// The patched image against the one it was made of: the same sites, and no byte changed that is none of a
// site's, a table's, a key's, a trampoline's or a key's relocation's.
import { placeOf } from '../arch/code-pointer.ts';
import type { Runtime } from '../boot/runtime.ts';
import { hex, hexBytes } from '../bytes/integer.ts';
import { altSmp, jumpTable, keptLocks, smpBarriers, smpLocks, staticCallSites } from '../bytes/schema.ts';
import { tableRanges } from '../image/tables.ts';
import type { Finding } from './finding.ts';

/** How many changed places are named before the rest is only counted. */
const shownChanges = 20;

/** TP013, TP014; nothing of entries that are `faulty`, by their addresses: what is wrong with them was said. */
export function* checkOriginal(
  runtime: Runtime,
  original: Runtime,
  faulty: ReadonlySet<number>,
): Generator<Finding> {
  yield* compareEntries(runtime, original, faulty);
  yield* compareBytes(runtime, original);
}

interface Entry {
  readonly address: number;
  readonly entry: number;
  readonly table: string;
  readonly text: string;
}

type Site = { readonly address: number; readonly entry: { readonly address: number } };

function entriesOf(runtime: Runtime): Map<string, Entry> {
  const entries: Entry[] = [];
  const add = <S extends Site>(table: string, sites: readonly S[], more: (site: S) => string = () => '') => {
    for (const site of sites) {
      const { address, entry } = site;
      entries.push({ address, entry: entry.address, table, text: `${table} ${hex(address)}${more(site)}` });
    }
  };
  add('static branch', runtime.branches, ({ target, key, branch }) => {
    return ` to ${hex(target)}, key ${hex(key)}, ${branch ? 'likely' : 'unlikely'}`;
  });
  add('static call', runtime.callSites, ({ key, tail }) => `, key ${hex(key)}, ${tail ? 'tail' : 'call'}`);
  add('barrier', runtime.barriers);
  add('site for one CPU', runtime.alternatives, ({ replacement }) => `, then ${hexBytes(replacement)}`);
  add('lock', runtime.locks);
  add('kept lock', runtime.keptLocks);
  return new Map(entries.map((entry) => [entry.text, entry]));
}

/** A site that both list, but otherwise, is one finding; so is an entry at fault and the one that it was. */
function* compareEntries(
  runtime: Runtime,
  original: Runtime,
  faulty: ReadonlySet<number>,
): Generator<Finding> {
  const { image } = runtime;
  const now = entriesOf(runtime);
  const then = entriesOf(original);
  const gained = [...now.values()].filter(({ text }) => !then.has(text));
  const astray = new Map<string, number>();
  for (const { table, entry } of gained) {
    if (faulty.has(entry)) astray.set(table, (astray.get(table) ?? 0) + 1);
  }
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
    const left = astray.get(table) ?? 0;
    if (!instead && left > 0) astray.set(table, left - 1);
    else yield make(address, `the original lists: ${text}${instead ? `; this one: ${instead.text}` : ''}`);
  }
  for (const { text, address } of unknown.values())
    yield make(address, `the original does not list: ${text}`);
}

/** File ranges that patching may change, as flags on the file's bytes. */
function changeable(runtime: Runtime, size: number): Uint8Array {
  const { image } = runtime;
  const flags = new Uint8Array(size);
  const allow = (address: number, length: number) => {
    const offset = image.fileOffset(address, length);
    if (offset !== undefined) flags.fill(1, offset, offset + length);
  };
  const longest = (address: number) => Math.max(...image.instructionsAt(address).branchSizes);
  const siteSize = (address: number) => image.instructionAt(address).size || longest(address);
  for (const site of runtime.branches) {
    allow(site.address, siteSize(site.address));
    allow(site.key, 4);
  }
  for (const site of runtime.callSites) {
    // A NULL tail call is a return with fill behind it: as long as the jump it replaces.
    allow(site.address, Math.max(siteSize(site.address), longest(site.address)));
  }
  // A call without a site can be updated, too.
  for (const key of new Set([...runtime.callSites.map((site) => site.key), ...runtime.calls.keys()])) {
    allow(key, image.arch.wordSize);
    const relocation = image.dynamic.at(key);
    if (relocation) allow(relocation.record, relocation.size);
    const trampoline = runtime.calls.get(key)?.trampoline;
    if (trampoline === undefined) continue;
    allow(placeOf(image.arch, trampoline), image.arch.trampolineSize);
  }
  for (const site of runtime.locks) allow(site.address, 1);
  for (const site of [...runtime.barriers, ...runtime.alternatives]) allow(site.address, 4);
  // What tables list was compared entry by entry.
  for (const row of [jumpTable, staticCallSites, smpLocks, keptLocks, smpBarriers, altSmp]) {
    for (const { start, end } of tableRanges(image, row)) allow(start, end - start);
  }
  const count = image.dynamic.relativeCount(image.arch);
  if (count) allow(count.at, image.arch.wordSize);
  return flags;
}

function* compareBytes(runtime: Runtime, original: Runtime): Generator<Finding> {
  const now = runtime.image.file.source;
  const then = original.image.file.source;
  if (now.size !== then.size) {
    yield {
      rule: 'TP013',
      address: undefined,
      place: 'file',
      message: `the file has ${now.size} bytes, the original ${then.size}; patching keeps the size`,
    };
    return;
  }
  const may = changeable(runtime, now.size);
  const a = now.read(0, now.size);
  const b = then.read(0, then.size);
  let runs = 0;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i] || may[i] === 1) continue;
    let end = i + 1;
    while (end < a.length && a[end] !== b[end] && may[end] !== 1) end++;
    if (runs++ < shownChanges)
      yield changed(
        runtime,
        i,
        a.slice(i, Math.min(end, i + 16)),
        b.slice(i, Math.min(end, i + 16)),
        end - i,
      );
    i = end;
  }
  if (runs > shownChanges) {
    const message = `${runs - shownChanges} further places differ from the original`;
    yield { rule: 'TP013', address: undefined, place: 'file', message };
  }
}

function changed(
  runtime: Runtime,
  offset: number,
  found: Uint8Array,
  expected: Uint8Array,
  length: number,
): Finding {
  const { image } = runtime;
  const segment = image.file.segments.find(
    (s) => s.type === 1 && offset >= s.offset && offset < s.offset + s.filesz,
  );
  const address = segment ? segment.vaddr + (offset - segment.offset) : undefined;
  return {
    rule: 'TP013',
    address,
    place: address !== undefined ? image.describe(address) : `file offset ${hex(offset)}`,
    message: `${length} bytes at file offset ${hex(offset)} differ from the original, outside every site, table and key`,
    found,
    expected,
  };
}
