// Findings for people, and as JSON for machines.
import { hex, hexBytes } from '../bytes/integer.ts';
import type { SourceLine } from '../dwarf/source-lines.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import type { SiteCounts } from '../kinds/registry.ts';
import { type Located, told } from '../verify/finding.ts';
import { countOf, type Report } from '../verify/report.ts';
import type { Severity } from '../verify/rules/rule.ts';
import { type RuleId, rules } from '../verify/rules.ts';
import type { Suppressed } from '../verify/suppressions.ts';
import { count } from './count.ts';
import { inPieces, jsonParts, ListLater } from './pieces.ts';
import { coloursOf, lineOf } from './text.ts';

/** `file.c:12`. */
export function sourceText({ file, line }: SourceLine): string {
  return `${file}:${line}`;
}

/** A heading for each rule, below it a line a finding with found and expected bytes; nothing for a good image. */
export function* verifyText(
  report: Report,
  disassemblers: Disassemblers | undefined,
  color?: boolean,
): Generator<string> {
  if (report.findings.length > 0) yield* inPieces(finished(verifyLines(report, disassemblers, color)));
}

function* finished(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${lineOf(line)}\n`;
}

function* verifyLines(
  report: Report,
  disassemblers: Disassemblers | undefined,
  color: boolean | undefined,
): Generator<string> {
  const { file, image, findings, suppressed } = report;
  const colour = coloursOf(color);
  function* show(label: string, bytes: Uint8Array | undefined, address: number | undefined) {
    if (!bytes || address === undefined) return;
    const disassembler = disassemblers?.(image.instructionsAt(address));
    const text = disassembler?.one(bytes, address, (target) => image.describe(target))?.text;
    yield `    ${label.padEnd(8)} ${hexBytes(bytes)}${text ? `  ${text}` : ''}`;
  }
  let last: string | undefined;
  for (const finding of findings) {
    const { rule, address, place, source, message, found, expected } = told(finding);
    const { name, severity, summary } = rules[rule];
    if (rule !== last) {
      const paint = severity === 'error' ? colour.red : colour.yellow;
      yield `${file}: ${paint(`${severity} ${rule} ${name}`)}: ${summary}`;
    }
    last = rule;
    const at = address === undefined ? '' : `${hex(address)} `;
    const line = source ? ` (${sourceText(source)})` : '';
    yield `  ${at}${colour.cyan(place)}${line}: ${message}`;
    yield* show('found', found, address);
    yield* show('expected', expected, address);
  }
  const counts = [count(countOf(report, 'error'), 'error'), count(countOf(report, 'warning'), 'warning')];
  if (suppressed.length > 0) counts.push(`${suppressed.length} suppressed`);
  yield `${counts.join(', ')}; textpoke explain ${findings[0]?.rule} explains the first rule`;
}

/** What `textpoke verify --format json` prints (docs/verify.schema.json). */
export interface VerifyDocument {
  readonly schema: 'textpoke.verify/1';
  /** The image, by the name that it was given. */
  readonly file: string;
  /** Entries that were looked at. */
  readonly counts: SiteCounts;
  /** How many findings are errors. */
  readonly errors: number;
  /** How many findings are warnings. */
  readonly warnings: number;
  /** Errors first, then by rule and address. */
  readonly findings: readonly FindingDocument[];
  /** What the suppressions accept. */
  readonly suppressed: readonly SuppressedDocument[];
  /** Why some findings have no source. */
  readonly linesProblem?: string;
}

/** A finding as JSON has it. */
export interface FindingDocument {
  /** Id of the rule: `TP007`. */
  readonly rule: RuleId;
  /** Name of the rule: `wrong-instruction`. */
  readonly name: string;
  readonly severity: Severity;
  /** Virtual address of the place, `0x…`; absent for what is about a file as a whole. */
  readonly address?: string;
  /** `symbol+0x1c`, or what names the place instead. */
  readonly place: string;
  /** Source of the place, where DWARF has it. */
  readonly source?: SourceLine;
  readonly message: string;
  /** Virtual address of the table's entry that is at fault, `0x…`. */
  readonly entry?: string;
  /** Bytes that stand at the place, two hexadecimal digits each. */
  readonly found?: string;
  /** Bytes that would be right, two hexadecimal digits each. */
  readonly expected?: string;
}

/** A finding that a suppression accepts. */
export interface SuppressedDocument extends FindingDocument {
  /** Why it is accepted. */
  readonly reason: string;
}

/** `textpoke.verify/1`. */
export function verifyJson(report: Report, counts: SiteCounts): VerifyDocument {
  return verifyDocument(report, counts, findingsJson(report));
}

/** The text of `verifyJson`, in pieces. */
export function verifyJsonText(report: Report, counts: SiteCounts): Generator<string> {
  return documentText(verifyDocument(report, counts, findingsLater(report)));
}

function verifyDocument<Lists>(report: Report, counts: SiteCounts, lists: Lists) {
  return {
    schema: 'textpoke.verify/1',
    file: report.file,
    counts,
    errors: countOf(report, 'error'),
    warnings: countOf(report, 'warning'),
    ...lists,
    ...(report.linesProblem === undefined ? {} : { linesProblem: report.linesProblem }),
  } as const;
}

/** A document as it is printed, in pieces. */
export function* documentText(document: object, indent = 2): Generator<string> {
  yield* inPieces(jsonParts(document, indent));
  yield '\n';
}

/** The findings of a report, and what of them was suppressed. */
export function findingsJson({
  findings,
  suppressed,
}: Report): Pick<VerifyDocument, 'findings' | 'suppressed'> {
  return {
    findings: findings.map(findingJson),
    suppressed: suppressed.map(suppressedJson),
  };
}

/** The same, made when it is written. */
export function findingsLater({
  findings,
  suppressed,
}: Report): Record<'findings' | 'suppressed', ListLater> {
  return {
    findings: ListLater.of(findings, findingJson),
    suppressed: ListLater.of(suppressed, suppressedJson),
  };
}

function suppressedJson({ finding, reason }: Suppressed): SuppressedDocument {
  return { ...findingJson(finding), reason };
}

function findingJson(finding: Located): FindingDocument {
  const { rule, address, place, message, entry, source, found, expected } = told(finding);
  return {
    rule,
    name: rules[rule].name,
    severity: rules[rule].severity,
    ...(address === undefined ? {} : { address: hex(address) }),
    place,
    ...(source ? { source: { file: source.file, line: source.line } } : {}),
    message,
    ...(entry === undefined ? {} : { entry: hex(entry) }),
    ...(found ? { found: hexBytes(found) } : {}),
    ...(expected ? { expected: hexBytes(expected) } : {}),
  };
}
