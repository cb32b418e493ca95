// Findings as JUnit XML: a rule is a test case, which fails where there are findings that count.
import { hex, hexBytes } from '../bytes/integer.ts';
import { printable } from '../errors.ts';
import { type Located, told } from '../verify/finding.ts';
import type { Report } from '../verify/report.ts';
import type { Severity } from '../verify/rules/rule.ts';
import { type RuleId, ruleIds, rules } from '../verify/rules.ts';
import { sourceText } from './findings.ts';
import { inPieces } from './pieces.ts';

/** Text for XML 1.0, which has no place for most of what is not printable. */
function xml(text: string): string {
  return printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function describe(finding: Located): string {
  const { address, place, source, message, found, expected } = told(finding);
  const at = address === undefined ? '' : `${hex(address)} `;
  const bytes = (label: string, value: Uint8Array | undefined) =>
    value ? `; ${label} ${hexBytes(value)}` : '';
  const line = source ? ` (${sourceText(source)})` : '';
  return `${at}${place}${line}: ${message}${bytes('found', found)}${bytes('expected', expected)}`;
}

function* testCase(report: Report, id: RuleId, failsOn: readonly Severity[]): Generator<string> {
  const { name, severity, summary } = rules[id];
  const found = report.findings.filter(({ rule }) => rule === id);
  const open = `    <testcase classname="textpoke verify" name="${xml(`${id} ${name}`)}"`;
  const skipped = isSkipped(report, id);
  if (!skipped && found.length === 0) {
    yield `${open}/>\n`;
    return;
  }
  yield `${open}>\n`;
  if (skipped) yield '      <skipped/>\n';
  const say = (finding: Located) => xml(describe(finding));
  if (failsOn.includes(severity)) {
    for (const finding of found) {
      yield `      <failure type="${id}" message="${xml(summary)}">${say(finding)}</failure>\n`;
    }
  } else if (found.length > 0) {
    for (const [i, finding] of found.entries())
      yield `${i === 0 ? '      <system-out>' : '&#10;'}${say(finding)}`;
    yield '</system-out>\n';
  }
  yield '    </testcase>\n';
}

/** True for a rule that needs an option which was not given. */
function isSkipped({ findings, given }: Report, id: RuleId): boolean {
  const rule = rules[id];
  if (!('needs' in rule) || findings.some((finding) => finding.rule === id)) return false;
  return !given.has(rule.needs);
}

/** The document, in pieces; findings of the severities of `failsOn` are failures. */
export function* junitXml(report: Report, failsOn: readonly Severity[]): Generator<string> {
  yield* inPieces(junitLines(report, failsOn));
}

function* junitLines(report: Report, failsOn: readonly Severity[]): Generator<string> {
  const failing = new Set(
    report.findings.map(({ rule }) => rule).filter((r) => failsOn.includes(rules[r].severity)),
  );
  const skipped = ruleIds.filter((id) => isSkipped(report, id)).length;
  const counts = `tests="${ruleIds.length}" failures="${failing.size}"`;
  yield '<?xml version="1.0" encoding="UTF-8"?>\n';
  yield `<testsuites ${counts}>\n`;
  yield `  <testsuite name="${xml(report.file)}" ${counts} errors="0" skipped="${skipped}">\n`;
  for (const id of ruleIds) yield* testCase(report, id, failsOn);
  yield '  </testsuite>\n';
  yield '</testsuites>\n';
}
