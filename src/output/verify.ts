// Findings as JSON for machines.
import { hex, hexBytes } from '../bytes/integer.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import type { SiteCounts } from '../kinds/registry.ts';
import { type Located, told } from '../verify/finding.ts';
import { countOf, type Report } from '../verify/report.ts';
import type { Severity } from '../verify/rules/rule.ts';
import { type RuleId, rules } from '../verify/rules.ts';
import type { Suppressed } from '../verify/suppressions.ts';
import { ListLater } from './pieces.ts';

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
  /** What most findings have in common, where files prove it. */
  readonly explanation?: ExplanationDocument;
  /** Why some findings have no source. */
  readonly linesProblem?: string;
}

/** One explanation of most findings. */
export interface ExplanationDocument {
  /** `the image was never booted`. */
  readonly what: string;
  /** The command line that takes it into account. */
  readonly command: string;
  /** How many of the findings are not there then. */
  readonly explained: number;
  /** How many findings there are then. */
  readonly left: number;
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

/** The same, whose findings are made when they are written. */
export function verifyLater(report: Report, counts: SiteCounts): object {
  return verifyDocument(report, counts, findingsLater(report));
}

function verifyDocument<Lists>(report: Report, counts: SiteCounts, lists: Lists) {
  return {
    schema: 'textpoke.verify/1',
    file: report.file,
    counts,
    errors: countOf(report, 'error'),
    warnings: countOf(report, 'warning'),
    ...explanationJson(report),
    ...lists,
    ...(report.linesProblem === undefined ? {} : { linesProblem: report.linesProblem }),
  } as const;
}

/** The explanation of a report, if it has one. */
export function explanationJson({ explanation }: Report): Pick<VerifyDocument, 'explanation'> {
  if (!explanation) return {};
  const { what, command, explained, left } = explanation;
  return { explanation: { what, command, explained, left } };
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
