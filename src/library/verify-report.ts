// What verify has in common for images and memory: options, and how the result is told.
import type { DebugDirectories } from '../dwarf/debug-files.ts';
import { disassemblersIfInstalled } from '../engines/disassembler.ts';
import { inFile } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { hasNoNames } from '../kinds/lost-sites.ts';
import { findingsText } from '../output/findings.ts';
import { githubText } from '../output/github.ts';
import { junitXml } from '../output/junit.ts';
import { documentLines, documentText } from '../output/pieces.ts';
import { sarifText } from '../output/sarif.ts';
import type { Configuration, Report } from '../verify/report.ts';
import type { Severity } from '../verify/rules/rule.ts';
import { rules } from '../verify/rules.ts';
import { type ConfigDocument, parseConfig, readConfig } from '../verify/suppressions.ts';
import { type Makers, type Reports, reportsIn } from './reports.ts';

/** The formats of verify, as `--format` takes them. */
export const verifyFormats = ['text', 'json', 'jsonl', 'sarif', 'junit', 'github'] as const;

/** A format of verify. */
export type VerifyFormat = (typeof verifyFormats)[number];

/** What may be said to verify about an image and about memory alike. */
export interface ReportOptions extends DebugDirectories {
  /** Number of CPUs that locks and barriers must fit; undefined: all in one state, whichever. */
  readonly cpus?: number | undefined;
  /** Findings that are known and accepted: the configuration's document, or its text. */
  readonly suppressions?: ConfigDocument | string | undefined;
  /** How findings and errors call the suppressions, such as their file's path; `suppressions` unless given. */
  readonly suppressionsName?: string | undefined;
  /** The least severity that a good image must not have; `error` unless given. */
  readonly failOn?: Severity | undefined;
  /** Which reports are made; none unless some are named. */
  readonly formats?: readonly VerifyFormat[] | undefined;
  /** Every finding in the text report, however many there are; false unless given. */
  readonly all?: boolean | undefined;
  /** What was proved in the text report, a good image's too; false unless given. */
  readonly verbose?: boolean | undefined;
  /** Colours in the text report, as escape sequences; false unless given. */
  readonly color?: boolean | undefined;
  /** Directory from which `github` names files; undefined: GITHUB_WORKSPACE of the environment. */
  readonly workspace?: string | undefined;
}

/** What verify says of an image or of memory, with the document that belongs to it. */
export interface Verification<Document> {
  /** What the command line prints with `--format json`. */
  readonly document: Document;
  /** False when a finding has the severity of `failOn` or a worse one. */
  readonly passed: boolean;
  /** The text of each format that was asked for, as the command line prints it; empty where it prints nothing. */
  readonly reports: Reports<VerifyFormat>;
  /** What else a person has to know, as the command line prints it on standard error. */
  readonly notes: readonly string[];
}

/** The suppressions that options give. Error `config-malformed`, in the file that `suppressionsName` says. */
export function configurationOf({
  suppressions,
  suppressionsName = 'suppressions',
}: ReportOptions): Configuration | undefined {
  if (suppressions === undefined) return undefined;
  const read = () =>
    typeof suppressions === 'string' ? parseConfig(suppressions) : readConfig(suppressions);
  return { path: suppressionsName, suppressions: inFile(suppressionsName, read) };
}

/** What cannot be found in an image; `file` is its name. */
export function gapsOf(image: Image, file: string): string[] {
  if (!hasNoNames(image)) return [];
  const what = 'without a symbol table verify cannot find static branches that lost their entries';
  return [`${file}: ${what}; verify before strip`];
}

/** What verify found, not told yet. It is told while the image is open, and the memory if there is any. */
export interface Verified<Document> extends Pick<Verification<Document>, 'passed' | 'notes'> {
  readonly report: Report;
  readonly document: () => Document;
  readonly makers: Makers<VerifyFormat>;
}

/** What there is to tell beside a report. */
interface Besides<Document> {
  /** Its JSON. */
  readonly document: () => Document;
  /** The same, whose lists are made when they are written. */
  readonly later: () => object;
  /** Said as text even when all is well, in front of the findings. */
  readonly summary?: string;
  /** What was proved, said as text where it is asked for, behind the findings. */
  readonly proof?: () => string;
  readonly notes?: readonly string[];
}

/** Makes of a report what can be told of it. */
export function verifiedAs<Document>(
  report: Report,
  { document, later, summary = '', proof, notes = [] }: Besides<Document>,
  options: ReportOptions,
): Verified<Document> {
  const failsOn: readonly Severity[] = options.failOn === 'warning' ? ['error', 'warning'] : ['error'];
  const { findings, file, image, linesProblem } = report;
  const makers: Makers<VerifyFormat> = {
    text: async () => {
      const disassemblers = findings.length > 0 ? await disassemblersIfInstalled(image.arch) : undefined;
      const { all, color, verbose } = options;
      const above = summary.split('\n').length - 1;
      return inOrder(
        summary,
        findingsText(report, { disassemblers, color, all, above }),
        verbose ? proof?.() : undefined,
      );
    },
    json: () => documentText(later()),
    jsonl: () => documentLines(later(), ['findings', 'suppressed']),
    sarif: () => sarifText(report),
    junit: () => junitXml(report, failsOn),
    github: () => githubText(report, options.workspace ?? process.env.GITHUB_WORKSPACE),
  };
  return {
    report,
    document,
    passed: !findings.some(({ rule }) => failsOn.includes(rules[rule].severity)),
    makers,
    notes: [...notes, ...(linesProblem === undefined ? [] : [`${file}: ${linesProblem}`])],
  };
}

/** What was compared comes first, then what is wrong with it, then what is right. */
function* inOrder(summary: string, text: Iterable<string>, proof = ''): Generator<string> {
  if (summary !== '') yield summary;
  yield* text;
  if (proof !== '') yield proof;
}

/** Tells it, document and all; `unpacked` are notes that come before its own. Error `usage`. */
export async function tell<Document>(
  { document, passed, notes, makers }: Verified<Document>,
  { formats }: ReportOptions,
  unpacked: readonly string[],
): Promise<Verification<Document>> {
  const reports = await reportsIn(formats, makers);
  return { document: document(), passed, reports, notes: [...unpacked, ...notes] };
}
