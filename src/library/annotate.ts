// The library's annotate: the sites of an object or an archive, in tables.
import type { AnnotateOptions } from '../annotate/options.ts';
import { annotate as annotateBytes } from '../annotate/passes.ts';
import { type AnnotateDocument, annotateJson } from '../annotate/stats.ts';
import { type Input, nameOf, readInput } from '../files/input.ts';

/** An object or an archive, annotated. */
export interface AnnotateResult {
  /** The new file, or undefined when every byte would stay as it is. */
  readonly bytes: Uint8Array | undefined;
  /** What `textpoke annotate --json` prints. */
  readonly document: AnnotateDocument;
}

/**
 * Finds the sites of an object, or of each member of an archive, and writes the tables that list them. Members that
 * are no ELF objects stay as they are. The result was read again by two readers, as the command line does it. Errors:
 * `read-failed`, `not-elf`, `lto-object`, `elf-truncated`, `elf-malformed`, `elf-unsupported`, `machine-unsupported`,
 * `not-relocatable`, `archive-malformed`, `archive-thin`, `table-malformed`, `site-unpatchable`, `site-mismatch`,
 * `key-unaligned`, `field-range`.
 */
export function annotate(input: Input, options: AnnotateOptions = {}): AnnotateResult {
  const { bytes, stats } = annotateBytes(nameOf(input), readInput(input), options);
  return { bytes, document: annotateJson(stats) };
}
