// Response files: `@file` on a command line stands for the words that the file holds, as gcc, clang and binutils have
// it (libiberty, argv.c). Lists of files: a line each, or each ended by NUL.
import { readFileSync } from 'node:fs';
import { TextpokeError } from '../errors.ts';
import { reasonOf } from './source.ts';

/** The words of a response file: white space parts them, quotes and backslashes keep it. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '\\' && quote !== "'") {
      word = (word ?? '') + (text[++i] ?? '');
    } else if (quote !== '') {
      if (c === quote) quote = '';
      else word = (word ?? '') + c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= '';
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + c;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** One that names itself would never end. */
const deepest = 32;

/** Words with each `@file` replaced by what it holds; one that cannot be read stays, as gcc leaves it. */
export function expandWords(words: readonly string[], depth = 0): string[] {
  return words.flatMap((word) => {
    if (!word.startsWith('@') || depth === deepest) return [word];
    let text: string;
    try {
      text = readFileSync(word.slice(1), 'utf8');
    } catch {
      return [word];
    }
    return expandWords(splitWords(text), depth + 1);
  });
}

/** Names in a list of files, `-` for standard input; error `read-failed`. */
export function readList(path: string): string[] {
  try {
    const text = readFileSync(path === '-' ? 0 : path, 'utf8');
    return text.split(text.includes('\0') ? '\0' : /\r?\n/).filter((name) => name !== '');
  } catch (error) {
    const file = path === '-' ? 'standard input' : path;
    throw new TextpokeError('read-failed', `cannot read the list: ${reasonOf(error)}`, { file });
  }
}
