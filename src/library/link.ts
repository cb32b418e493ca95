// The library's link: a program of objects, linked in memory.
import { readElf } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import { type Input, nameOf, readInput } from '../files/input.ts';
import { type Linked, linkObjects } from '../link/link.ts';

/**
 * Links relocatable objects to an executable at 0x400000, as `textpoke boot` does with objects; it is made for
 * patching and looking at, and no system starts it. Errors: `read-failed`, `not-elf`, `lto-object`, `elf-truncated`,
 * `elf-malformed`, `machine-unsupported`, `not-relocatable`, `link-failed`; `usage` without an object.
 */
export function link(inputs: readonly Input[]): Linked {
  if (inputs.length === 0) throw new TextpokeError('usage', 'there is nothing to link');
  return linkObjects(inputs.map((input) => readElf(nameOf(input), readInput(input))));
}
