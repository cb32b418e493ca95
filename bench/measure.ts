// One row of the table: its runs, their middle, whether its budget is kept, and whether it changed.
import type { Cost } from './cost.ts';
import type { Limit, Measure, Row } from './rows.ts';
import { type Estimate, median, middleOfPairs, timesBetween } from './statistics.ts';

/** A measure of a row; seconds, or megabytes. */
export interface Measured {
  readonly work: string;
  readonly measure: Measure;
  readonly anchor?: string;
  readonly ours: readonly number[];
  readonly beside?: readonly number[];
  /** The median of what each run of ours is to the anchor's beside it. */
  readonly ratio?: number;
  readonly limit?: Limit;
  /** Whether the limit is kept. */
  readonly met?: boolean;
  readonly change?: Change;
}

export interface Change {
  /** How many times what it was before. */
  readonly times: Estimate;
  readonly verdict: 'faster' | 'slower' | 'noise';
}

/** What a run is held against: another tree, or the rows of another run. */
export interface Earlier {
  readonly tree?: string;
  readonly saved?: readonly Measured[];
}

/** With fewer pairs no change can be told from noise. */
const fewest = 9;

export async function measure(row: Row, root: string, against: Earlier): Promise<Measured[]> {
  const sides = {
    ours: () => row.ours(root),
    ...(row.beside && { beside: () => row.beside?.(root) as Cost }),
    ...(against.tree !== undefined && { other: () => row.ours(against.tree as string) }),
  };
  const names = Object.keys(sides) as (keyof typeof sides)[];
  const costs: Record<string, Cost[]> = Object.fromEntries(names.map((name) => [name, []]));
  const runs =
    against.tree === undefined && against.saved === undefined ? row.runs : Math.max(row.runs, fewest);
  // The first round fills caches. Each round begins with another side, so that none always comes behind the same one.
  for (let i = 0; i <= runs; i++) {
    for (const [n] of names.entries()) {
      const name = names[(i + n) % names.length] as (typeof names)[number];
      const cost = (await sides[name]?.()) as Cost;
      if (i > 0) costs[name]?.push(cost);
    }
  }
  return (Object.keys(row.budget) as Measure[]).map((what) => {
    const of = (name: string) => costs[name]?.map((cost) => cost[what]);
    const [ours, beside, other] = [of('ours') as number[], of('beside'), of('other')];
    const ratio = beside && median(ratios(ours, beside));
    const limit = row.budget[what] === 'any' ? undefined : (row.budget[what] as Limit);
    const met = limit && ('times' in limit ? (ratio as number) <= limit.times : median(ours) <= limit.most);
    const before = against.saved?.find((one) => one.work === row.work && one.measure === what);
    const times = other
      ? middleOfPairs(ratios(ours, other))
      : before && timesBetween(comparable(ours, beside), comparable(before.ours, before.beside));
    return {
      ...{ work: row.work, measure: what, ours },
      ...(beside && { anchor: row.anchor as string, beside, ratio: ratio as number }),
      ...(limit && { limit, met: met as boolean }),
      ...(times && { change: { times, verdict: verdictOf(times) } }),
    };
  });
}

const ratios = (ours: readonly number[], beside: readonly number[]) =>
  ours.map((value, i) => value / (beside[i] as number));

/** What can be held against another run: multiples of the anchor, which another machine or hour has changed as much. */
const comparable = (ours: readonly number[], beside: readonly number[] | undefined) =>
  beside ? ratios(ours, beside) : ours;

function verdictOf({ bounds }: Estimate): Change['verdict'] {
  if (!bounds || (bounds[0] <= 1 && bounds[1] >= 1)) return 'noise';
  return bounds[1] < 1 ? 'faster' : 'slower';
}
