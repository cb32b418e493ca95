// Command lines that a person may paste into a POSIX shell, or into bash, zsh or fish where a name has what no line shows.
import { printable } from '../errors.ts';

/** What every shell takes for itself alone. */
const plain = /^[\w@%+=:,./-]+$/;

/** A word of a command line: quoted where the shell would read it otherwise, and always of one line that can be shown. */
export function shellWord(word: string): string {
  if (plain.test(word) && !word.includes('::')) return word;
  // What is not printable stands in $'…', which bash, zsh and others know.
  if (printable(word) !== word || /::|##|#\w*\[/.test(word)) return `$'${escaped(word)}'`;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The bytes of what is not plain, as $'…' has them. */
function escaped(word: string): string {
  return [...word]
    .map((c) => {
      if (/[\w ./,+=@%*?(){}~-]/.test(c)) return c;
      return [...Buffer.from(c)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
    })
    .join('');
}

/** A command line of words. */
export function shellLine(words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}
