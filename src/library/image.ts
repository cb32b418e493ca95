// Opens what is verified.
import type { ElfFile } from '../elf/file.ts';
import { readElfFrom } from '../elf/read.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import { isKernelModule } from '../image/exports.ts';
import { Image } from '../image/image.ts';
import { unpackedNotes, withoutContainers } from '../kernel/plain.ts';

/** How large what is compressed may become; undefined: 64 MiB, or 20 times its size. */
export interface ExpandOptions {
  readonly expandLimit?: number | undefined;
}

/**
 * Opens a linked image, or a kernel file, for as long as `body` runs; of an ELF file only what is looked at is read. `notes`
 * tell what was unpacked; `ofModule` gets the file of a kernel module instead; `relocations` are the lists behind an x86 kernel. Errors: `read-failed`, `not-elf`, `lto-object`, `elf-truncated`, `elf-malformed`,
 * `elf-unsupported`, `compressed-malformed`, `compressed-too-large`, `machine-unsupported`, `not-an-image`, those of
 * `body`.
 */
export function withImage<T>(
  input: Input,
  { expandLimit }: ExpandOptions,
  body: (image: Image, notes: readonly string[], relocations: Uint8Array | undefined) => T | Promise<T>,
  ofModule?: (file: ElfFile) => T | Promise<T>,
): Promise<T> {
  const name = nameOf(input);
  return withSource(input, async (given) => {
    const { source, form, relocations } = await withoutContainers(name, given, expandLimit);
    const file = readElfFrom(name, source);
    if (ofModule && isKernelModule(file)) return ofModule(file);
    return body(new Image(file), unpackedNotes(name, form), relocations);
  });
}
