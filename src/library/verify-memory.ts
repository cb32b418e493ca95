// The library's verifyMemory: holds the memory of a system against the image that it runs.
import { inFile } from '../errors.ts';
import { type Input, nameOf } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import { locateImage } from '../memory/locate.ts';
import { openSnapshot } from '../memory/open.ts';
import { type MemoryDocument, memoryJson, memoryNotes, memoryText } from '../output/memory.ts';
import { verifyMemory as compareMemory } from '../verify/memory.ts';
import { makeReport } from '../verify/report.ts';
import { withImage } from './image.ts';
import { addressOf, requireCpus } from './numbers.ts';
import { configurationOf, type ReportOptions, tellReport, type Verification } from './verify-report.ts';

/** What is known of the system, and how the result is told. */
export interface VerifyMemoryOptions extends ReportOptions {
  /** Virtual address of the first byte of a raw snapshot; undefined: the snapshot is a core or a kdump. */
  readonly base?: number | bigint | undefined;
  /** How far the system moved the image, in bytes; undefined: the snapshot tells. */
  readonly slide?: number | bigint | undefined;
}

/** What verify says of memory. */
export interface VerifyMemoryResult extends Verification<MemoryDocument> {}

/**
 * Proves that every site of a linked image that is in a snapshot of memory (an ELF core, a kdump, raw bytes) is what
 * the keys in that memory demand. Errors: those of `verify`, and `memory-unsupported`, `memory-malformed`,
 * `memory-mismatch` for the snapshot.
 */
export function verifyMemory(
  input: Input,
  snapshot: Input,
  options: VerifyMemoryOptions = {},
): Promise<VerifyMemoryResult> {
  return withImage(input, (image) => verifyImageMemory(image, nameOf(input), snapshot, options));
}

/** The same for an image that is open; `file` is its name. Errors as `verifyMemory`. */
export async function verifyImageMemory(
  image: Image,
  file: string,
  snapshot: Input,
  options: VerifyMemoryOptions,
): Promise<VerifyMemoryResult> {
  const cpus = requireCpus(options.cpus);
  const configuration = configurationOf(options);
  const name = nameOf(snapshot);
  const memory = openSnapshot(snapshot, image, addressOf('base', options.base));
  try {
    const verified = inFile(name, () =>
      compareMemory(image, locateImage(image, memory, addressOf('slide', options.slide)), cpus),
    );
    const report = makeReport(file, verified.image, verified.findings, { configuration });
    const document = memoryJson(report, name, verified);
    const told = await tellReport(report, { document, summary: memoryText(name, verified) }, options);
    return { ...told, notes: [...told.notes, ...memoryNotes(name, verified)] };
  } finally {
    memory.close();
  }
}
