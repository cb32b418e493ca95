// The memory of a running system against the image's tables: every site that is still there holds what its key, as
// the memory has it, demands. Tables come from the image, since a kernel gives some of its own back.
import { placeOf } from '../arch/code-pointer.ts';
import { readKey } from '../boot/jump-label.ts';
import { Runtime } from '../boot/runtime.ts';
import { describeValue, readCallValue } from '../boot/static-call.ts';
import { sameBytes } from '../bytes/integer.ts';
import { altSmp, jumpTable, keptLocks, smpBarriers, smpLocks, staticCallSites } from '../bytes/schema.ts';
import type { Image } from '../image/image.ts';
import { isFreed } from '../image/kernel.ts';
import { MemoryImage } from '../memory/image.ts';
import type { ImagePlace } from '../memory/locate.ts';
import { checkBarriers } from './barriers.ts';
import { checkEntries } from './entries.ts';
import type { Finding } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';
import { byRuleAndAddress } from './verify.ts';

/** What became of the entries of a table. */
export interface Compared {
  readonly name: string;
  readonly compared: number;
  /** In memory that the kernel gives back once it has started. */
  readonly init: number;
  /** Not in the dump, or their key is not. */
  readonly missing: number;
  readonly mismatches: number;
}

export interface VerifiedMemory {
  /** The image as it stands in the dump. */
  readonly image: MemoryImage;
  readonly findings: readonly Finding[];
  readonly tables: readonly Compared[];
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

interface Site {
  readonly address: number;
}

/** Counts the sites of a table and keeps those that can be compared. */
class Sifter {
  readonly counts: { name: string; compared: number; init: number; missing: number; places: Set<number> }[] =
    [];
  /** Places that cannot be compared. */
  readonly leftOut = new Set<number>();
  private readonly image: MemoryImage;

  constructor(image: MemoryImage) {
    this.image = image;
  }

  /** `size` is a site's bytes; `key` what else has to be in the dump. */
  sift<S extends Site>(name: string, sites: readonly S[], size: number, key?: (site: S) => number): S[] {
    const count = { name, compared: 0, init: 0, missing: 0, places: new Set<number>() };
    const keySize = 2 * this.image.arch.wordSize;
    const kept = sites.filter((site) => {
      if (isFreed(this.image, site.address)) count.init++;
      else if (!this.has(site.address, size) || (key && !this.has(key(site), keySize))) count.missing++;
      else {
        count.compared++;
        count.places.add(site.address);
        return true;
      }
      this.leftOut.add(site.address);
      return false;
    });
    if (sites.length > 0) this.counts.push(count);
    return kept;
  }

  private has(address: number, size: number): boolean {
    return !this.image.contains(address, size) || this.image.has(address, size);
  }
}

/** Compares. `cpus` is how many run, if that is known. Errors: `table-malformed`, `memory-unsupported`. */
export function verifyMemory(linked: Image, place: ImagePlace, cpus: number | undefined): VerifiedMemory {
  const image = new MemoryImage(linked, place);
  const runtime = new Runtime(image, { tables: linked });
  const sifter = new Sifter(image);
  const { maxSite, trampolineSize } = image.arch;
  const keySize = 2 * image.arch.wordSize;
  runtime.branches = sifter.sift(jumpTable.name, runtime.branches, maxSite, (site) => site.key);
  runtime.callSites = sifter.sift(staticCallSites.name, runtime.callSites, maxSite, (site) => site.key);
  runtime.locks = sifter.sift(smpLocks.name, runtime.locks, 1);
  sifter.sift(keptLocks.name, runtime.keptLocks, 1);
  runtime.barriers = sifter.sift(smpBarriers.name, runtime.barriers, maxSite);
  runtime.alternatives = sifter.sift(altSmp.name, runtime.alternatives, 4);
  const called = new Set(runtime.callSites.map((site) => site.key));
  const trampolines = [...runtime.calls.values()].flatMap(({ key, trampoline }) =>
    called.has(key) && trampoline !== undefined ? [{ key, address: placeOf(image.arch, trampoline) }] : [],
  );
  sifter.sift('trampolines', trampolines, trampolineSize);

  const running = cpus ?? countCpus(runtime);
  const options = { state: 'booted', cpus: running, locks: 'listed', original: linked } as const;
  const findings: Finding[] = [
    ...checkEntries(new Runtime(linked), { ...options, state: 'linked' }),
    ...checkInstructions(runtime, options),
    ...checkLocks(runtime, options),
    ...checkBarriers(runtime, options),
  ].filter(({ address }) => address === undefined || !sifter.leftOut.has(address));
  findings.sort(byRuleAndAddress);
  const wrong = new Set(findings.map((finding) => finding.address));
  return {
    image,
    findings,
    tables: sifter.counts.map(({ places, ...count }) => ({
      ...count,
      mismatches: [...places].filter((address) => wrong.has(address)).length,
    })),
    keys: [...new Set(runtime.branches.map((site) => site.key))]
      .sort((a, b) => a - b)
      .map((address) => ({ address, enabled: readKey(image, address).enabled })),
    calls: [...runtime.calls.values()]
      .filter(({ key }) => image.contains(key, keySize) && image.has(key, keySize))
      .map(({ name, key }) => {
        const value = readCallValue(runtime, key);
        const code = value.kind === 'function' ? value.address : undefined;
        return { name, address: key, value: describeValue(image, value), code };
      }),
    cpus: running === undefined ? undefined : running === 1 ? 'one' : 'several',
  };
}

/** The number of CPUs that most sites are for: 1, or 2 for several. */
function countCpus({ image, locks, alternatives }: Runtime): number | undefined {
  const prefix = image.arch.lockPrefix;
  const isForOne = [
    ...locks.map(({ address }) => image.read(address, 1)[0] !== prefix?.lock),
    ...alternatives.map(({ address, replacement }) =>
      sameBytes(image.read(address, replacement.length), replacement),
    ),
  ];
  if (isForOne.length === 0) return undefined;
  return isForOne.filter(Boolean).length > isForOne.length / 2 ? 1 : 2;
}
