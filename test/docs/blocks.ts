// The code blocks of a document, and what each is by the first words behind its fence:
//
//     console           `$ ` lines are commands (`> ` goes on with one), the others what they print; `...` is whatever it is
//     sh                commands, which must succeed
//     c NAME, json NAME a file of that name, for the commands behind it; `c` and `json` alone are not there
//     yaml NAME         a file of that name whose script lines are commands too (workflows.ts)
//     ... run by FILE   run by that file of tests
//     ... not run: WHY  not run, because of that
import { readFileSync } from 'node:fs';

export interface Block {
  readonly language: string;
  /** What follows the language: the name of a file. */
  readonly name: string;
  readonly text: string;
  /** Line of the fence, from 1. */
  readonly line: number;
  readonly runBy: string | undefined;
  readonly notRun: string | undefined;
}

/** Every fenced block of a document. */
export function blocksOf(path: string): Block[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const [, fence, info] = /^\s*(`{3,})(.*)$/.exec(lines[i] as string) ?? [];
    if (fence === undefined || info === undefined) continue;
    const end = lines.findIndex((line, n) => n > i && line.trim() === fence);
    if (end < 0) throw new Error(`${path}:${i + 1}: a block without an end`);
    const [, language = '', rest = ''] = /^(\S*) *(.*)$/.exec(info) as RegExpExecArray;
    blocks.push({
      language,
      name: /^[\w./-]+$/.test(rest) ? rest : '',
      text: `${lines.slice(i + 1, end).join('\n')}\n`,
      line: i + 1,
      runBy: /^run by (\S+)$/.exec(rest)?.[1],
      notRun: /^not run: (.+)$/.exec(rest)?.[1],
    });
    i = end;
  }
  return blocks;
}

/** A command of a console block and the lines that it is to print. */
export interface Command {
  readonly text: string;
  readonly line: number;
  readonly output: readonly string[];
}

export function commandsOf({ text, line }: Block): Command[] {
  const commands: { text: string; line: number; output: string[] }[] = [];
  for (const [i, one] of text.trimEnd().split('\n').entries()) {
    const last = commands.at(-1);
    if (one.startsWith('$ ')) commands.push({ text: one.slice(2), line: line + 1 + i, output: [] });
    else if (!last) throw new Error(`line ${line + 1 + i}: output in front of the first command`);
    else if (one.startsWith('> ') && last.output.length === 0) last.text += `\n${one.slice(2)}`;
    else last.output.push(one);
  }
  return commands;
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Whether lines are what was said: `...` on a line of its own is any lines, inside of one any text. */
export function isSaid(expected: readonly string[], actual: readonly string[]): boolean {
  const [first, ...rest] = expected;
  if (first === undefined) return actual.length === 0;
  if (first.trim() === '...') {
    for (let i = 0; i <= actual.length; i++) if (isSaid(rest, actual.slice(i))) return true;
    return false;
  }
  if (actual.length === 0) return false;
  const pattern = new RegExp(`^${first.trimEnd().split('...').map(escaped).join('.*')}$`);
  return pattern.test((actual[0] as string).trimEnd()) && isSaid(rest, actual.slice(1));
}
