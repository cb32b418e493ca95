// Which of many suppressions is the first that accepts a finding. Names without `*` and `?` are looked up; patterns are
// looked up by the characters in front of their first `*` or `?`, or behind their last one, and tried where these agree.
// Only patterns that begin and end with one are tried one after the other.
import { globMatcher, isPattern } from '../bytes/glob.ts';
import { type Located, told } from './finding.ts';

/** What a suppression asks of a finding; patterns, as `Suppression` has them. */
interface Asked {
  readonly rule: string;
  readonly symbol?: string;
  readonly file?: string;
}

/** What is asked of a pattern: one of these texts has to match. */
interface Texts {
  readonly symbols: readonly string[];
  readonly files: readonly string[];
}

interface Candidate {
  readonly index: number;
  accepts(texts: Texts): boolean;
}

/** Candidates by a text that they need, each list in order. */
class Lookup {
  private readonly lists = new Map<string, Candidate[]>();
  private readonly lengths = new Set<number>();

  add(key: string, candidate: Candidate): this {
    const list = this.lists.get(key);
    if (list) list.push(candidate);
    else this.lists.set(key, [candidate]);
    this.lengths.add(key.length);
    return this;
  }

  exactly(text: string): readonly Candidate[] {
    return this.lists.get(text) ?? [];
  }

  *prefixesOf(text: string): Generator<readonly Candidate[]> {
    for (const length of this.lengths) if (length <= text.length) yield this.exactly(text.slice(0, length));
  }

  *suffixesOf(text: string): Generator<readonly Candidate[]> {
    for (const length of this.lengths)
      if (length <= text.length) yield this.exactly(text.slice(text.length - length));
  }
}

/** Between a symbol and a file that are looked up together; no name has it. */
const between = '\0';

/** The suppressions of one rule. */
class RuleIndex {
  private readonly exact = new Lookup();
  private readonly prefixes = { symbols: new Lookup(), files: new Lookup() };
  private readonly suffixes = { symbols: new Lookup(), files: new Lookup() };
  private readonly others: Candidate[] = [];
  /** Some ask for the source file. */
  asksForFiles = false;

  add({ symbol, file }: Omit<Asked, 'rule'>, index: number): void {
    this.asksForFiles ||= file !== undefined;
    const isSymbol = symbol === undefined ? undefined : globMatcher(symbol);
    const isFile = file === undefined ? undefined : globMatcher(file);
    const candidate: Candidate = {
      index,
      accepts: ({ symbols, files }) =>
        (isSymbol === undefined || symbols.some(isSymbol)) && (isFile === undefined || files.some(isFile)),
    };
    const isName = (text: string | undefined) => text === undefined || !isPattern(text);
    if (isName(symbol) && isName(file)) {
      this.exact.add(`${symbol ?? between}${between}${file ?? between}`, candidate);
      return;
    }
    const by = (field: 'symbols' | 'files', pattern: string | undefined): Lookup | undefined => {
      const [prefix, suffix] = pattern === undefined ? ['', ''] : endsOf(pattern);
      if (prefix !== '') return this.prefixes[field].add(prefix, candidate);
      return suffix === '' ? undefined : this.suffixes[field].add(suffix, candidate);
    };
    if (!by('symbols', symbol) && !by('files', file)) this.others.push(candidate);
  }

  /** The index of the first that accepts; undefined for none. */
  first(texts: Texts): number | undefined {
    let best: number | undefined;
    const tryAll = (candidates: Iterable<Candidate>) => {
      for (const candidate of candidates) {
        if (best !== undefined && candidate.index >= best) return;
        if (candidate.accepts(texts)) best = candidate.index;
      }
    };
    for (const symbol of [...texts.symbols, between]) {
      for (const file of [...texts.files, between]) tryAll(this.exact.exactly(`${symbol}${between}${file}`));
    }
    for (const field of ['symbols', 'files'] as const) {
      for (const text of texts[field]) {
        for (const list of this.prefixes[field].prefixesOf(text)) tryAll(list);
        for (const list of this.suffixes[field].suffixesOf(text)) tryAll(list);
      }
    }
    tryAll(this.others);
    return best;
  }
}

/** What stands in front of the first `*` or `?` of a pattern, and behind the last; the whole of a name. */
function endsOf(pattern: string): [prefix: string, suffix: string] {
  return [/^[^*?]*/.exec(pattern)?.[0] ?? '', pattern.slice(lastWildcard(pattern) + 1)];
}

function lastWildcard(pattern: string): number {
  return Math.max(pattern.lastIndexOf('*'), pattern.lastIndexOf('?'));
}

/** Finds the first suppression that accepts a finding; undefined for none. */
export function suppressionIndex(suppressions: readonly Asked[]): (finding: Located) => number | undefined {
  const rules = new Map<string, RuleIndex>();
  for (const [index, suppression] of suppressions.entries()) {
    const rule = rules.get(suppression.rule) ?? new RuleIndex();
    rules.set(suppression.rule, rule);
    rule.add(suppression, index);
  }
  return (finding) => {
    const rule = rules.get(finding.rule);
    if (!rule) return undefined;
    const { place, source } = told(finding);
    const symbol = place.replace(/\+0x[0-9a-f]+$/, '');
    const files = rule.asksForFiles ? filesOf(source?.file) : [];
    return rule.first({ symbols: symbol === place ? [place] : [place, symbol], files });
  };
}

/** `lib/atomic.c` is /src/lib/atomic.c as well. */
function filesOf(path: string | undefined): string[] {
  const parts = path?.split('/') ?? [];
  return parts.map((_, i) => parts.slice(i).join('/'));
}
