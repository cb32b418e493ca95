// The middle of some measures, and between what bounds it lies in truth: with 99 % certainty, whatever the measures are
// spread like. From ranks alone, so that one run that something disturbed moves nothing.

/** The middle of some measures, the upper one of two. */
export function median(values: readonly number[]): number {
  return sorted(values)[values.length >> 1] as number;
}

/** A middle and its bounds; without bounds where there are too few measures to say any. */
export interface Estimate {
  readonly middle: number;
  readonly bounds?: readonly [low: number, high: number];
}

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

function between(values: readonly number[], left: number): Estimate {
  const all = sorted(values);
  const middle = all[all.length >> 1] as number;
  if (left < 0) return { middle };
  return { middle, bounds: [all[left] as number, all[all.length - 1 - left] as number] };
}

/** Of pairs that were measured in turn, each given as one ratio: the sign test. Eight pairs are the fewest that say anything. */
export function middleOfPairs(ratios: readonly number[]): Estimate {
  const n = ratios.length;
  let [ways, sum, left] = [1, 0, -1];
  // How likely it is that at most `left` of n tosses of a coin fall on one side.
  while (left + 1 < n / 2) {
    sum += ways / 2 ** n;
    if (sum > 0.005) break;
    left++;
    ways *= (n - left) / (left + 1);
  }
  return between(ratios, left);
}

/** How many times the values of one run are those of another run: Mann and Whitney's test, the shift of Hodges and Lehmann. */
export function timesBetween(ours: readonly number[], theirs: readonly number[]): Estimate {
  const [n, m] = [ours.length, theirs.length];
  const ratios = ours.flatMap((a) => theirs.map((b) => a / b));
  return between(ratios, Math.floor((n * m) / 2 - 2.576 * Math.sqrt((n * m * (n + m + 1)) / 12)) - 1);
}
