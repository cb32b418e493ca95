// Findings for people and for machines.
import type { Disassemblers } from '../arch/disassembler.ts';
import { hex, hexBytes } from '../bytes/integer.ts';
import type { Finding } from '../findings.ts';

import type { Image } from '../image/image.ts';
import { rules } from '../rules.ts';
import type { Verified } from '../verify/verify.ts';
import { count, outputColours } from './console.ts';

/** One line a finding, with found and expected bytes below it; nothing for a good image. */
export function verifyText(
  file: string,
  image: Image,
  verified: Pick<Verified, 'findings'>,
  disassemblers: Disassemblers | undefined,
): string {
  const colour = outputColours();
  const lines: string[] = [];
  const show = (label: string, bytes: Uint8Array | undefined, finding: Finding) => {
    if (!bytes) return;
    const disassembler = disassemblers?.(image.instructionsAt(finding.address));
    const text = disassembler?.one(bytes, finding.address, (target) => image.describe(target))?.text;
    lines.push(`    ${label.padEnd(8)} ${hexBytes(bytes)}${text ? `  ${text}` : ''}`);
  };
  for (const finding of verified.findings) {
    const rule = rules[finding.rule];
    lines.push(
      `${file}: ${hex(finding.address)} ${colour.cyan(finding.place)}: ${finding.message} ${colour.red(`[${finding.rule} ${rule.name}]`)}`,
    );
    show('found', finding.found, finding);
    show('expected', finding.expected, finding);
  }
  if (lines.length > 0) lines.push(count(verified.findings.length, 'finding'));
  return lines.length > 0 ? `${lines.join('\n')}\n` : '';
}

/** `textpoke.verify/1`. */
export function verifyJson(file: string, verified: Verified): unknown {
  return {
    schema: 'textpoke.verify/1',
    file,
    counts: verified.counts,
    findings: verified.findings.map(findingJson),
  };
}

export function findingJson(finding: Finding): unknown {
  return {
    rule: finding.rule,
    name: rules[finding.rule].name,
    severity: rules[finding.rule].severity,
    address: hex(finding.address),
    place: finding.place,
    message: finding.message,
    ...(finding.found ? { found: hexBytes(finding.found) } : {}),
    ...(finding.expected ? { expected: hexBytes(finding.expected) } : {}),
  };
}
