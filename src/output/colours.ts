// Colours for text that people read on a terminal.
import { Chalk, type ChalkInstance } from 'chalk';

/** Colours, or what leaves text as it is. */
export function coloursOf(color: boolean | undefined): ChalkInstance {
  return new Chalk({ level: color ? 1 : 0 });
}
