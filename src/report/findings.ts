// What verify found, as a page has it: by cause, as the command tells it, and of each rule as many findings as somebody may
// read.
import { hex, hexBytes } from '../bytes/integer.ts';
import { explains } from '../output/findings.ts';
import { type Cause, causesOf } from '../verify/causes.ts';
import { type Located, told } from '../verify/finding.ts';
import { countOf, type Report } from '../verify/report.ts';
import type { RuleId } from '../verify/rules.ts';
import { rules } from '../verify/rules.ts';
import type { CauseData, FindingData, FindingsData } from './data.ts';

/** Findings of a rule that a page holds, and causes; verify's own formats have all of them. */
const mostOfRule = 1000;

/** `about` says what was verified, and with what. */
export function findingsData(report: Report, about: string): FindingsData {
  const { findings, suppressed, explanation } = report;
  const isExplained = explanation?.isExplained ?? (() => false);
  const of = (isSo: boolean) => findings.filter((finding) => isExplained(finding) === isSo);
  return {
    ...{ about, errors: countOf(report, 'error'), warnings: countOf(report, 'warning') },
    suppressed: suppressed.length,
    ...(explanation && {
      explanation: {
        text: `${explanation.what}, ${explains(explanation, findings.length)}`,
        command: explanation.command,
      },
    }),
    causes: [...causesData(of(false), false), ...causesData(of(true), true)],
  };
}

function causesData(findings: readonly Located[], isExplained: boolean): CauseData[] {
  const byRule = new Map<RuleId, Cause[]>();
  for (const cause of causesOf(findings)) {
    const known = byRule.get(cause.rule);
    if (known) known.push(cause);
    else byRule.set(cause.rule, [cause]);
  }
  return Array.from(byRule, ([rule, causes]) => {
    const { name, severity, summary } = rules[rule];
    const head = { rule, name, severity, summary, isExplained };
    const share = Math.max(1, Math.floor(mostOfRule / causes.length));
    const shown = causes.slice(0, mostOfRule).map(({ findings: all }) => ({
      ...{ ...head, count: all.length },
      findings: all.slice(0, share).map(findingData),
    }));
    const others = causes.slice(mostOfRule).reduce((sum, { findings: all }) => sum + all.length, 0);
    return others === 0 ? shown : [...shown, { ...head, count: others, findings: [] }];
  }).flat();
}

function findingData(finding: Located): FindingData {
  const { address, place, source, message, found, expected } = told(finding);
  return {
    ...(address !== undefined && { address: hex(address) }),
    place,
    ...(source && { source: `${source.file}:${source.line}` }),
    message,
    ...(found && { found: hexBytes(found) }),
    ...(expected && { expected: hexBytes(expected) }),
  };
}
