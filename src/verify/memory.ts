// The passes of verify over the memory of a running system, top to bottom: every site that is still there holds what
// its key, as the memory has it, demands. Tables come from the image, since a kernel gives some of its own back.
import { placeOf } from '../arch/code-pointer.ts';
import { keySize, readKey } from '../demand/keys.ts';
import { type Program, withoutEntries, withSites } from '../demand/program.ts';
import type { Image } from '../image/image.ts';
import { isFreed, kernelBanner } from '../image/kernel.ts';
import { hasNoSites } from '../image/static-calls.ts';
import { keyOf } from '../kinds/kind.ts';
import { droppedLocks, lockState } from '../kinds/lock-prefix/demand.ts';
import { lockPrefix } from '../kinds/lock-prefix/kind.ts';
import { isReplaced } from '../kinds/one-cpu/demand.ts';
import { oneCpu } from '../kinds/one-cpu/kind.ts';
import { kinds, programOf } from '../kinds/registry.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import { hasTrampoline } from '../kinds/static-call/trampoline.ts';
import { describeValue, readCallValue } from '../kinds/static-call/values.ts';
import { MemoryImage } from '../memory/image.ts';
import type { ImagePlace } from '../memory/memory.ts';
import { checkBarriers } from './barriers.ts';
import { checkEntries } from './entries.ts';
import type { Finding } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';
import { checkLostSites } from './lost-sites.ts';
import { byRuleAndAddress, withoutConsequences } from './order-findings.ts';

/** What became of the entries of a table. */
export interface ComparedTable {
  /** Section name of the table, or `trampolines`. */
  readonly name: string;
  /** Entries whose site and key are there. */
  readonly compared: number;
  /** In memory that the kernel gives back once it has started. */
  readonly init: number;
  /** Not in the dump, or their key is not. */
  readonly missing: number;
  /** Places among the compared that findings are about. */
  readonly mismatches: number;
}

export interface VerifiedMemory {
  /** The image as it stands in the dump. */
  readonly image: MemoryImage;
  readonly findings: readonly Finding[];
  readonly tables: readonly ComparedTable[];
  readonly keys: readonly { readonly address: number; readonly enabled: number }[];
  /** `code` is where a function lies as linked. */
  readonly calls: readonly {
    readonly name: string;
    readonly address: number;
    readonly value: string;
    readonly code: number | undefined;
  }[];
  /** One or several, as the locks or the kernel's sites for one CPU have it; undefined without such sites. */
  readonly cpus: 'one' | 'several' | undefined;
}

interface Counted {
  readonly name: string;
  compared: number;
  init: number;
  missing: number;
  /** Of the missing, those whose code is not in the dump. */
  missingCode: number;
  readonly places: Set<number>;
}

/** Compares. `cpus` is how many run, if that is known. Errors: `table-malformed`, `memory-unsupported`. */
export function verifyMemory(linked: Image, place: ImagePlace, cpus: number | undefined): VerifiedMemory {
  const image = new MemoryImage(linked, place);
  const all = programOf(image, { tables: linked });
  const { program: present, counted, leftOut } = sift(all, image);
  const running = cpus ?? countCpus(present);
  const options = { state: 'booted', cpus: running, locks: 'listed', original: linked } as const;
  // What is wrong with an entry in the file is said of the file; the memory is compared with sound entries.
  const inFile = programOf(linked);
  const { findings: causes, sound: soundInFile } = checkEntries(inFile, { ...options, state: 'linked' });
  const faulty = new Set(causes.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
  const sound = withoutEntries(present, faulty);
  const found = [
    ...causes,
    ...checkInstructions(sound, options),
    ...checkLocks(sound, all, options),
    ...checkBarriers(sound, options),
  ].filter(({ address }) => address === undefined || !leftOut.has(address));
  // So is what notes tell of sites without entry: in memory such a site looks like any other code.
  const told = new Set(found.map(({ address }) => address));
  for (const finding of checkLostSites(inFile, soundInFile, told))
    if (finding.address === undefined || !isFreed(linked, finding.address)) found.push(finding);
  if (found.every(({ rule }) => rule !== 'TP016'))
    for (const finding of nothingCompared(counted, linked)) found.push(finding);
  const findings = withoutConsequences(found).sort(byRuleAndAddress);
  return {
    image,
    findings,
    tables: countMismatches(counted, findings),
    ...keysAndCalls(sound, image),
    cpus: running === undefined ? undefined : running === 1 ? 'one' : 'several',
  };
}

/** Parts the sites of each table into those that can be compared and those that cannot. */
function sift(
  program: Program,
  image: MemoryImage,
): { program: Program; counted: readonly Counted[]; leftOut: ReadonlySet<number> } {
  const leftOut = new Set<number>();
  const counted: Counted[] = [];
  const isHere = (address: number, size: number) =>
    !image.contains(address, size) || image.has(address, size);
  const compare = <S extends { readonly address: number }>(
    name: string,
    sites: readonly S[],
    size: number,
    keyOfSite: (site: S) => number | undefined,
  ): S[] => {
    const count: Counted = { name, compared: 0, init: 0, missing: 0, missingCode: 0, places: new Set() };
    const kept = sites.filter((site) => {
      const key = keyOfSite(site);
      if (isFreed(image, site.address)) count.init++;
      else if (!isHere(site.address, size)) {
        count.missing++;
        count.missingCode++;
      } else if (key !== undefined && !isHere(key, keySize(image))) count.missing++;
      else {
        count.compared++;
        count.places.add(site.address);
        return true;
      }
      leftOut.add(site.address);
      return false;
    });
    if (sites.length > 0) counted.push(count);
    return kept;
  };
  let present = program;
  for (const kind of kinds) {
    const sites = compare(kind.table.name, program.sites.of(kind), kind.longest(image.arch), keyOf);
    // Kept locks are looked for whether they can be compared or not: they are in no state that changes.
    if (kind.group) present = withSites(present, kind, sites);
  }
  const called = new Set(present.sites.of(staticCall).map((site) => site.key));
  const isSiteless = hasNoSites(image);
  const trampolines = [...program.calls.values()].flatMap((call) => {
    const { literal } = call;
    const isCompared = called.has(call.key) || isSiteless;
    return isCompared && hasTrampoline(call)
      ? [{ address: placeOf(image.arch, call.trampoline), literal }]
      : [];
  });
  compare('trampolines', trampolines, image.arch.trampolineSize, ({ literal }) => literal);
  return { program: present, counted, leftOut };
}

/** A comparison of nothing proves nothing: tables of which the dump has no entry, or all of them together. */
function nothingCompared(counted: readonly Counted[], linked: Image): Finding[] {
  const finding = (place: string, message: string): Finding => ({
    rule: 'TP029',
    address: undefined,
    place,
    message,
  });
  const absent = counted.filter(({ compared, missing }) => compared === 0 && missing > 0);
  if (absent.length === 0 && counted.every(({ compared }) => compared === 0)) {
    const what = counted.length === 0 ? 'the image lists no site' : 'all sites are in init memory';
    return [finding('image', `nothing was compared: ${what}`)];
  }
  const way =
    kernelBanner(linked) === undefined
      ? '; a core has all code if coredump_filter is 0x3f when it is made'
      : '';
  return absent.map(({ name, missing, missingCode }) => {
    const lacks =
      missingCode > 0
        ? `the code of ${missingCode} of its ${missing} entries is not in the dump${way}`
        : `the keys of its ${missing} entries are not in the dump`;
    return finding(name, `nothing was compared: ${lacks}`);
  });
}

function countMismatches(counted: readonly Counted[], findings: readonly Finding[]): ComparedTable[] {
  const wrong = new Set(findings.map((finding) => finding.address));
  return counted.map(({ places, missingCode: _, ...count }) => ({
    ...count,
    mismatches: [...places].filter((address) => wrong.has(address)).length,
  }));
}

/** The keys and the calls as the memory has them. */
function keysAndCalls(program: Program, image: MemoryImage): Pick<VerifiedMemory, 'keys' | 'calls'> {
  const size = keySize(image);
  return {
    keys: [...new Set(program.sites.of(staticBranch).map((site) => site.key))]
      .sort((a, b) => a - b)
      .map((address) => ({ address, enabled: readKey(image, address).enabled })),
    calls: [...program.calls.values()]
      .filter(({ key }) => image.contains(key, size) && image.has(key, size))
      .map(({ name, key }) => {
        const value = readCallValue(program, key);
        const code = value.kind === 'function' ? value.address : undefined;
        return { name, address: key, value: describeValue(image, value), code };
      }),
  };
}

/** The number of CPUs that most sites are for: 1, or 2 for several. */
function countCpus(program: Program): number | undefined {
  const { image, sites } = program;
  const isForOne = [
    ...droppedLocks(program, image, sites.of(lockPrefix)).map(
      ({ address }) => lockState(program, address, image.read(address, 1)[0]) !== 'locked',
    ),
    ...sites.of(oneCpu).map((site) => isReplaced(program, site)),
  ];
  if (isForOne.length === 0) return undefined;
  return isForOne.filter(Boolean).length > isForOne.length / 2 ? 1 : 2;
}
