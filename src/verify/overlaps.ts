// Sites that share bytes, and entries that say the same.
import type { Program } from '../demand/program.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type Checked, entryFinding } from './checked.ts';
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
export function checkOverlaps(program: Program): Checked {
  const { image } = program;
  const findings: Finding[] = [];
  const faulty = new Set<number>();
  let last: ListedSite | undefined;
  for (const site of listSites(program)) {
    if (last && site.address < last.address + last.size) {
      if (site.address !== last.address || site.meaning !== last.meaning || site.what !== last.what) {
        faulty.add(last.entry.address).add(site.entry.address);
        const message = `${site.what} overlaps the ${last.what} at ${image.describe(last.address)}`;
        findings.push(entryFinding(program, 'TP003', site, site.address, message));
      } else if (image.symbols.functionsAt(site.address).length === 1) {
        // Linkers that fold identical code leave identical entries, and a name for each function.
        faulty.add(site.entry.address);
        const message = `the ${site.what} is listed twice`;
        findings.push(entryFinding(program, 'TP019', site, site.address, message));
      }
    }
    if (!last || site.address + site.size > last.address + last.size) last = site;
  }
  return { findings, faulty };
}

/** In order of address. */
function listSites({ image, sites }: Program): ListedSite[] {
  const all = kinds.flatMap((kind): ListedSite[] => {
    if (!kind.group) return [];
    return sites.of(kind).map((site) => {
      const key = keyOf(site);
      return {
        address: site.address,
        entry: site.entry,
        size: Math.max(kind.sizeOf(image, site), 1),
        meaning: kind.meaning(site),
        what: key === undefined ? kind.noun : `${kind.noun} of ${image.describe(key)}`,
      };
    });
  });
  return all.sort((a, b) => a.address - b.address || a.entry.address - b.entry.address);
}
