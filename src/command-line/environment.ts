// Options that the environment gives as well: `--smp-barriers` is TEXTPOKE_SMP_BARRIERS=1. A build that hands on no
// options (CCACHE_PREFIX, a launcher of one word) hands on its environment.
import type { Command, Option } from 'commander';
import { TextpokeError } from '../errors.ts';

/** The variable of an option: its long name. */
export function variableOf({ long }: Option): string {
  return `TEXTPOKE_${(long ?? '').replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`;
}

/** What a variable says of a switch. Error `usage` for anything but 1, 0 and nothing. */
function switchOf(name: string, text: string): boolean {
  if (text === '1') return true;
  if (text === '0' || text === '') return false;
  throw new TextpokeError('usage', `${name}=${JSON.stringify(text)}: 1 or 0 is required`);
}

function choiceOf(name: string, text: string, choices: readonly string[]): string | undefined {
  if (text === '' || choices.includes(text)) return text || undefined;
  throw new TextpokeError(
    'usage',
    `${name}=${JSON.stringify(text)}: one of ${choices.join(', ')} is required`,
  );
}

/** The options of a command line, with those of the environment that it does not name. */
export function withEnvironment<Given extends object>(command: Command, given: Given): Given {
  const found: Record<string, unknown> = {};
  for (const option of command.options) {
    const name = variableOf(option);
    const text = process.env[name];
    if (text === undefined || option.attributeName() in given) continue;
    const value = option.isBoolean() ? switchOf(name, text) : choiceOf(name, text, option.argChoices ?? []);
    if (value !== undefined && value !== false) found[option.attributeName()] = value;
  }
  return { ...given, ...found };
}
