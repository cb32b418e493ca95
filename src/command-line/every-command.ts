// Options that every command takes, and whether what it is asked for may last.
import { statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { isOpenStream } from '../files/stream.ts';
import { type ColourChoice, colourChoices } from '../output/console.ts';

/** What the options of every command say. */
export interface Manners {
  readonly color?: ColourChoice;
  readonly quiet?: boolean;
  readonly demangle?: boolean;
}

/** The options, made anew for each command; its own help leaves them out. */
export function mannersOptions(): Option[] {
  return [
    new Option('--color <when>', 'colours: auto (on a terminal), always or never').choices(colourChoices),
    new Option('--no-demangle', 'C++ and Rust names as the linker has them'),
    new Option('--quiet', 'no notes and no progress; errors and results alone'),
  ].map((option) => option.hideHelp());
}

/** Inputs of fewer bytes take no second. */
const long = 1 << 20;

/** Bytes of the file that a word names, if it names one. Nobody knows how much a stream brings, and when. */
function sizeOf(word: string): number {
  return isOpenStream(word)
    ? Number.POSITIVE_INFINITY
    : (statSync(word, { throwIfNoEntry: false })?.size ?? 0);
}

/** Whether a command may last: what it names is large, or much, or the memory of this machine. A compiler has a word of its own. */
export function mayLast(command: Command): boolean {
  if (command.name() === 'cc') return false;
  const options = command.opts<Readonly<Record<string, unknown>>>();
  const words = [...command.args, ...Object.values(options).flat()].filter(
    (word) => typeof word === 'string',
  );
  if (words.length > 100 || options.running === true || options.pid !== undefined) return true;
  return words.reduce((sum, word) => sum + sizeOf(word), 0) >= long;
}
