// The library's annotate: the sites of an object or an archive, in tables.
import type { AnnotateOptions } from '../annotate/options.ts';
import { annotate as annotateBytes } from '../annotate/passes.ts';
import { type AnnotateDocument, annotateJson } from '../annotate/stats.ts';
import { type Input, nameOf, readInput } from '../files/input.ts';

/** An object or an archive, annotated. */
export interface AnnotateResult {
  /** The file with its tables; where nothing changed, the very bytes of the input. */
  readonly bytes: Uint8Array;
  /** False when every byte is as it was: there is nothing to write. */
  readonly changed: boolean;
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
  const given = readInput(input);
  const { bytes = given, stats } = annotateBytes(nameOf(input), given, {
    countUndecodable: true,
    ...options,
  });
  return { bytes, changed: bytes !== given, document: annotateJson(stats) };
}
