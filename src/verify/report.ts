// What verify has to say about a file, for every form of output: findings with their places in source and image, the
// most important first, and what was suppressed.
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import { linesOfAddresses } from '../dwarf/source-lines.ts';
import type { Image } from '../image/image.ts';
import { type Finding, type Located, locatedAt } from './finding.ts';
import type { Need, Severity } from './rules/rule.ts';
import { rules } from './rules.ts';
import { type Suppressed, type Suppression, suppress } from './suppressions.ts';

export interface Report {
  readonly file: string;
  readonly image: Image;
  /** Errors first, then by rule and address. */
  readonly findings: readonly Located[];
  readonly suppressed: readonly Suppressed[];
  /** What was given; rules that need something else were not looked at. */
  readonly given: ReadonlySet<Need>;
  /** What most findings have in common; undefined where nothing proves such a thing. */
  readonly explanation?: Explanation | undefined;
  /** Why some findings have no source line, where line tables cannot be read. */
  readonly linesProblem?: string | undefined;
}

/** One explanation of most findings, and the command line without them. */
export interface Explanation {
  /** `the image was never booted`. */
  readonly what: string;
  readonly command: string;
  /** How many of the findings are not there then, and how many findings there are then. */
  readonly explained: number;
  readonly left: number;
  /** Whether a finding is not there then. */
  readonly isExplained: (finding: Located) => boolean;
}

export interface Configuration {
  readonly path: string;
  readonly suppressions: readonly Suppression[];
}

/** Adds what is known of each place, and takes out what is suppressed. */
export function makeReport(
  file: string,
  image: Image,
  findings: readonly Finding[],
  {
    configuration,
    given = [],
    debug,
  }: {
    configuration?: Configuration | undefined;
    given?: readonly Need[];
    /** Where lines are looked for that the image does not have. */
    debug?: DebugPlaces | undefined;
  },
): Report {
  const { lines, problem } = linesOfAddresses(
    image.file,
    findings.map(({ address = Number.NaN }) => address),
    debug,
  );
  const located = findings.map((finding, i) => locatedAt(finding, lines[i]));
  const { suppressions = [], path = '' } = configuration ?? {};
  const { kept, suppressed } = suppress(located, suppressions, path);
  const rank = ({ rule }: Located) => (rules[rule].severity === 'error' ? 0 : 1);
  const ordered = [...kept].sort((a, b) => rank(a) - rank(b));
  return {
    file,
    image,
    findings: ordered,
    suppressed,
    given: new Set<Need>([...given, ...(configuration ? ['config' as const] : [])]),
    linesProblem: problem,
  };
}

/** How many findings have a severity. */
export function countOf({ findings }: Report, severity: Severity): number {
  return findings.reduce((sum, { rule }) => sum + (rules[rule].severity === severity ? 1 : 0), 0);
}
