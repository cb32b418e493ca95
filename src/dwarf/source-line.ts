// What is asked about places in code, and what is told.

/** A line of source. */
export interface SourceLine {
  /** As the compiler was given it: absolute, or relative to the directory where it ran. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** The function that the line is in, by its name of linkage; absent unless it was asked for and is known. */
  readonly function?: string;
  /**
   * Lines of the functions that were inlined there, each called by the one in front, the line of the instruction itself
   * last; absent unless asked for, and where nothing was inlined.
   */
  readonly inlined?: readonly SourceLine[];
}

/** How lines are asked for. */
export interface LineOptions {
  /** With what was inlined, and the names of functions; false unless given. */
  readonly inlines?: boolean | undefined;
}

export interface SourceLines {
  /** One for each place, in the order of the question; undefined where the tables have none. */
  readonly lines: readonly (SourceLine | undefined)[];
  /** Why some are missing, if line tables cannot be read. */
  readonly problem: string | undefined;
}

/** A place in an object: a section's number and a byte offset. */
export interface ObjectPlace {
  readonly section: number;
  readonly offset: number;
}
