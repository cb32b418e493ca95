// The library's verifyMemory: holds the memory of a system against the image that it runs.
import { debugPlacesOf } from '../dwarf/debug-files.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type Input, nameOf, pathOf } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import { runningKernel } from '../memory/kernel/kernel.ts';
import { findModuleFiles } from '../memory/kernel/module-files.ts';
import { locateImage } from '../memory/locate.ts';
import type { ImagePlace } from '../memory/memory.ts';
import { type OpenSnapshot, openSnapshot } from '../memory/open.ts';
import type { PhysicalRange, RawLayout } from '../memory/raw.ts';
import { type MemoryDocument, memoryJson, memoryLater, memoryNotes, memoryText } from '../output/memory.ts';
import { verifyMemory as compareMemory, type KernelBeyond, type VerifiedMemory } from '../verify/memory.ts';
import { makeReport } from '../verify/report.ts';
import { explanationOf, type Guess } from './explanation.ts';
import { withImage } from './image.ts';
import { addressOf, requireCpus } from './numbers.ts';
import { type ComparedMemory, verifyCommand } from './verify-command.ts';
import type { VerifyMemoryOptions } from './verify-options.ts';
import {
  configurationOf,
  gapsOf,
  tell,
  type Verification,
  type Verified,
  verifiedAs,
} from './verify-report.ts';

/** What verify says of memory. */
export interface VerifyMemoryResult extends Verification<MemoryDocument> {}

/**
 * Proves that every site of a linked image that is in a snapshot of memory (an ELF core, a kdump, LiME, AVML, raw bytes)
 * is what the keys in that memory demand. Errors: those of `verify`, and `memory-unsupported`, `memory-malformed`,
 * `memory-mismatch` for the snapshot.
 */
export function verifyMemory(
  input: Input,
  snapshot: Input,
  options: VerifyMemoryOptions = {},
): Promise<VerifyMemoryResult> {
  return withImage(input, options, (image, notes, relocations) =>
    verifyImageMemory({ image, input, relocations }, snapshot, options, (verified) =>
      tell(verified, options, notes),
    ),
  );
}

/** Tells what was found while the memory is open. */
export type Tell<T> = (verified: Verified<MemoryDocument>) => Promise<T>;

/** An image that is open. */
export interface OpenImage {
  readonly image: Image;
  /** What it was opened from. */
  readonly input: Input;
  /** The relocation lists behind an x86 kernel. */
  readonly relocations: Uint8Array | undefined;
}

/** The same for an image that is open. Errors as `verifyMemory`. */
export async function verifyImageMemory<T>(
  opened: OpenImage,
  snapshot: Input,
  options: VerifyMemoryOptions,
  body: Tell<T>,
): Promise<T> {
  const name = nameOf(snapshot);
  const open = () => openSnapshot(snapshot, opened.image, rawLayoutOf(options));
  return verifyOpenMemory(opened, { name, open, compared: { dump: name } }, options, body);
}

/** Memory that is compared, `times` over where it changes meanwhile. */
interface Comparable {
  readonly name: string;
  readonly open: () => OpenSnapshot;
  readonly times?: number;
  /** What the command line calls it. */
  readonly compared: ComparedMemory;
}

/** The same for memory that is opened in another way. */
export async function verifyOpenMemory<T>(
  opened: OpenImage,
  { name, open, times = 1, compared }: Comparable,
  options: VerifyMemoryOptions,
  body: Tell<T>,
): Promise<T> {
  const { image, input } = opened;
  const configuration = configurationOf(options);
  const memory = open();
  try {
    const verify = async (given: VerifyMemoryOptions, looks: number) => {
      const cpus = requireCpus(given.cpus);
      const slide = addressOf('slide', given.slide);
      const place = inFile(name, () => locateImage(image, memory, slide));
      const verified = await leastOf(looks, async () => {
        const kernel = await kernelBeyond(opened, place, name, given);
        return inFile(name, () => compareMemory(image, place, cpus, kernel));
      });
      const debug = debugPlacesOf(pathOf(input), given);
      const report = makeReport(nameOf(input), verified.image, verified.findings, { configuration, debug });
      return { verified, report };
    };
    const { verified, report: found } = await verify(options, times);
    const explanation = await explanationOf(found, options, memoryGuesses(image, memory, verified), {
      check: async (other) => (await verify(other, 1)).report,
      command: (other) => verifyCommand(input, other, compared),
    });
    const report = explanation ? { ...found, explanation } : found;
    const document = () => memoryJson(report, name, verified);
    const later = () => memoryLater(report, name, verified);
    const notes = [...gapsOf(image, nameOf(input)), ...memoryNotes(name, verified)];
    const summary = memoryText(name, verified, options.verbose);
    return await body(verifiedAs(report, { document, later, summary, notes }, options));
  } finally {
    memory.close();
  }
}

/** What may be the matter where most of a memory is wrong. */
function memoryGuesses(
  linked: Image,
  memory: OpenSnapshot,
  { image, cpus: states }: VerifiedMemory,
): readonly Guess<VerifyMemoryOptions>[] {
  return [
    {
      rules: ['TP007', 'TP008', 'TP012', 'TP029', 'TP033', 'TP034', 'TP036', 'TP037'],
      prove: ({ slide, ...options }) => {
        if (slide === undefined) return undefined;
        try {
          const own = locateImage(linked, memory, undefined);
          if (own.slide === image.place.slide) return undefined;
          return { what: `the image ran at another slide than --slide says, by ${own.slideFrom}`, options };
        } catch (error) {
          // What does not tell where the image was is no proof.
          if (error instanceof TextpokeError && error.code !== 'defect') return undefined;
          throw error;
        }
      },
    },
    {
      rules: ['TP011', 'TP017'],
      prove: ({ cpus, ...options }) =>
        cpus === undefined || states === undefined
          ? undefined
          : { what: `the memory is of a system with ${cpus === 1 ? 'several CPUs' : 'one CPU'}`, options },
    },
  ];
}

/** What is compared while it changes: what is wrong is so each time, and a site that was being patched is not. */
async function leastOf(times: number, compare: () => Promise<VerifiedMemory>): Promise<VerifiedMemory> {
  let least = await compare();
  for (let i = 1; i < times && least.findings.length > 0; i++) {
    const again = await compare();
    if (again.findings.length < least.findings.length) least = again;
  }
  return least;
}

/** Where a raw image lies, as options say it. Error `usage`. */
export function rawLayoutOf({
  base,
  physical,
}: Pick<VerifyMemoryOptions, 'base' | 'physical'>): RawLayout | undefined {
  const from = addressOf('base', base);
  if (from !== undefined) return { base: from };
  if (physical === undefined) return undefined;
  const parts = physical.map(
    ({ address, offset = 0 }): PhysicalRange => ({
      address: addressOf('physical', address) as number,
      offset,
    }),
  );
  return { physical: parts.length > 0 ? parts : [{ address: 0, offset: 0 }] };
}

/** What is known of a running kernel beyond its image. Error `memory-unsupported` where its modules cannot be known. */
async function kernelBeyond(
  { image, relocations }: OpenImage,
  place: ImagePlace,
  name: string,
  { modules, expandLimit }: VerifyMemoryOptions,
): Promise<KernelBeyond | undefined> {
  const running = inFile(name, () => runningKernel(image, place));
  // What replays text is needed for kernels alone.
  const replay = running && (await import('../text/replay.ts')).replayText;
  const text = running && replay && inFile(name, () => replay(image, running, relocations));
  if (modules === undefined) return running && { running, files: undefined, text };
  if (!running?.list) {
    const why = running ? running.why : 'the image is no kernel';
    throw new TextpokeError('memory-unsupported', `--modules: the modules cannot be found: ${why}`, {
      file: name,
    });
  }
  const { replayModules, loader } = text && 'compared' in text ? text : {};
  const files = await findModuleFiles(image, running, modules, { limit: expandLimit, loader });
  const moduleTexts = replayModules && inFile(name, () => replayModules(files));
  return { running, files, text, moduleTexts };
}
