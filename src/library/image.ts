// Opens what is verified.
import { readElfFrom } from '../elf/read.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import { Image } from '../image/image.ts';
import { unpackedNotes, withoutContainers } from '../kernel/plain.ts';

/** How large what is compressed may become; undefined: 64 MiB, or 20 times its size. */
export interface ExpandOptions {
  readonly expandLimit?: number | undefined;
}

/**
 * Opens a linked image, or a kernel file, for as long as `body` runs; of an ELF file only what is looked at is read. `notes`
 * tell what was unpacked; `relocations` are the lists behind an x86 kernel. Errors: `read-failed`, `not-elf`, `lto-object`, `elf-truncated`, `elf-malformed`,
 * `elf-unsupported`, `compressed-malformed`, `compressed-too-large`, `machine-unsupported`, `not-an-image`, those of
 * `body`.
 */
export function withImage<T>(
  input: Input,
  { expandLimit }: ExpandOptions,
  body: (image: Image, notes: readonly string[], relocations: Uint8Array | undefined) => T | Promise<T>,
): Promise<T> {
  const name = nameOf(input);
  return withSource(input, async (given) => {
    const { source, form, relocations } = await withoutContainers(name, given, expandLimit);
    return body(new Image(readElfFrom(name, source)), unpackedNotes(name, form), relocations);
  });
}
