// What could not be read: the first of it in words, and how many more there are.
import { TextpokeError } from '../errors.ts';

export class Problems {
  private readonly what: string;
  private count = 0;
  private first = '';

  /** `what` is missing because of them. */
  constructor(what: string) {
    this.what = what;
  }

  /** Runs what is done for a part; one that cannot be read is left out and counted. */
  guard<T>(part: () => string, body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof TextpokeError)) throw error;
      if (this.count++ === 0) this.first = `${part()}: ${error.message}`;
      return undefined;
    }
  }

  /** What is missing and why; undefined where nothing is. */
  get text(): string | undefined {
    if (this.count === 0) return undefined;
    const others = this.count > 1 ? ` (and ${this.count - 1} more)` : '';
    return `${this.what} are missing: ${this.first}${others}`;
  }
}
