// Findings as annotations of a GitHub workflow: commands that the runner reads from the output ("Workflow commands").
import { isAbsolute, relative } from 'node:path';
import { hex } from '../bytes/integer.ts';
import { printable } from '../errors.ts';
import { type Located, told } from '../verify/finding.ts';
import type { Report } from '../verify/report.ts';
import { rules } from '../verify/rules.ts';
import { inPieces } from './pieces.ts';

function data(text: string): string {
  return printable(text).replaceAll('%', '%25');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

/** Annotations are shown at files of the repository: what lies in the workspace is named from there. */
function fileInWorkspace(file: string, workspace: string | undefined): string {
  if (!isAbsolute(file) || !workspace) return file;
  const inside = relative(workspace, file);
  return inside.startsWith('..') ? file : inside;
}

/** One line a finding, in pieces; nothing for a good image. */
export function* githubText(report: Report, workspace: string | undefined): Generator<string> {
  yield* inPieces(githubLines(report, workspace));
}

function* githubLines({ file, findings }: Report, workspace: string | undefined): Generator<string> {
  const annotate = (finding: Located) => {
    const { rule, address, place, source, message } = told(finding);
    const { name, severity } = rules[rule];
    const properties = [
      ...(source ? [`file=${property(fileInWorkspace(source.file, workspace))}`, `line=${source.line}`] : []),
      `title=${property(`${rule} ${name}`)}`,
    ];
    const at = address === undefined ? '' : `${hex(address)} `;
    return `::${severity} ${properties.join(',')}::${data(`${file}: ${at}${place}: ${message}`)}\n`;
  };
  for (const finding of findings) yield annotate(finding);
}
