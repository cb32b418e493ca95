// Findings for people: a heading for each rule, and below it the places. A report that would not fit a screen tells what
// explains it, and of each cause a few places.
import { hex, hexBytes } from '../bytes/integer.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import { type Cause, causesOf } from '../verify/causes.ts';
import { type Located, told } from '../verify/finding.ts';
import { countOf, type Explanation, type Report } from '../verify/report.ts';
import { type RuleId, rules } from '../verify/rules.ts';
import { count, grouped } from './count.ts';
import { inPieces } from './pieces.ts';
import { type Colours, coloursOf, lineOf, shownLength } from './text.ts';

/** `file.c:12`. */
export function sourceText({ file, line }: SourceLine): string {
  return `${file}:${line}`;
}

/** How findings are told. */
export interface FindingsText {
  readonly disassemblers?: Disassemblers | undefined;
  readonly color?: boolean | undefined;
  /** Each finding, however many there are. */
  readonly all?: boolean | undefined;
  /** Lines that stand in front of them on the same screen. */
  readonly above?: number;
}

/** Lines and columns of the smallest screen that people use, less a line for the next prompt. */
const screen = { lines: 23, columns: 80 };
/** What findings get, whatever stands in front of them. */
const leastLines = 10;
/** Places that are shown of a cause. */
const places = 3;
/** Characters of ` (and 99,999 more like it)`. */
const suffix = 26;
/** More findings than this do not fit, whatever they say: nothing has to be made to see it. */
const mostWhole = screen.lines;

/** The findings of a report; nothing for a good image. */
export function* findingsText(report: Report, how: FindingsText = {}): Generator<string> {
  if (report.findings.length > 0) yield* inPieces(finished(linesOf(report, how)));
}

function* finished(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${lineOf(line)}\n`;
}

function* linesOf(report: Report, how: FindingsText): Generator<string> {
  const teller = new Teller(report, how);
  const explanation = [...teller.explanation()];
  const room = Math.max(screen.lines - (how.above ?? 0), leastLines) - rows(explanation);
  yield* explanation;
  if (how.all) {
    yield* teller.whole();
    yield teller.totals(false);
    return;
  }
  const whole = report.findings.length > mostWhole ? undefined : [...teller.whole(), teller.totals(false)];
  if (whole && rows(whole) <= room) {
    yield* whole;
    return;
  }
  const totals = teller.totals(true);
  yield* teller.inShort(room - rows([totals]));
  yield totals;
}

/** Lines of a screen that some lines take. */
function rows(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(shownLength(line) / screen.columns)), 0);
}

/** `which explains all 12 findings; this finds nothing:`, behind what is the matter and in front of the command. */
export function explains({ explained, left }: Explanation, total: number): string {
  const all = total === 1 ? 'the finding' : `all ${grouped(total)} findings`;
  const of = explained === total ? all : `${grouped(explained)} of ${grouped(total)} findings`;
  return `which explains ${of}; this finds ${left === 0 ? 'nothing' : count(left, 'finding')}:`;
}

/** Makes the lines of a report. */
class Teller {
  private readonly report: Report;
  private readonly disassemblers: Disassemblers | undefined;
  private readonly colour: Colours;

  constructor(report: Report, { disassemblers, color }: FindingsText) {
    this.report = report;
    this.disassemblers = disassemblers;
    this.colour = coloursOf(color);
  }

  /** What most findings have in common, and what to try. */
  *explanation(): Generator<string> {
    const { explanation, findings, file } = this.report;
    if (!explanation) return;
    yield `${file}: ${this.colour.bold(explanation.what)}, ${explains(explanation, findings.length)}`;
    yield `  ${explanation.command}`;
  }

  /** Every finding. */
  *whole(): Generator<string> {
    let last: RuleId | undefined;
    for (const finding of this.report.findings) {
      if (finding.rule !== last) yield this.heading(finding.rule);
      last = finding.rule;
      yield* this.finding(finding, true);
    }
  }

  /** So many lines about all findings: what nothing explains first. */
  *inShort(room: number): Generator<string> {
    const { findings, explanation } = this.report;
    const isExplained = explanation?.isExplained ?? (() => false);
    const open = findings.filter((finding) => !isExplained(finding));
    const told = sizes(findings.filter(isExplained));
    const explained = Array.from(told, ([rule, size]) => this.heading(rule, size));
    yield* this.causes(causesOf(open), room - rows(explained));
    yield* explained;
  }

  /** Of each cause a few places, as far as there is room: each rule first, then each cause, then more places of each. */
  private *causes(causes: readonly Cause[], room: number): Generator<string> {
    const sizeOf = sizes(causes.flatMap(({ findings }) => findings));
    const shown = new Map<Cause, string[][]>();
    const firstOf = new Map<RuleId, Cause>();
    for (const cause of causes) if (!firstOf.has(cause.rule)) firstOf.set(cause.rule, cause);
    const others = causes.filter((cause) => firstOf.get(cause.rule) !== cause);
    // What is left out gets a line for each rule, and one for the rules that do not fit.
    let left = room - (firstOf.size > 2 ? 2 : 0);
    const show = (cause: Cause, isWhole: boolean, besides: readonly string[]): boolean => {
      const before = shown.get(cause) ?? [];
      const finding = cause.findings[before.length];
      if (!finding) return true;
      const lines = [...this.finding(finding, isWhole)];
      const cost =
        rows([...lines, ...besides]) +
        Number(shownLength(lines[0] as string) % screen.columns > screen.columns - suffix);
      if (cost > left) return false;
      left -= cost;
      shown.set(cause, [...before, lines]);
      return true;
    };
    const isRoom =
      [...firstOf.values()].every((cause) =>
        show(cause, true, [this.heading(cause.rule, sizeOf.get(cause.rule)), '']),
      ) && others.every((cause) => show(cause, false, []));
    for (let round = 1; isRoom && round < places; round++)
      if (!causes.every((cause) => show(cause, false, []))) break;
    for (const rule of firstOf.keys()) yield* this.shortRule(rule, causes, shown, sizeOf.get(rule) ?? 0);
    const hidden = [...firstOf.keys()].filter((rule) => !shown.has(firstOf.get(rule) as Cause));
    if (hidden.length > 0)
      yield `also ${hidden.map((rule) => `${rule} (${grouped(sizeOf.get(rule) ?? 0)})`).join(', ')}`;
  }

  private *shortRule(
    rule: RuleId,
    all: readonly Cause[],
    shown: ReadonlyMap<Cause, readonly (readonly string[])[]>,
    size: number,
  ): Generator<string> {
    const causes = all.filter((cause) => cause.rule === rule);
    let hidden = 0;
    for (const [i, cause] of causes.entries()) {
      const told = shown.get(cause) ?? [];
      if (i === 0 && told.length === 0) return;
      if (i === 0) yield this.heading(rule, size);
      if (told.length === 0) hidden += cause.findings.length;
      for (const [j, lines] of told.entries()) {
        const more = cause.findings.length - told.length;
        const isLast = j === told.length - 1;
        yield `${lines[0]}${isLast && more > 0 ? ` (and ${grouped(more)} more${cause.isOne ? ' like it' : ''})` : ''}`;
        yield* lines.slice(1);
      }
    }
    if (hidden > 0) yield `  and ${grouped(hidden)} more`;
  }

  private heading(rule: RuleId, size = 1): string {
    const { name, severity, summary } = rules[rule];
    const paint = severity === 'error' ? this.colour.red : this.colour.yellow;
    const times = size > 1 ? ` (${grouped(size)})` : '';
    return `${this.report.file}: ${paint(`${severity} ${rule} ${name}`)}${times}: ${summary}`;
  }

  /** A finding, with its bytes if it is to be whole. */
  private *finding(finding: Located, isWhole: boolean): Generator<string> {
    const { address, place, source, message, found, expected } = told(finding);
    const at = address === undefined ? '' : `${hex(address)} `;
    const line = source ? ` (${sourceText(source)})` : '';
    yield `  ${at}${this.colour.cyan(place)}${line}: ${message}`;
    if (!isWhole) return;
    yield* this.bytes('found', found, address);
    yield* this.bytes('expected', expected, address);
  }

  private *bytes(
    label: string,
    bytes: Uint8Array | undefined,
    address: number | undefined,
  ): Generator<string> {
    if (!bytes || address === undefined) return;
    const { image } = this.report;
    const disassembler = this.disassemblers?.(image.instructionsAt(address));
    const text = disassembler?.one(bytes, address, (target) => image.describe(target))?.text;
    yield `    ${label.padEnd(8)} ${hexBytes(bytes)}${text ? `  ${text}` : ''}`;
  }

  totals(isShort: boolean): string {
    const { findings, suppressed } = this.report;
    const counts = (['error', 'warning'] as const).map((severity) => {
      const number = countOf(this.report, severity);
      return `${grouped(number)} ${severity}${number === 1 ? '' : 's'}`;
    });
    if (suppressed.length > 0) counts.push(`${grouped(suppressed.length)} suppressed`);
    const all = isShort ? '--all shows each; ' : '';
    return `${counts.join(', ')}; ${all}textpoke explain ${findings[0]?.rule} explains the first rule`;
  }
}

/** How many findings each rule has. */
function sizes(findings: readonly Located[]): Map<RuleId, number> {
  const found = new Map<RuleId, number>();
  for (const { rule } of findings) found.set(rule, (found.get(rule) ?? 0) + 1);
  return found;
}
