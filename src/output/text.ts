// Text for people: lines, of which no name makes two, and colours, which no name switches on. What stands in a line may
// come from an input; it is made printable where the line is finished, so that no column can forget it.
import { Chalk } from 'chalk';
import { shownNames } from '../engines/demangler.ts';
import { printable } from '../errors.ts';

const styles = ['bold', 'dim', 'red', 'green', 'yellow', 'cyan'] as const;

/** What paints a part of a line that `textOf` or `lineOf` is going to finish. */
export type Colours = Readonly<Record<(typeof styles)[number], (text: string) => string>>;

/** Stands for ESC in a line that is not finished. No name can hold it, for it is another one in each process. */
const mark = `\u241b${Math.random().toString(36).slice(2)}`;

const colourMark = new RegExp(`${mark}\\[[0-9;]*m`, 'g');

/** Colours, or what leaves text as it is. */
export function coloursOf(color: boolean | undefined): Colours {
  const chalk = new Chalk({ level: color ? 1 : 0 });
  const paint = (style: (typeof styles)[number]) => (text: string) =>
    chalk[style](readable(text)).replaceAll('\x1b', mark);
  return Object.fromEntries(styles.map((style) => [style, paint(style)])) as Colours;
}

/** How many characters a line shows that is not finished: without its colours. */
export function shownLength(line: string): number {
  return line.includes(mark) ? line.replace(colourMark, '').length : line.length;
}

/** What build servers take for a command: `::` in front of a line (GitHub), `##[` and `##vso[` (GitHub, Azure). */
const serverCommand = /^(\s*):(?=:)|#(?=#\w*\[)/g;

/** A text as people read it: nothing in it but what is printable, C++ and Rust names as their sources have them. */
export function readable(text: string): string {
  return printable(shownNames(text));
}

/** One line without its end, finished: everything in it is printable, and colours are what `coloursOf` made. */
export function lineOf(line: string): string {
  return readable(line)
    .replace(serverCommand, (found, space: string | undefined) => (found === '#' ? '\\x23' : `${space}\\x3a`))
    .replaceAll(mark, '\x1b');
}

/** Lines put together, each finished; nothing for none. */
export function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${lineOf(line)}\n`).join('');
}

/** A JSON document in which everything that is not printable is escaped; it says the same. */
export function jsonText(document: unknown, indent?: number): string {
  const text = JSON.stringify(document, null, indent);
  // Nearly every document is one of plain characters.
  if (!/[^\n\x20-\x7e]/.test(text)) return text;
  const unit = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(/[^\n\x20-\x7e]/gu, (c) => (printable(c) === c ? c : c.split('').map(unit).join('')));
}
