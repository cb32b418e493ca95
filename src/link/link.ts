// Links objects in memory, as the kernel's module loader would, so that no linker is needed to see patching at
// work. The result is an ordinary ELF executable that the rest of textpoke reads like any other.
import { archOf } from '../arch/registry.ts';
import type { ElfFile } from '../elf/file.ts';
import { inFile } from '../errors.ts';
import type { CodeLoader } from './code-loader.ts';
import { type Filled, LinkInput, type SectionPlaces } from './input.ts';
import { keepPlaces, layOut, OffsetTable, relocate } from './layout.ts';
import { writeImage } from './output.ts';
import { type ExternalSymbols, LinkSymbols } from './symbols.ts';

/** A program that was linked in memory. */
export interface Linked {
  /** An ELF executable. */
  readonly bytes: Uint8Array;
  /** Symbols that no object defines; each got a stub that traps. */
  readonly undefinedSymbols: readonly string[];
}

/** What lies around an in-memory link: where it goes, and what symbols exist already. */
export interface LinkPlace {
  /** Virtual address of the first byte, a multiple of the largest page. */
  readonly base: number;
  readonly external?: ExternalSymbols | undefined;
}

/** An object that a loader has put into memory already. */
export interface LoadedPlace {
  readonly places: SectionPlaces;
  readonly external: ExternalSymbols;
  /**
   * Whose relocations are carried out: those of all sections, of tables alone, or of those that are named. A loader makes
   * veneers that nothing in the object tells of, which the bytes of text in memory have.
   */
  readonly filled: Filled;
  /** Code of sections at A runs at A + slide, and has such addresses in its fields; tables have those of the link. */
  readonly slide?: number;
  /** What carries out relocations of code, where that is more than the machine's own way. */
  readonly loader?: CodeLoader | undefined;
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
  const input = new LinkInput(archOf((files[0] as ElfFile).header));
  const symbols = new LinkSymbols(input, external);
  for (const file of files) inFile(file.path, () => symbols.add(input.add(file)));
  const { undefinedNames, referencedCount } = symbols.resolve();
  // From here on there are no new symbols, and no section grows.
  const got = new OffsetTable(input, referencedCount);
  const { order, segments } = layOut(input, got.output, base);
  // From here on every address is final.
  relocate(input, symbols, got);
  return { bytes: writeImage(input, symbols, got, order, segments), undefinedSymbols: undefinedNames };
}

/**
 * Links one object to an image whose sections lie where a loader has put them, each in a segment of its own; sections
 * whose memory is gone keep their addresses alone. Errors as `linkObjects`.
 */
export function linkLoaded(file: ElfFile, { places, external, filled, slide, loader }: LoadedPlace): Linked {
  const input = new LinkInput(archOf(file.header), { places, filled, slide, loader });
  const symbols = new LinkSymbols(input, external);
  return inFile(file.path, () => {
    symbols.add(input.add(file));
    const { undefinedNames, referencedCount } = symbols.resolve();
    const got = new OffsetTable(input, referencedCount);
    const { order, segments } = keepPlaces(input);
    relocate(input, symbols, got);
    return { bytes: writeImage(input, symbols, got, order, segments), undefinedSymbols: undefinedNames };
  });
}
