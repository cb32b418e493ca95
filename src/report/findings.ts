// What verify found, as a page has it: a rule at a time, and of each rule as many findings as somebody may read.
import type { FindingDocument } from '../output/verify.ts';
import { rules } from '../verify/rules.ts';
import type { FindingData, FindingsData } from './data.ts';

/** Findings of a rule that a page holds; verify's own formats have all of them. */
const mostOfRule = 1000;

/** What documents of verify have in common. */
interface Verified {
  readonly errors: number;
  readonly warnings: number;
  readonly findings: readonly FindingDocument[];
  readonly suppressed: readonly unknown[];
}

/** `about` says what was verified, and with what. */
export function findingsData(verified: Verified, about: string): FindingsData {
  const { errors, warnings, suppressed } = verified;
  const byRule = new Map<FindingDocument['rule'], FindingDocument[]>();
  for (const finding of verified.findings) {
    const known = byRule.get(finding.rule);
    if (known) known.push(finding);
    else byRule.set(finding.rule, [finding]);
  }
  return {
    ...{ about, errors, warnings, suppressed: suppressed.length },
    rules: Array.from(byRule, ([id, findings]) => {
      const { name, severity, summary } = rules[id];
      const shown = findings.slice(0, mostOfRule).map(findingData);
      return { id, name, severity, summary, count: findings.length, findings: shown };
    }),
  };
}

function findingData({ address, place, source, message, found, expected }: FindingDocument): FindingData {
  return {
    ...(address !== undefined && { address }),
    place,
    ...(source && { source: `${source.file}:${source.line}` }),
    message,
    ...(found !== undefined && { found }),
    ...(expected !== undefined && { expected }),
  };
}
