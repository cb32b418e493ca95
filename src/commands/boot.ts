// textpoke boot: an image, or objects linked in memory, through boot and the steps after it.
import { loadDisassemblers } from '../arch/disassembler.ts';
import { ET_REL } from '../elf/constants.ts';
import { readElf } from '../elf/read.ts';
import { recheck } from '../elf/recheck.ts';
import { MismatchError } from '../errors.ts';
import { Image } from '../image/image.ts';
import { linkObjects } from '../image/link.ts';
import { bootJson, bootSummary, mismatchText, traceText } from '../output/boot.ts';
import { print, printError, warn } from '../output/console.ts';
import { executable, publish } from '../output/publish.ts';
import { type BootStep, boot } from '../pipeline.ts';
import { readBytes } from './input.ts';

export interface BootArguments {
  output?: string;
  cpus?: number;
  upFill?: 'ds' | 'nop';
  trace?: boolean;
  json?: boolean;
}

interface Loaded {
  readonly image: Image;
  /** All of the image's bytes; booting changes them. */
  readonly bytes: Uint8Array;
  readonly undefinedSymbols: readonly string[];
  /** The file whose permissions `-o` takes over. */
  readonly modeOf: string | undefined;
}

function load(files: readonly string[]): Loaded {
  const elves = files.map((file) => readElf(file, readBytes(file)));
  const [first] = elves;
  if (first && elves.length === 1 && first.header.type !== ET_REL) {
    const bytes = first.source.read(0, first.source.size);
    return { image: new Image(first), bytes, undefinedSymbols: [], modeOf: first.path };
  }
  const { bytes, undefinedSymbols } = linkObjects(elves);
  return {
    image: new Image(readElf('objects linked in memory', bytes)),
    bytes,
    undefinedSymbols,
    modeOf: undefined,
  };
}

/** Runs the command; returns the exit status. */
export async function runBoot(
  files: readonly string[],
  args: BootArguments,
  steps: readonly BootStep[],
): Promise<number> {
  const { image, undefinedSymbols, bytes, modeOf } = load(files);
  const upFill = args.upFill ?? 'ds';
  try {
    const runtime = boot(image, { cpus: args.cpus, upFill, steps });
    if (args.output !== undefined) {
      recheck(args.output, bytes);
      publish(args.output, bytes, modeOf ?? executable);
    }
    if (args.json) print(JSON.stringify(bootJson(files.join(' '), runtime, undefinedSymbols), null, 2));
    else {
      if (args.trace) print(traceText(runtime, await loadDisassemblers(image.arch)));
      print(bootSummary(runtime));
    }
    if (undefinedSymbols.length > 0) {
      warn(
        `${undefinedSymbols.length} symbols are defined by no object and trap when called: ${undefinedSymbols.join(' ')}`,
      );
    }
    if (runtime.entryCount === 0) {
      warn('no table has an entry; objects are annotated before they are linked');
    }
    for (const note of new Set(runtime.notes)) warn(note);
    return 0;
  } catch (error) {
    if (!(error instanceof MismatchError)) throw error;
    printError(error.describe());
    process.stderr.write(`${mismatchText(error, image, await loadDisassemblers(image.arch))}\n`);
    return error.exitCode;
  }
}
