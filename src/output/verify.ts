// Findings for people, and as JSON for machines.

import { hex, hexBytes } from '../bytes/integer.ts';
import type { SourceLine } from '../dwarf/source-lines.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import { printable } from '../errors.ts';
import type { Located } from '../verify/finding.ts';
import type { Verified } from '../verify/passes.ts';
import { countOf, type Report } from '../verify/report.ts';
import { rules } from '../verify/rules.ts';
import { count, outputColours } from './console.ts';

/** `file.c:12`. */
export function sourceText({ file, line }: SourceLine): string {
  return `${printable(file)}:${line}`;
}

/** A heading for each rule, below it a line a finding with found and expected bytes; nothing for a good image. */
export function verifyText(report: Report, disassemblers: Disassemblers | undefined): string {
  const { file, image, findings, suppressed } = report;
  if (findings.length === 0) return '';
  const colour = outputColours();
  const lines: string[] = [];
  const show = (label: string, bytes: Uint8Array | undefined, address: number | undefined) => {
    if (!bytes || address === undefined) return;
    const disassembler = disassemblers?.(image.instructionsAt(address));
    const text = disassembler?.one(bytes, address, (target) => image.describe(target))?.text;
    lines.push(`    ${label.padEnd(8)} ${hexBytes(bytes)}${text ? `  ${text}` : ''}`);
  };
  let last: string | undefined;
  for (const { rule, address, place, source, message, found, expected } of findings) {
    const { name, severity, summary } = rules[rule];
    if (rule !== last) {
      const paint = severity === 'error' ? colour.red : colour.yellow;
      lines.push(`${file}: ${paint(`${severity} ${rule} ${name}`)}: ${summary}`);
    }
    last = rule;
    const at = address === undefined ? '' : `${hex(address)} `;
    const line = source ? ` (${sourceText(source)})` : '';
    lines.push(`  ${at}${colour.cyan(printable(place))}${line}: ${printable(message)}`);
    show('found', found, address);
    show('expected', expected, address);
  }
  const counts = [count(countOf(report, 'error'), 'error'), count(countOf(report, 'warning'), 'warning')];
  if (suppressed.length > 0) counts.push(`${suppressed.length} suppressed`);
  lines.push(`${counts.join(', ')}; textpoke explain ${findings[0]?.rule} explains the first rule`);
  return `${lines.join('\n')}\n`;
}

/** `textpoke.verify/1` (docs/verify.schema.json). */
export function verifyJson(report: Report, counts: Verified['counts']): unknown {
  return {
    schema: 'textpoke.verify/1',
    file: report.file,
    counts,
    errors: countOf(report, 'error'),
    warnings: countOf(report, 'warning'),
    findings: report.findings.map(findingJson),
    suppressed: report.suppressed.map(({ finding, reason }) => ({ ...findingJson(finding), reason })),
    ...(report.linesProblem === undefined ? {} : { linesProblem: report.linesProblem }),
  };
}

export function findingJson({ rule, address, place, message, ...more }: Located): object {
  const { entry, source, found, expected } = more;
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
