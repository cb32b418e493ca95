// Entries by themselves: in code, on instructions, keys in data, within their function. An entry with a fault is left
// out of what is checked after it, so that one defect is said once.
import type { Runtime } from '../boot/runtime.ts';
import { PF_W, STT_OBJECT } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { isReadOnlyAfterInit } from '../image/kernel.ts';
import type { Finding } from './finding.ts';
import { checkInitFlags, checkInitReferences } from './init.ts';
import { checkOrder } from './order.ts';
import { checkOverlaps } from './overlaps.ts';
import type { RuleId } from './rules.ts';
import type { VerifyOptions } from './verify.ts';

/** Addresses of entries that something is wrong with. */
export type Faulty = Set<number>;

interface Listed {
  readonly address: number;
  readonly entry: { readonly address: number };
}

/** TP001 to TP006, TP015, TP016, TP018 to TP020, TP023. Takes entries with a fault out of the runtime's lists. */
export function* checkEntries(runtime: Runtime, options: VerifyOptions): Generator<Finding> {
  if (runtime.entryCount === 0) {
    const message = 'no table has an entry: was the program annotated, and did the link keep its tables?';
    yield { rule: 'TP016', address: undefined, place: runtime.image.file.path, message };
    return;
  }
  for (const check of [checkPlaces, checkKeys, checkTargets, checkOverlaps]) {
    const faulty: Faulty = new Set();
    yield* check(runtime, faulty);
    leaveOut(runtime, faulty);
  }
  if (options.state === 'booted') {
    yield* checkOrder(runtime);
    yield* checkInitFlags(runtime);
  }
  yield* checkInitReferences(runtime);
}

function leaveOut(runtime: Runtime, faulty: Faulty): void {
  if (faulty.size === 0) return;
  const isSound = ({ entry }: Listed) => !faulty.has(entry.address);
  runtime.branches = runtime.branches.filter(isSound);
  runtime.callSites = runtime.callSites.filter(isSound);
  runtime.locks = runtime.locks.filter(isSound);
  runtime.barriers = runtime.barriers.filter(isSound);
  runtime.alternatives = runtime.alternatives.filter(isSound);
}

/** A finding about an entry and the place it names. */
export function entryFinding(
  { image }: Runtime,
  rule: RuleId,
  { entry }: Listed,
  address: number,
  message: string,
): Finding {
  return { rule, address, place: image.describe(address), message, entry: entry.address };
}

/** Why no code can be at an address; undefined where some is. */
function whyNoCode(image: Image, address: number): string | undefined {
  if (image.codeAt(address)) return undefined;
  if (!image.contains(address)) return 'that lies outside the image';
  const section = image.sectionAt(address)?.name;
  return `that is not in executable code${section === undefined ? '' : ` but in ${section}`}`;
}

function* checkPlaces(runtime: Runtime, faulty: Faulty): Generator<Finding> {
  const { image } = runtime;
  const { startsInstruction, startsBranch } = image.arch;
  type Starts = typeof startsInstruction;
  const places: { site: Listed; what: string; starts?: Starts; target?: number }[] = [
    ...runtime.branches.flatMap((site) => [
      { site, what: 'a jump entry names a site', starts: startsInstruction },
      { site, what: 'a jump entry names a target', starts: startsInstruction, target: site.target },
    ]),
    ...runtime.callSites.map((site) => ({
      site,
      what: 'a static call entry names a site',
      starts: startsBranch,
    })),
    ...[
      ...runtime.barriers,
      // The ARM kernel's tables of functions and processors hold words for one CPU too.
      ...runtime.alternatives.filter((s) => !image.isData(s.address, s.replacement.length)),
    ].map((site) => ({ site, what: 'an entry for one CPU names a site', starts: startsInstruction })),
    ...runtime.locks.map((site) => ({ site, what: 'a lock entry names a place' })),
  ];
  for (const { site, what, starts, target } of places) {
    const { entry } = site;
    if (faulty.has(entry.address)) continue;
    const address = target ?? site.address;
    const find = (rule: RuleId, at: number, message: string) => {
      faulty.add(entry.address);
      return entryFinding(runtime, rule, site, at, message);
    };
    const why = whyNoCode(image, address);
    // What a linker leaves of the entry of discarded code: zeros, which name the field itself, or address 0.
    if (why !== undefined && (address === entry.address || address === 0)) {
      yield find('TP018', entry.address, 'the entry holds zeros: the linker discarded the code it listed');
      continue;
    }
    if (why !== undefined) yield find('TP001', address, `${what} ${why}`);
    else if (starts) {
      const range = image.codeAt(address);
      if (range && !starts(range.code, image.codeMap(range), address - range.address))
        yield find('TP002', address, `${what} inside an instruction`);
    }
  }
}

/** Each key is judged once, and with it every entry that names it. */
function* checkKeys(runtime: Runtime, faulty: Faulty): Generator<Finding> {
  const { image } = runtime;
  const judged = new Map<number, Finding | undefined>();
  for (const site of [...runtime.branches, ...runtime.callSites]) {
    const known = judged.has(site.key);
    const finding = known ? judged.get(site.key) : judgeKey(image, site.key);
    judged.set(site.key, finding);
    if (!finding) continue;
    faulty.add(site.entry.address);
    if (!known) yield { ...finding, entry: site.entry.address };
  }
}

function judgeKey(image: Image, key: number): Finding | undefined {
  const make = (rule: RuleId, address: number, message: string): Finding => ({
    rule,
    address,
    place: image.describe(address),
    message,
  });
  const size = 2 * image.arch.wordSize;
  // Flags were split off as the low two bits, so an unaligned key shows as one that no symbol starts at.
  const above = image.symbols.nearest(key + 3);
  const start = above && key + 3 - above.offset;
  if (above && start !== undefined && start > key && image.symbols.addressOf(above.name) === start) {
    return make('TP005', start, `the key ${above.name} is not aligned to 4 bytes`);
  }
  const segment = image.file.segments.find((s) => key >= s.vaddr && key + size <= s.vaddr + s.memsz);
  const isWritable = segment && (segment.flags & PF_W) !== 0;
  if (image.codeAt(key) || (!isWritable && !(segment && isReadOnlyAfterInit(image, key)))) {
    return make('TP006', key, 'an entry names a key that does not lie in writable data');
  }
  const near = image.symbols.nearest(key);
  if (near?.type === STT_OBJECT && near.offset < near.size && near.offset + size > near.size) {
    const message = `a key takes ${size} bytes, but ${near.name} has ${near.size - near.offset} here`;
    return make('TP006', key, message);
  }
  return undefined;
}

/** Compilers split functions: `f.cold`, `f.part.0`; what stands in front of the first dot is the function. */
function rootOf(name: string): string {
  const dot = name.indexOf('.', 1);
  return dot < 0 ? name : name.slice(0, dot);
}

function* checkTargets(runtime: Runtime, faulty: Faulty): Generator<Finding> {
  const { image } = runtime;
  for (const site of runtime.branches) {
    const target = image.symbols.functionsAt(site.target);
    const own = image.symbols.functionsAt(site.address);
    if (own.length === 0 || target.length === 0) continue;
    const roots = new Set(own.map(rootOf));
    if (target.some((name) => roots.has(rootOf(name)))) continue;
    faulty.add(site.entry.address);
    const message = `the static branch goes to ${image.describe(site.target)}, which is in another function`;
    yield entryFinding(runtime, 'TP020', site, site.address, message);
  }
}
