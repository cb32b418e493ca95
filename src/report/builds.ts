// Two builds: what diff says of them, and which of the sites that both have lie elsewhere.
import { compareSites, type Difference } from '../diff/compare.ts';
import { stableName } from '../diff/function-names.ts';
import { type ComparedSite, functionName, type SitesByFunction, stableMeaning } from '../diff/sites.ts';
import type { BuildsData, DifferenceData } from './data.ts';

/** A build by the name that it was given. */
export interface Build {
  readonly name: string;
  readonly sites: SitesByFunction;
}

const words = { removed: 'lost', added: 'gained', changed: 'changed' } as const;

export function buildsData(old: Build, now: Build): BuildsData {
  const { differences } = compareSites(old.sites, now.sites);
  const told = new Set<ComparedSite>();
  for (const difference of differences) {
    if ('before' in difference) told.add(difference.before);
    if ('after' in difference) told.add(difference.after);
  }
  const moved: DifferenceData[] = [];
  let [shifted, same] = [0, 0];
  for (const [before, after, name] of pairs(old.sites, now.sites, told)) {
    if (before.address === after.address) same++;
    else if (before.place === after.place) shifted++;
    else moved.push({ what: 'moved', function: name, ...sides(before, after) });
  }
  return {
    ...{ old: old.name, new: now.name, shifted, same },
    differences: [...differences.map(differenceData), ...moved],
  };
}

function differenceData(difference: Difference): DifferenceData {
  const { what, function: name } = difference;
  const before = 'before' in difference ? difference.before : undefined;
  const after = 'after' in difference ? difference.after : undefined;
  return { what: words[what], function: name, ...sides(before, after) };
}

function sides(before: ComparedSite | undefined, after: ComparedSite | undefined) {
  const { kind, key, source } = (after ?? before) as ComparedSite;
  const text = ({ place, flags }: ComparedSite) => (flags === '' ? place : `${place} (${flags})`);
  return {
    kind,
    ...(key !== undefined && { key }),
    ...(before && { old: text(before) }),
    ...(after && { new: text(after) }),
    ...(source !== undefined && { source }),
  };
}

/** The sites that both builds have, one of each; those of `told` are spoken of already. */
function* pairs(
  old: SitesByFunction,
  now: SitesByFunction,
  told: ReadonlySet<ComparedSite>,
): Generator<readonly [before: ComparedSite, after: ComparedSite, name: string]> {
  const keyOf = (name: string, site: ComparedSite) => `${stableName(name)}\n${stableMeaning(site)}`;
  const waiting = new Map<string, ComparedSite[]>();
  for (const [key, sites] of now) {
    for (const site of sites) {
      if (told.has(site)) continue;
      const like = keyOf(functionName(key), site);
      const others = waiting.get(like);
      if (others) others.push(site);
      else waiting.set(like, [site]);
    }
  }
  for (const others of waiting.values()) others.reverse();
  for (const [key, sites] of old) {
    for (const site of sites) {
      if (told.has(site)) continue;
      const name = functionName(key);
      const other = waiting.get(keyOf(name, site))?.pop();
      if (other) yield [site, other, name];
    }
  }
}
