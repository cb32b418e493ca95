// Two builds against each other: in each function the sites that are there no more, that are new, and that say
// something else now.
import { diffArrays } from 'diff';
import { baseName, isNumbered, stableName, withoutLambdas } from './function-names.ts';
import { matchInOrder } from './match.ts';
import { type ComparedSite, functionName, identity, type SitesByFunction, stableMeaning } from './sites.ts';

export type Difference =
  | { readonly what: 'removed'; readonly function: string; readonly before: ComparedSite }
  | { readonly what: 'added'; readonly function: string; readonly after: ComparedSite }
  | {
      readonly what: 'changed';
      readonly function: string;
      readonly before: ComparedSite;
      readonly after: ComparedSite;
    };

export interface ComparedSites {
  readonly differences: readonly Difference[];
  /** Sites by kind. */
  readonly before: ReadonlyMap<string, number>;
  readonly after: ReadonlyMap<string, number>;
}

/** Edits that are searched for in one function; beyond them order is given up, and only numbers count. */
const mostEdits = 2000;

interface ComparedFunction {
  readonly name: string;
  readonly sites: readonly ComparedSite[];
  /** What each site means, by number. */
  readonly meanings: Uint32Array;
  /** What all its sites mean. */
  readonly meaning: string;
}

/** What sites mean, by number, the same for both builds: a function may have any number of sites, and few that differ. */
class Meanings {
  private readonly known = new Map<string, Map<string | undefined, Map<string, number>>>();
  private readonly numbers = new Map<string, number>();
  /** By number: true where the key has a number of its build in its name. */
  private readonly numbered: boolean[] = [];

  private numberOf(site: ComparedSite): number {
    const { kind, key, flags } = site;
    const byKey = entryOf(this.known, kind, () => new Map<string | undefined, Map<string, number>>());
    const byFlags = entryOf(byKey, key, () => new Map<string, number>());
    return entryOf(byFlags, flags, () => {
      const number = entryOf(this.numbers, stableMeaning(site), () => this.numbered.push(false) - 1);
      if (key !== undefined && isNumbered(key)) this.numbered[number] = true;
      return number;
    });
  }

  functionsOf(functions: SitesByFunction): ComparedFunction[] {
    return Array.from(functions, ([key, sites]) => {
      const meanings = Uint32Array.from(sites, (site) => this.numberOf(site));
      return { name: functionName(key), sites, meanings, meaning: meanings.join() };
    });
  }

  /** True for functions whose sites mean the same one by one, so that nothing has to be looked at. */
  areSame(old: ComparedFunction, now: ComparedFunction): boolean {
    return old.meaning === now.meaning && !old.meanings.some((number) => this.numbered[number]);
  }
}

/** The value of a key in a map, made the first time. */
function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** The one of its name, else one whose name differs by what a rebuild changes; the one with the same sites first. */
const likenesses: readonly ((of: ComparedFunction) => string)[] = [
  ({ name, meaning }) => `${withoutLambdas(name)}\n${meaning}`,
  ({ name }) => withoutLambdas(name),
  ({ name, meaning }) => `${stableName(name)}\n${meaning}`,
  ({ name }) => stableName(name),
];

/** Compares two builds; differences in order of the old build's functions, new functions behind them. */
export function compareSites(before: SitesByFunction, after: SitesByFunction): ComparedSites {
  const differences: Difference[] = [];
  const meanings = new Meanings();
  const [olds, news] = [meanings.functionsOf(before), meanings.functionsOf(after)];
  for (const [old, now] of matchInOrder(olds, news, likenesses)) {
    if (old && now && meanings.areSame(old, now)) continue;
    const { name } = old ?? now;
    for (const difference of compareFunction(baseName(name), old, now)) differences.push(difference);
  }
  return { differences, before: countKinds(before), after: countKinds(after) };
}

function countKinds(functions: SitesByFunction): Map<string, number> {
  const counts = new Map<string, number>();
  for (const sites of functions.values())
    for (const { kind } of sites) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

function compareFunction(
  name: string,
  one: ComparedFunction | undefined,
  other: ComparedFunction | undefined,
): Difference[] {
  const [before, after] = [one?.sites ?? [], other?.sites ?? []];
  const parts =
    one && other && before.length > 0 && after.length > 0
      ? diffArrays([...one.meanings], [...other.meanings], { maxEditLength: mostEdits })
      : undefined;
  // The order of a function's parts is the linker's.
  if (!parts || isSplit(before) || isSplit(after)) return pair(name, ...withoutCommon(before, after));
  const differences: Difference[][] = [];
  const numbered = new NumberedKeys(name);
  let gone: ComparedSite[] = [];
  let come: ComparedSite[] = [];
  let [old, now] = [0, 0];
  for (const part of parts) {
    const { length } = part.value;
    if (part.removed) gone = [...gone, ...before.slice(old, old + length)];
    else if (part.added) come = [...come, ...after.slice(now, now + length)];
    else {
      differences.push(pair(name, gone, come), numbered.compare(before, old, after, now, length));
      gone = [];
      come = [];
    }
    if (!part.added) old += length;
    if (!part.removed) now += length;
  }
  return [...differences, pair(name, gone, come)].flat();
}

/**
 * Keys of a function that have no name but a number: another build gives other numbers, but sites that had one key have
 * one key. A site that has another one than those beside it is a change.
 */
class NumberedKeys {
  private readonly name: string;
  /** Which key of the new build is which of the old one, and the other way round, as the first sites have it. */
  private readonly newOf = new Map<string, string>();
  private readonly oldOf = new Map<string, string>();

  constructor(name: string) {
    this.name = name;
  }

  /** What has changed in `count` sites that mean the same, from one on in each build. */
  compare(
    before: readonly ComparedSite[],
    old: number,
    after: readonly ComparedSite[],
    now: number,
    count: number,
  ): Difference[] {
    const differences: Difference[] = [];
    for (let i = 0; i < count; i++) {
      const [was, is] = [before[old + i] as ComparedSite, after[now + i] as ComparedSite];
      if (was.key === undefined || is.key === undefined || !isNumbered(was.key)) continue;
      const [partner, owner] = [this.newOf.get(was.key) ?? is.key, this.oldOf.get(is.key) ?? was.key];
      if (partner !== is.key || owner !== was.key)
        differences.push({ what: 'changed', function: this.name, before: was, after: is });
      else {
        this.newOf.set(was.key, is.key);
        this.oldOf.set(is.key, was.key);
      }
    }
    return differences;
  }
}

/** True for a function whose sites lie in several symbols: in it and in its cold part. */
function isSplit([first, ...others]: readonly ComparedSite[]): boolean {
  const symbolOf = ({ place }: ComparedSite) => place.replace(/[+-]0x[0-9a-f]+$/, '');
  return first !== undefined && others.some((site) => symbolOf(site) !== symbolOf(first));
}

/** What is left of both when sites that mean the same cancel out. */
function withoutCommon(
  before: readonly ComparedSite[],
  after: readonly ComparedSite[],
): [gone: ComparedSite[], come: ComparedSite[]] {
  const left = new Map<string, number>();
  for (const site of after) left.set(stableMeaning(site), (left.get(stableMeaning(site)) ?? 0) + 1);
  const take = (counts: Map<string, number>) => (site: ComparedSite) => {
    const count = counts.get(stableMeaning(site)) ?? 0;
    counts.set(stableMeaning(site), count - 1);
    return count <= 0;
  };
  const gone = before.filter(take(new Map(left)));
  const there = new Map<string, number>();
  for (const site of before) there.set(stableMeaning(site), (there.get(stableMeaning(site)) ?? 0) + 1);
  return [gone, after.filter(take(there))];
}

/** A site that went and one of the same kind and key that came in its place are one that changed. */
function pair(name: string, gone: readonly ComparedSite[], come: readonly ComparedSite[]): Difference[] {
  const waiting = new Map<string, ComparedSite[]>();
  // From the last one on, since the first is taken first.
  for (const site of [...come].reverse()) {
    const same = waiting.get(identity(site));
    if (same) same.push(site);
    else waiting.set(identity(site), [site]);
  }
  const paired = new Set<ComparedSite>();
  const differences = gone.map((site): Difference => {
    const other = waiting.get(identity(site))?.pop();
    if (!other) return { what: 'removed', function: name, before: site };
    paired.add(other);
    return { what: 'changed', function: name, before: site, after: other };
  });
  for (const site of come)
    if (!paired.has(site)) differences.push({ what: 'added', function: name, after: site });
  return differences;
}
