// The source lines of an image's places, for all who ask: to find them, all line tables are gone through, which is done once.
import type { SourceLine, SourceLines } from '../dwarf/source-lines.ts';

export class LinesOnce {
  private readonly search: (addresses: readonly number[]) => SourceLines;
  /** What others are going to ask for. */
  private expected: readonly number[];
  private readonly known = new Map<number, SourceLine | undefined>();
  private problem: string | undefined;

  constructor(search: (addresses: readonly number[]) => SourceLines, expected: readonly number[]) {
    this.search = search;
    this.expected = expected;
  }

  /** As `linesOfAddresses`. */
  of(addresses: readonly number[]): SourceLines {
    const asked = [...new Set([...addresses, ...this.expected])].filter(
      (address) => !this.known.has(address),
    );
    this.expected = [];
    if (asked.length > 0) {
      const { lines, problem } = this.search(asked);
      asked.forEach((address, i) => {
        this.known.set(address, lines[i]);
      });
      this.problem ??= problem;
    }
    return { lines: addresses.map((address) => this.known.get(address)), problem: this.problem };
  }
}
