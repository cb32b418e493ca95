// The man page, from the same words as --help (man(7): the macros of traditional manual pages).
import { exitStatuses } from '../../errors.ts';
import { version } from '../../version.ts';
import type { Choice, Part } from './command-line.ts';

/** Text that the formatter takes literally. */
function literal(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

const bold = (text: string) => `\\fB${literal(text)}\\fR`;

function entry({ short, long, value, description }: Choice): string {
  const flags = (short ? [short, long] : [long]).map(bold).join(', ');
  const shown = value === undefined ? '' : ` \\fI${literal(value)}\\fR`;
  return `.TP\n${flags}${shown}\n${literal(description)}`;
}

/** The page as roff. */
export function manPage(description: string, parts: readonly Part[]): string {
  const shared = new Map(parts.flatMap(({ common }) => common.map((option) => [option.long, option])));
  const lines = [
    `.TH TEXTPOKE 1 "" "textpoke ${literal(version)}" "User Commands"`,
    '.SH NAME',
    `textpoke \\- ${literal(description)}`,
    '.SH SYNOPSIS',
    parts.map(({ name, usage }) => `${bold(`textpoke ${name}`)} ${literal(usage)}`).join('\n.br\n'),
    '.SH COMMANDS',
    ...parts.flatMap(({ name, description: does, options, examples }) => [
      `.SS ${literal(name)}`,
      literal(`${does[0]?.toUpperCase()}${does.slice(1)}.`),
      ...options.map(entry),
      ...(examples.length > 0 ? ['.PP', 'Example:', '.PP', '.nf', '.RS 4'] : []),
      ...examples.map(literal),
      ...(examples.length > 0 ? ['.RE', '.fi'] : []),
    ]),
    '.SH OPTIONS THAT COMMANDS SHARE',
    ...[...shared.values()].map(entry),
    '.SH FILES',
    'A file called \\- is standard input; behind \\-o it is standard output.',
    '.SH EXIT STATUS',
    ...Object.values(exitStatuses).flatMap(({ status, meaning }) => [
      '.TP',
      bold(String(status)),
      literal(meaning),
    ]),
    '.SH ENVIRONMENT',
    ...['.TP', bold('NO_COLOR'), 'No colours, even on a terminal.'],
    ...['.TP', bold('FORCE_COLOR'), 'Colours, even if the output is not a terminal.'],
  ];
  return `${lines.join('\n')}\n`;
}
