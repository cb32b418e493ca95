// Response files: `@file` on a command line stands for the words that the file holds, as gcc, clang and binutils have
// it (libiberty, argv.c). Lists of files: a line each, or each ended by NUL.
import { TextpokeError } from '../errors.ts';
import { readText } from './input.ts';

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

/** As many as libiberty expands for gcc and binutils. */
const mostFiles = 2000;
/** Bytes of all response files of a command line, however often each of them is named; and of a list of files. */
const largestList = 64 << 20;

/**
 * Words with each `@file` replaced by what it holds; one that cannot be read stays, as gcc leaves it. Error `usage` for
 * more files or bytes than there can be.
 */
export function expandWords(words: readonly string[]): string[] {
  const expanded: string[] = [];
  const pending: { readonly word?: string; readonly words: Iterator<string> }[] = [{ words: words.values() }];
  let files = 0;
  let bytes = 0;
  while (pending.length > 0) {
    const { done, value: word } = (pending.at(-1) as (typeof pending)[number]).words.next();
    if (done) {
      pending.pop();
      continue;
    }
    const text = word.startsWith('@') ? readIfThere(word.slice(1)) : undefined;
    if (text === undefined) {
      expanded.push(word);
      continue;
    }
    if (pending.some((open) => open.word === word))
      throw new TextpokeError('usage', `${word}: the response file names itself, directly or through others`);
    bytes += text.length;
    if (++files > mostFiles || bytes > largestList) {
      const limit = files > mostFiles ? `${mostFiles} response files` : `${largestList} bytes`;
      throw new TextpokeError(
        'usage',
        `${word}: more than ${limit} to expand; a file may be named very often`,
      );
    }
    pending.push({ word, words: splitWords(text).values() });
  }
  return expanded;
}

function readIfThere(path: string): string | undefined {
  try {
    return readText(path, largestList);
  } catch (error) {
    if (error instanceof TextpokeError) return undefined;
    throw error;
  }
}

/** Names in a list of files, `-` for standard input; error `read-failed`. */
export function readList(path: string): string[] {
  const text = readText(path === '-' ? '/dev/stdin' : path, largestList);
  return text.split(text.includes('\0') ? '\0' : /\r?\n/).filter((name) => name !== '');
}
