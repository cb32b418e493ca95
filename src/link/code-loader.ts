// What a kernel's module loader does with code beyond the relocations that a file lists: the order in which it carries them
// out, and code of its own that leads where branches do not reach.
import type { LinkRelocation } from '../arch/arch.ts';
import type { ElfFile, Section } from '../elf/file.ts';

/** The loader of one file; it keeps what it has made so far. */
export interface CodeLoader {
  /** Bytes of a section whose size the loader decides, and which begins as zeros; undefined for all others. */
  sizeOf(section: Section): number | undefined;
  /** A section whose size it decides: where it runs, and its bytes. Called for each before the first relocation. */
  place(section: Section, address: number, bytes: Uint8Array): void;
  /** The numbers of a table's relocations in the order in which they are carried out. */
  order(table: Section): Uint32Array;
  /** Carries out one of code; returns why not, when it cannot. */
  apply(relocation: LinkRelocation): string | undefined;
}

/** Makes the loader of a file. */
export type CodeLoaderOf = (file: ElfFile) => CodeLoader;
