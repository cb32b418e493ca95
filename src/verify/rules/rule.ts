// What a rule of verify says of itself: the rows are in the files beside this one.

/** How bad a finding is. */
export type Severity = 'error' | 'warning';

/** What a user may give to have more looked at. */
export type Need = 'original' | 'config' | 'baseline';

/** A rule of verify. */
export interface Rule {
  /** In lower case with dashes: `wrong-instruction`. */
  readonly name: string;
  readonly severity: Severity;
  /** One sentence without its full stop. */
  readonly summary: string;
  /** What it means, how it comes about and what to do. */
  readonly help: string;
  /** The option without which it is not looked at. */
  readonly needs?: Need;
}
