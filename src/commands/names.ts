// The names that a shell offers for a word of a command line: keys, calls and functions of the first file on it, or of a
// process.
import { existsSync, statSync } from 'node:fs';
import { keyNames } from '../library/key-names.ts';
import { imagesOfProcess } from '../library/verify-running.ts';
import { print } from '../output/console.ts';
import type { Part } from '../output/help/command-line.ts';
import { controlActions } from './ctl.ts';

export const completedNames = ['keys', 'any', 'update', 'control'] as const;
/** Keys; keys and calls; CALL=FUNCTION; what stands behind the process of `ctl`. */
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
  const names = new Set<string>();
  try {
    const all =
      what === 'control' ? controlNames(prefix, words) : namesFor(what, prefix, fileOn(words, parts));
    for await (const name of all) {
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

/**
 * Actions, and names in the files of the process whose number is on the line. The program itself is not asked: it would
 * have to answer for each key that somebody presses, and a socket does not tell whose files have the names.
 */
async function* controlNames(prefix: string, words: readonly string[]): AsyncGenerator<string> {
  const args = words.filter((word) => !word.startsWith('-')).slice(1);
  // Some shells give the word at the cursor too.
  const at = args[args.length - 1] === prefix ? args.length - 1 : args.length;
  const [process = '', action = ''] = args;
  if (at === 1) yield* controlActions;
  if (at < 2 || !/^\d+$/.test(process) || action === 'cpus') return;
  const what = action === 'update' ? 'update' : action === 'list' || action === 'get' ? 'any' : 'keys';
  for (const file of await imagesOfProcess(Number(process))) yield* namesFor(what, prefix, file);
}

async function* namesFor(
  what: CompletedNames,
  prefix: string,
  file: string | undefined,
): AsyncGenerator<string> {
  if (file === undefined) return;
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
