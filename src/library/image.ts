// Opens what is verified.
import { readElfFrom } from '../elf/read.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import { Image } from '../image/image.ts';

/**
 * Opens a linked image for as long as `body` runs; of a file only what is looked at is read. Errors: `read-failed`,
 * `not-elf`, `lto-object`, `elf-truncated`, `elf-malformed`, `machine-unsupported`, `not-an-image`, those of `body`.
 */
export function withImage<T>(input: Input, body: (image: Image) => T | Promise<T>): Promise<T> {
  return withSource(input, (source) => body(new Image(readElfFrom(nameOf(input), source))));
}
