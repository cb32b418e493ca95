// Sites that share bytes, and entries that say the same.
import type { Runtime } from '../boot/runtime.ts';
import { entryFinding, type Faulty } from './entries.ts';
import type { Finding } from './finding.ts';

interface ListedSite {
  readonly address: number;
  readonly size: number;
  readonly entry: { readonly address: number };
  /** What entries of one site must agree on. */
  readonly meaning: string;
  readonly what: string;
}

/** TP003, TP019. A lock prefix is one byte, other sites their instruction's size. */
export function* checkOverlaps(runtime: Runtime, faulty: Faulty): Generator<Finding> {
  const { image } = runtime;
  let last: ListedSite | undefined;
  for (const site of listSites(runtime)) {
    if (last && site.address < last.address + last.size) {
      if (site.address !== last.address || site.meaning !== last.meaning || site.what !== last.what) {
        faulty.add(last.entry.address).add(site.entry.address);
        const message = `${site.what} overlaps the ${last.what} at ${image.describe(last.address)}`;
        yield entryFinding(runtime, 'TP003', site, site.address, message);
      } else if (image.symbols.functionsAt(site.address).length === 1) {
        // Linkers that fold identical code leave identical entries, and a name for each function.
        faulty.add(site.entry.address);
        yield entryFinding(runtime, 'TP019', site, site.address, `the ${site.what} is listed twice`);
      }
    }
    if (!last || site.address + site.size > last.address + last.size) last = site;
  }
}

/** In order of address. */
function listSites(runtime: Runtime): ListedSite[] {
  const { image } = runtime;
  const sizeAt = (address: number) => Math.max(image.instructionAt(address).size, 1);
  const sites: ListedSite[] = [
    ...runtime.branches.map(({ address, entry, key, branch, target }) => ({
      address,
      entry,
      size: sizeAt(address),
      meaning: `${key} ${branch} ${target}`,
      what: `static branch of ${image.describe(key)}`,
    })),
    ...runtime.callSites.map(({ address, entry, key, tail }) => ({
      address,
      entry,
      size: sizeAt(address),
      meaning: `${key} ${tail}`,
      what: `static call of ${image.describe(key)}`,
    })),
    ...[...runtime.barriers, ...runtime.alternatives].map(({ address, entry }) => ({
      address,
      entry,
      size: sizeAt(address),
      meaning: '',
      what: 'site for one CPU',
    })),
    ...runtime.locks.map(({ address, entry }) => ({
      address,
      entry,
      size: 1,
      meaning: '',
      what: 'lock prefix',
    })),
  ];
  return sites.sort((a, b) => a.address - b.address || a.entry.address - b.entry.address);
}
