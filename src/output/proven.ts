// What verify proved of an image, for a person who asked.
import type { Proven } from '../verify/proven.ts';
import type { Report } from '../verify/report.ts';
import type { RuleId } from '../verify/rules.ts';
import { count, grouped } from './count.ts';
import { textOf } from './text.ts';

/** Lines about all that was looked at, and found as it has to be. */
export function provenText(report: Report, proven: Proven): string {
  const { file, findings } = report;
  const { sites, trampolines, locks, cpus, state, isModule = false, original, baseline } = proven;
  const nothingOf = (...rules: RuleId[]) => findings.every(({ rule }) => !rules.includes(rule));
  const counts = sites.flatMap(({ noun, proven: right, of }) => {
    if (of === 0) return [];
    return right === of ? [large(of, noun)] : [`${grouped(right)} of ${large(of, noun)}`];
  });
  if (trampolines > 0) counts.push(large(trampolines, 'trampoline'));
  const forCpus = cpus === undefined ? '' : `, for ${cpus === 1 ? 'one CPU' : `${cpus} CPUs`}`;
  const as = isModule
    ? 'as their keys require, of the kernel as the code was built for them'
    : state === 'linked'
      ? 'as linked, or as their keys require'
      : 'as their keys require';
  const lines = [
    `${file}: ${counts.length > 0 ? `${counts.join(', ')}: ${as}${forCpus}` : isModule ? 'no table has an entry' : 'nothing was proved: no table has an entry'}`,
  ];
  if (locks === 'all' && nothingOf('TP010')) lines.push('  every lock that is code for sure has an entry');
  if (locks === 'listed') lines.push('  locks without entry were not looked for');
  if (locks === 'none' && sites.some(({ of }) => of > 0)) lines.push('  locks were not looked at');
  if (!isModule && nothingOf('TP009', 'TP022', 'TP030', 'TP031', 'TP032') && counts.length > 0)
    lines.push('  no static call or branch is known to be without entry');
  if (original !== undefined && nothingOf('TP013', 'TP014'))
    lines.push(`  nothing but patches differs from ${original}`);
  if (baseline !== undefined && nothingOf('TP027')) lines.push(`  no site of ${baseline} is missing`);
  return textOf(lines);
}

/** `5,980 static branches`. */
function large(number: number, noun: string): string {
  return `${grouped(number)}${count(number, noun).slice(`${number}`.length)}`;
}
