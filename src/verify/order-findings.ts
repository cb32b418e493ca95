// Findings in order, without what another finding says better.
import type { Finding } from './finding.ts';
import { type RuleId, rules } from './rules.ts';

/** For `sort`: by rule, then by address, those without one last. */
export function byRuleAndAddress(a: Finding, b: Finding): number {
  if (a.rule !== b.rule) return a.rule < b.rule ? -1 : 1;
  if (a.address === undefined || b.address === undefined) {
    return Number(a.address === undefined) - Number(b.address === undefined);
  }
  return a.address - b.address;
}

/** Comparisons say that something differs; where another rule says what is wrong with it, they say no more. */
const comparisons: ReadonlySet<RuleId> = new Set(['TP013', 'TP014']);
const unlisted: ReadonlySet<RuleId> = new Set(['TP009', 'TP010', 'TP022', 'TP032']);

/** The findings that are no consequence of another. */
export function withoutConsequences(findings: readonly Finding[]): Finding[] {
  const isError = ({ rule }: Finding) => rules[rule].severity === 'error' && !comparisons.has(rule);
  const compared = new Set(
    findings.filter(({ rule }) => comparisons.has(rule)).map(({ address }) => address),
  );
  const wrong = new Set(
    findings
      .filter((finding) => compared.has(finding.address) && isError(finding))
      .map(({ address }) => address),
  );
  // An entry that was turned to another site leaves that one listed twice and its own not at all.
  const isLost = findings.some(({ rule }) => unlisted.has(rule));
  // Markers name the branches themselves, where the linker has kept them.
  const isMarked = findings.some(({ rule }) => rule === 'TP022');
  return findings
    .filter(({ rule }) => rule !== 'TP030' || !isMarked)
    .filter(({ rule, address }) => !comparisons.has(rule) || address === undefined || !wrong.has(address))
    .filter(({ rule }) => rule !== 'TP019' || !isLost);
}
