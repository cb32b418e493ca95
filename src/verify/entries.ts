// Entries by themselves: in code, on instructions, keys in data, in order, not overlapping.
import type { Runtime } from '../boot/runtime.ts';
import { PF_W } from '../elf/constants.ts';
import type { Finding, RuleId } from '../findings.ts';
import { isReadOnlyAfterInit } from '../image/kernel.ts';
import type { VerifyOptions } from './verify.ts';

interface ListedSite {
  readonly address: number;
  readonly size: number;
  /** What entries of one site must agree on. */
  readonly meaning: string;
  readonly what: string;
}

/** TP001, TP002, TP003, TP004, TP005, TP006, TP015, TP016. */
export function* checkEntries(runtime: Runtime, options: VerifyOptions): Generator<Finding> {
  if (runtime.entryCount === 0) {
    const message = 'no table has an entry: was the program annotated, and did the link keep its tables?';
    yield { rule: 'TP016', address: 0, place: runtime.image.file.path, message };
  }
  yield* checkPlaces(runtime);
  yield* checkKeys(runtime);
  yield* checkOverlaps(runtime);
  if (options.state === 'booted') {
    yield* checkOrder(runtime);
    yield* checkInitFlags(runtime);
  }
}

function make(runtime: Runtime, rule: RuleId, address: number, message: string): Finding {
  return { rule, address, place: runtime.image.describe(address), message };
}

function* checkPlaces(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const { startsInstruction, startsBranch } = image.arch;
  const places = [
    ...runtime.branches.flatMap((s) => [
      { address: s.address, what: 'a jump entry names a site', starts: startsInstruction },
      { address: s.target, what: 'a jump entry names a target', starts: startsInstruction },
    ]),
    ...runtime.callSites.map((s) => ({
      address: s.address,
      what: 'a static call entry names a site',
      starts: startsBranch,
    })),
    ...[
      ...runtime.barriers,
      // The ARM kernel's tables of functions and processors hold words for one CPU too.
      ...runtime.alternatives.filter((s) => !image.isData(s.address, s.replacement.length)),
    ].map((s) => ({
      address: s.address,
      what: 'an entry for one CPU names a site',
      starts: startsInstruction,
    })),
  ];
  for (const { address, what, starts } of places) {
    const range = image.codeAt(address);
    if (!range) yield make(runtime, 'TP001', address, `${what} that is not in executable code`);
    else if (!starts(range.code, image.codeMap(range), address - range.address)) {
      yield make(runtime, 'TP002', address, `${what} inside an instruction`);
    }
  }
  for (const { address } of runtime.locks) {
    if (!image.codeAt(address)) {
      yield make(runtime, 'TP001', address, 'a lock entry names a place that is not in executable code');
    }
  }
}

function* checkKeys(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const keys = new Set([...runtime.branches.map((s) => s.key), ...runtime.callSites.map((s) => s.key)]);
  // Flags were split off as the low two bits, so an unaligned key shows as one that no symbol starts at.
  for (const key of keys) {
    const near = image.symbols.nearest(key + 3);
    if (
      near &&
      near.offset > 0 &&
      near.offset < 4 &&
      image.symbols.addressOf(near.name) === key + 3 - near.offset
    ) {
      const address = key + 3 - near.offset;
      if (address % 4 !== 0)
        yield make(runtime, 'TP005', address, `the key ${near.name} is not aligned to 4 bytes`);
    }
    const size = 2 * image.arch.wordSize;
    const segment = image.file.segments.find((s) => key >= s.vaddr && key + size <= s.vaddr + s.memsz);
    const writable = segment && (segment.flags & PF_W) !== 0;
    if (!writable && !(segment && isReadOnlyAfterInit(image, key))) {
      yield make(runtime, 'TP006', key, 'an entry names a key that does not lie in writable data');
    }
  }
}

/** Sites by address; a lock prefix is one byte, other sites their instruction's size. */
function* checkOverlaps(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const sizeAt = (address: number) => Math.max(image.instructionAt(address).size, 1);
  const sites: ListedSite[] = [
    ...runtime.branches.map((s) => ({
      address: s.address,
      size: sizeAt(s.address),
      meaning: `${s.key} ${s.branch} ${s.target}`,
      what: `static branch of ${image.describe(s.key)}`,
    })),
    ...runtime.callSites.map((s) => ({
      address: s.address,
      size: sizeAt(s.address),
      meaning: `${s.key} ${s.tail}`,
      what: `static call of ${image.describe(s.key)}`,
    })),
    ...[...runtime.barriers, ...runtime.alternatives].map((s) => ({
      address: s.address,
      size: sizeAt(s.address),
      meaning: '',
      what: 'site for one CPU',
    })),
    ...runtime.locks.map((s) => ({ address: s.address, size: 1, meaning: '', what: 'lock prefix' })),
  ];
  sites.sort((a, b) => a.address - b.address);
  let last: ListedSite | undefined;
  for (const site of sites) {
    // Linkers that fold identical code leave identical entries: they say the same and are one site.
    const same =
      last && site.address === last.address && site.meaning === last.meaning && site.what === last.what;
    if (last && !same && site.address < last.address + last.size) {
      yield make(
        runtime,
        'TP003',
        site.address,
        `${site.what} overlaps the ${last.what} at ${image.describe(last.address)}`,
      );
    }
    if (!last || site.address + site.size > last.address + last.size) last = site;
  }
}

function* checkOrder(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const tables = [
    { name: '__jump_table', sites: runtime.branches },
    { name: '.static_call_sites', sites: runtime.callSites },
  ];
  for (const { name, sites } of tables) {
    for (let i = 1; i < sites.length; i++) {
      const before = sites[i - 1] as (typeof sites)[number];
      const here = sites[i] as (typeof sites)[number];
      const inOrder = before.key < here.key || (before.key === here.key && before.address <= here.address);
      if (inOrder) continue;
      yield make(
        runtime,
        'TP004',
        here.entry.address,
        `entry ${i} of ${name} (${image.describe(here.address)}) belongs in front of entry ${i - 1}; tables are sorted by key, then code`,
      );
      break;
    }
  }
}

function* checkInitFlags(runtime: Runtime): Generator<Finding> {
  const flagged = [
    ...runtime.branches.map((s) => ({ address: s.address, init: s.bit1 })),
    ...runtime.callSites.map((s) => ({ address: s.address, init: s.init })),
  ];
  for (const { address, init } of flagged) {
    if (init === runtime.image.isInitText(address)) continue;
    const where = init ? 'is flagged init but does not lie' : 'lies in init text but is not flagged';
    yield make(runtime, 'TP015', address, `the site ${where}${init ? ' in init text' : ''}`);
  }
}
