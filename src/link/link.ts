// Links objects in memory, as the kernel's module loader would, so that no linker is needed to see patching at
// work. The result is an ordinary ELF executable that the rest of textpoke reads like any other.
import type { ElfFile } from '../elf/file.ts';
import { LinkInput, type LinkPlace } from './input.ts';
import { layOut, OffsetTable, relocate } from './layout.ts';
import { writeImage } from './output.ts';

/** A program that was linked in memory. */
export interface Linked {
  /** An ELF executable. */
  readonly bytes: Uint8Array;
  /** Symbols that no object defines; each got a stub that traps. */
  readonly undefinedSymbols: readonly string[];
}

/** Where programs begin that are linked alone. */
const programBase = 0x400000;

/**
 * Links relocatable objects to one executable image, at 0x400000 unless `place` says otherwise. Errors: `link-failed`
 * (a duplicate, an unsupported relocation; beside another image also a symbol that neither defines),
 * `not-relocatable`, `machine-unsupported`.
 */
export function linkObjects(
  files: readonly ElfFile[],
  { base, external }: LinkPlace = { base: programBase },
): Linked {
  const input = new LinkInput(files, external);
  const got = new OffsetTable(input);
  const { order, segments } = layOut(input, got.output, base);
  // From here on every address is final.
  relocate(input, got);
  return { bytes: writeImage(input, got, order, segments), undefinedSymbols: input.undefinedNames };
}
