// Sites that share bytes, and entries that say the same.
import { inOrder, orderOf } from '../bytes/order.ts';
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { type Kind, keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type Checked, entryFinding } from './checked.ts';
import { type Finding, later } from './finding.ts';

/** TP003, TP019. A lock prefix is one byte, other sites their instruction's size. */
export function checkOverlaps(program: Program): Checked {
  const { image } = program;
  const { addresses, sizes, order, at } = listSites(program);
  const findings: Finding[] = [];
  const faulty = new Set<number>();
  const endOf = (site: number) => (addresses[site] as number) + (sizes[site] as number);
  /** The site that overlaps each one in front of which another ends too late. */
  const over = new Int32Array(addresses.length).fill(-1);
  /** What is wrong between a site and the one in front of it; undefined for what linkers leave of folded code. */
  const judge = (which: number): Finding | undefined => {
    const [here, before] = [at(which), at(over[which] as number)];
    const { address } = here.site;
    const what = nounOf(program, here.kind, here.site);
    const other = nounOf(program, before.kind, before.site);
    const isSame =
      address === before.site.address &&
      here.kind.meaning(here.site) === before.kind.meaning(before.site) &&
      what === other;
    if (!isSame) {
      const message = `${what} overlaps the ${other} at ${image.describe(before.site.address)}`;
      return entryFinding(program, 'TP003', here.site, address, message);
    }
    if (image.symbols.functionsAt(address).length !== 1) return undefined;
    // Linkers that fold identical code leave identical entries, and a name for each function.
    return entryFinding(program, 'TP019', here.site, address, `the ${what} is listed twice`);
  };
  let last = -1;
  for (const which of order) {
    if (last >= 0 && (addresses[which] as number) < endOf(last)) {
      over[which] = last;
      const finding = later(judge, which);
      if (finding) {
        findings.push(finding);
        faulty.add(at(which).site.entry.address);
        if (finding.rule === 'TP003') faulty.add(at(last).site.entry.address);
      }
    }
    if (last < 0 || endOf(which) > endOf(last)) last = which;
  }
  return { findings, faulty };
}

function nounOf({ image }: Program, kind: Kind, site: Site): string {
  const key = keyOf(site);
  return key === undefined ? kind.noun : `${kind.noun} of ${image.describe(key)}`;
}

interface ListedSites {
  /** By number, as are `sizes`. */
  readonly addresses: Float64Array;
  readonly sizes: Uint32Array;
  /** Numbers in order of address. */
  readonly order: Uint32Array;
  at(which: number): { readonly kind: Kind; readonly site: Site };
}

/** The sites of all kinds together, in columns: there may be one for each entry of a large image. */
function listSites({ image, sites }: Program): ListedSites {
  const lists = kinds.flatMap((kind) => (kind.group ? [{ kind, sites: sites.of(kind) }] : []));
  const count = lists.reduce((sum, list) => sum + list.sites.length, 0);
  const [addresses, entries] = [new Float64Array(count), new Float64Array(count)];
  const sizes = new Uint32Array(count);
  let next = 0;
  for (const list of lists) {
    for (const site of list.sites) {
      addresses[next] = site.address;
      entries[next] = site.entry.address;
      sizes[next++] = Math.max(list.kind.sizeOf(image, site), 1);
    }
  }
  // By address, and sites of one address by entry: both orders keep what is equal as it stands.
  const byEntry = orderOf(entries);
  const byAddress = orderOf(inOrder(addresses, byEntry));
  const order = inOrder(byEntry, byAddress);
  const at = (which: number) => {
    let left = which;
    for (const { kind, sites } of lists) {
      if (left < sites.length) return { kind, site: sites[left] as Site };
      left -= sites.length;
    }
    throw new RangeError(`there is no site ${which}`);
  };
  return { addresses, sizes, order, at };
}
