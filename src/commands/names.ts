// The names that a shell offers for a word of a command line: keys, calls and functions of the first file on it.
import { existsSync, statSync } from 'node:fs';
import { keyNames } from '../library/key-names.ts';
import { print } from '../output/console.ts';
import type { Part } from '../output/help/command-line.ts';

export const completedNames = ['keys', 'any', 'update'] as const;
/** Keys; keys and calls; CALL=FUNCTION. */
export type CompletedNames = (typeof completedNames)[number];

/** A list of more names helps nobody. */
const mostNames = 2000;

/** What no shell reads as anything but itself. Other names are not offered. */
const safe = /^[\w.+@:=-]+$/;

/**
 * Prints the names that begin with `prefix`, one a line. `words` are those of the command line behind the program's name.
 * Whatever goes wrong, there is nothing to offer: nobody reads errors while he types.
 */
export async function runNames(
  what: CompletedNames,
  prefix: string,
  words: readonly string[],
  parts: readonly Part[],
): Promise<number> {
  const file = fileOn(words, parts);
  if (file === undefined) return 0;
  const names = new Set<string>();
  try {
    for await (const name of namesFor(what, prefix, file)) {
      if (!name.startsWith(prefix) || !safe.test(name)) continue;
      names.add(name);
      if (names.size >= mostNames) break;
    }
  } catch {
    return 0;
  }
  if (names.size > 0) print(`${[...names].sort().join('\n')}\n`);
  return 0;
}

async function* namesFor(what: CompletedNames, prefix: string, file: string): AsyncGenerator<string> {
  const [, call, start] = /^([^=]*)=(.*)$/.exec(prefix) ?? [];
  if (what === 'update' && start !== undefined) {
    const { functions } = await keyNames(file, {}, start);
    for (const name of ['NULL', 'RET0', ...functions]) yield `${call}=${name}`;
    return;
  }
  const { keys, calls } = await keyNames(file);
  if (what !== 'update') yield* keys;
  if (what === 'any') yield* calls;
  if (what === 'update') for (const name of calls) yield `${name}=`;
}

/** The first word that is a regular file and no value of an option. */
function fileOn(words: readonly string[], parts: readonly Part[]): string | undefined {
  const at = words.findIndex((word) => !word.startsWith('-'));
  const options = parts.find(({ name }) => name === words[at])?.options ?? [];
  const taking = new Set(
    options.filter(({ value }) => value !== undefined).flatMap(({ short, long }) => [short, long]),
  );
  for (let i = at + 1; at >= 0 && i < words.length; i++) {
    const word = words[i] as string;
    if (taking.has(word)) i++;
    else if (!word.startsWith('-') && existsSync(word) && statSync(word).isFile()) return word;
  }
  return undefined;
}
