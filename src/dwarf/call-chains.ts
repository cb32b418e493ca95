// The lines of a place from the outside in: that of the function that it is in, and those of what was inlined there.
import type { ElfFile } from '../elf/file.ts';
import { FunctionNames } from './function-names.ts';
import { InfoFile } from './info-file.ts';
import { InfoReader } from './info-reader.ts';
import { type InlinedQuestion, InlinedSearch, type Scope } from './inlined.ts';
import type { Problems } from './problems.ts';
import { debugSections } from './sections.ts';
import type { SourceLine } from './source-line.ts';

/** The name of a file by its number in the place's line table; undefined where the line is none. */
type FileOf = (number: number, line: number) => string | undefined;

export class CallChains {
  private readonly reader: InfoReader;
  private readonly supplement: () => ElfFile;
  private readonly problems: Problems;
  private found: readonly (Scope | undefined)[] = [];
  private readonly names = new Map<Scope, string>();

  /** `supplement` gives the file that dwz made; it may throw a TextpokeError. What cannot be read goes to `problems`. */
  constructor(file: ElfFile, supplement: () => ElfFile, problems: Problems) {
    this.reader = new InfoReader(new InfoFile(file));
    this.supplement = supplement;
    this.problems = problems;
  }

  /** Looks for what was inlined at the places of a question. */
  search(question: InlinedQuestion): void {
    const search = new InlinedSearch(this.reader, question);
    for (const section of debugSections(this.reader.info.file, 'info')) {
      this.problems.guard(
        () => section.name,
        () => search.search(section, (part, body) => this.problems.guard(part, body)),
      );
    }
    this.found = search.found;
  }

  /** Reads the names of all functions that were found. */
  readNames(): void {
    const scopes = new Set<Scope>();
    for (let scope of this.found) {
      for (; scope && !scopes.has(scope); scope = scope.outer) scopes.add(scope);
    }
    const all = [...scopes];
    const reader = new FunctionNames(this.reader, () => new InfoFile(this.supplement()));
    const names = reader.of(
      all.map(({ entry }) => entry),
      (part, body) => this.problems.guard(part, body),
    );
    for (const [i, scope] of all.entries()) if (names[i] !== undefined) this.names.set(scope, names[i]);
  }

  /** The line of a place, whose row in the line table has a number of a file and a line. */
  lineOf(
    asker: number,
    file: number,
    line: number,
    fileOf: FileOf,
    inlines: boolean,
  ): SourceLine | undefined {
    // From the inside out, until the innermost that is known if no more is asked for.
    const lines: SourceLine[] = [];
    let [number, at] = [file, line];
    for (let scope = this.found[asker]; ; scope = scope.outer) {
      const name = fileOf(number, at);
      const called = scope && inlines ? this.names.get(scope) : undefined;
      if (name !== undefined)
        lines.push({ file: name, line: at, ...(called !== undefined && { function: called }) });
      if (!scope?.outer) break;
      [number, at] = [scope.callFile, scope.callLine];
    }
    const [outermost, ...inlined] = lines.reverse();
    return outermost && inlines && inlined.length > 0 ? { ...outermost, inlined } : outermost;
  }
}
