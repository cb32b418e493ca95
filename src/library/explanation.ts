// Looks for the one explanation of most findings: guesses that facts of the files prove, and of which another run with
// another option tells how many findings they leave.
import type { Finding, Located } from '../verify/finding.ts';
import type { Explanation, Report } from '../verify/report.ts';
import type { RuleId } from '../verify/rules.ts';

/** What may be the matter. */
export interface Guess<Options> {
  /** The rules whose findings it explains. */
  readonly rules: readonly RuleId[];
  /** What is the matter, and the options that fit; undefined where nothing proves it. `findings` are those of the rules. */
  readonly prove: (
    options: Options,
    findings: readonly Located[],
  ) => Promise<Proof<Options>> | Proof<Options>;
}

type Proof<Options> = { readonly what: string; readonly options: Options } | undefined;

/** Of more findings no explanation is looked for: another run would hold as many once more. */
const mostExplained = 100_000;

/** A guess has to explain so much of the findings of its rules. */
const share = 0.9;

/**
 * What explains at least half of the findings. `check` makes the report of a run with other options; undefined where it
 * finds no fewer than `most`, of which nothing else is asked.
 */
export async function explanationOf<Options>(
  report: Report,
  given: Options,
  guesses: readonly Guess<Options>[],
  {
    check,
    command,
  }: {
    readonly check: (options: Options, most: number) => Promise<Report | undefined>;
    readonly command: (options: Options) => string;
  },
): Promise<Explanation | undefined> {
  if (report.findings.length > mostExplained) return undefined;
  let options = given;
  let { findings } = report;
  const reasons: string[] = [];
  for (const { rules, prove } of guesses) {
    const asked = new Set<RuleId>(rules);
    const concerned = findings.filter(({ rule }) => asked.has(rule));
    const proof = concerned.length > 0 ? await prove(options, concerned) : undefined;
    if (!proof) continue;
    const left = (await check(proof.options, findings.length + report.suppressed.length))?.findings;
    if (!left) continue;
    const stay = left.filter(({ rule }) => asked.has(rule)).length;
    if (left.length >= findings.length || stay > concerned.length * (1 - share)) continue;
    reasons.push(proof.what);
    ({ options } = proof);
    findings = left;
  }
  if (reasons.length === 0) return undefined;
  const isLeft = findingsIn(findings);
  const explained = report.findings.filter((finding) => !isLeft(finding)).length;
  if (explained * 2 < report.findings.length) return undefined;
  return {
    what: reasons.join(', and '),
    command: command(options),
    explained,
    left: findings.length,
    isExplained: (finding) => !isLeft(finding),
  };
}

/** Tells whether a finding is among some. */
function findingsIn(findings: readonly Finding[]): (finding: Finding) => boolean {
  const places = new Map<RuleId, Set<number | undefined>>();
  for (const { rule, address } of findings) {
    const known = places.get(rule);
    if (known) known.add(address);
    else places.set(rule, new Set([address]));
  }
  return ({ rule, address }) => places.get(rule)?.has(address) ?? false;
}
