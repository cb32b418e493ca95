// One shape for all that is measured: a work of ours, the anchor that stands beside it in the same runs, and what it may
// cost. Files of this folder export `rows`; bench/run.ts measures them and prints one table.
import type { Cost } from './cost.ts';

export type Measure = keyof Cost;

/** The most that a work may take: so many times its anchor, or so much in itself (seconds, megabytes). */
export type Limit = { readonly times: number } | { readonly most: number };

export interface Row {
  /** The work in words, of which nothing is measured: another run finds the row by them. */
  readonly work: string;
  /** What stands beside it, in words: `node -e 0`, `objdump -d`. */
  readonly anchor?: string;
  /** What is shown of the work, and how much of it there may be, if that is said anywhere. */
  readonly budget: { readonly [M in Measure]?: Limit | 'any' };
  /** How many pairs of runs, an odd number: 21 for what takes milliseconds, 3 for what takes seconds. */
  readonly runs: number;
  /** One run of ours. `tree` is the root of a built checkout: this one, or the one that it is held against. */
  ours(tree: string): Cost | Promise<Cost>;
  /** One run of the anchor; of ours too where one work of ours is held against another. */
  beside?(tree: string): Cost | Promise<Cost>;
}

/** A work that cannot be measured here, and what it would need. */
export interface Missing {
  readonly work: string;
  readonly needs: string;
}

/**
 * Some works. What they need is made in `scratch`, an empty directory that goes away later, when the first run asks for it
 * (`once`): whoever asks for one row does not wait for the rest.
 */
export type MakeRows = (scratch: string) => readonly (Row | Missing)[] | Promise<readonly (Row | Missing)[]>;

/** What is made when it is asked for first. */
export function once<T extends {}>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
