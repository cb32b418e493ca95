// Findings by what they have in common: one rule, and one sentence but for its numbers. A report of thousands is read
// by its causes.
import { type Located, told } from './finding.ts';
import type { RuleId } from './rules.ts';

/** Findings that say the same. */
export interface Cause {
  readonly rule: RuleId;
  /** In the order of the report. */
  readonly findings: Located[];
  /** False for what was put together without a look at its sentences. */
  readonly isOne: boolean;
}

/** Causes that are told apart; what comes behind them is put together by rule, so that no file makes a million. */
const mostCauses = 10_000;

/** A number that stands alone: of two places the sentences are the same, and names keep their digits. */
const number = /\b(?:0x[0-9a-f]+|\d+)\b/g;

/** The causes of findings that are in order of their rules: by rule, what most findings have first. */
export function causesOf(findings: readonly Located[]): Cause[] {
  const causes = new Map<string, Cause>();
  const order = new Map<RuleId, number>();
  for (const finding of findings) {
    const { rule } = finding;
    if (!order.has(rule)) order.set(rule, order.size);
    const isOne = causes.size < mostCauses;
    const name = isOne ? `${rule} ${told(finding).message.replace(number, '#')}` : rule;
    const cause = causes.get(name);
    if (cause) cause.findings.push(finding);
    else causes.set(name, { rule, findings: [finding], isOne });
  }
  const rank = ({ rule }: Cause) => order.get(rule) as number;
  return [...causes.values()].sort(
    (a, b) => rank(a) - rank(b) || Number(b.isOne) - Number(a.isOne) || b.findings.length - a.findings.length,
  );
}
