// The patched image against the one it was made of: the same sites, and no byte changed that is none of a
// site's, a table's, a key's, a trampoline's or a key's relocation's.
import { placeOf } from '../arch/arch.ts';
import type { Runtime } from '../boot/runtime.ts';
import { hex, hexBytes } from '../bytes/integer.ts';
import type { Finding } from '../findings.ts';
import { tableRanges } from '../image/tables.ts';
import { altSmp, jumpTable, keptLocks, smpBarriers, smpLocks, staticCallSites } from '../tables/schema.ts';

/** How many changed places are named before the rest is only counted. */
const shownChanges = 20;

/** TP013, TP014. */
export function* checkOriginal(runtime: Runtime, original: Runtime): Generator<Finding> {
  yield* compareEntries(runtime, original);
  yield* compareBytes(runtime, original);
}

interface Entry {
  readonly address: number;
  readonly kind: string;
  readonly text: string;
}

function entriesOf(runtime: Runtime): Map<string, Entry> {
  const entries: Entry[] = [
    ...runtime.branches.map(({ address, target, key, branch }) => ({
      address,
      kind: `branch ${key}`,
      text: `static branch ${hex(address)} to ${hex(target)}, key ${hex(key)}, ${branch ? 'likely' : 'unlikely'}`,
    })),
    ...runtime.callSites.map(({ address, key, tail }) => ({
      address,
      kind: `call ${key}`,
      text: `static call ${hex(address)}, key ${hex(key)}, ${tail ? 'tail' : 'call'}`,
    })),
    ...runtime.barriers.map(({ address }) => ({
      address,
      kind: 'barrier',
      text: `barrier ${hex(address)}`,
    })),
    ...runtime.alternatives.map(({ address, replacement }) => ({
      address,
      kind: 'site for one CPU',
      text: `site for one CPU ${hex(address)}, which holds ${hexBytes(replacement)} there`,
    })),
    ...runtime.locks.map(({ address }) => ({ address, kind: 'lock', text: `lock ${hex(address)}` })),
    ...runtime.keptLocks.map(({ address }) => ({
      address,
      kind: 'kept lock',
      text: `kept lock ${hex(address)}`,
    })),
  ];
  return new Map(entries.map((entry) => [entry.text, entry]));
}

/** A site that both list, but otherwise, is one finding. */
function* compareEntries(runtime: Runtime, original: Runtime): Generator<Finding> {
  const { image } = runtime;
  const now = entriesOf(runtime);
  const then = entriesOf(original);
  const gained = new Map(Array.from(now.values(), (entry) => [entry.address, entry]));
  const make = (address: number, message: string): Finding => ({
    rule: 'TP014',
    address,
    place: image.describe(address),
    message,
  });
  for (const [text, { address }] of then) {
    if (now.has(text)) continue;
    const instead = gained.get(address);
    const isOther = instead !== undefined && !then.has(instead.text);
    if (isOther) gained.delete(address);
    yield make(address, `the original lists: ${text}${isOther ? `; this one: ${instead.text}` : ''}`);
  }
  for (const [text, { address }] of now) {
    if (!then.has(text) && gained.has(address)) yield make(address, `the original does not list: ${text}`);
  }
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
