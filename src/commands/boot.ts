// textpoke boot: an image, or objects linked in memory, through boot and the steps after it.
import { dirname, resolve } from 'node:path';
import { runBoot as bootImage } from '../boot/passes.ts';
import { patchedFile } from '../boot/patched-file.ts';
import { parseScenario } from '../boot/scenario.ts';
import { listedValues, patchableStates } from '../boot/states.ts';
import type { BootStep } from '../boot/steps.ts';
import { profileNamed } from '../demand/profiles.ts';
import { ET_REL } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElf, readElfFrom } from '../elf/read.ts';
import { recheck } from '../elf/recheck.ts';
import { loadDisassemblers } from '../engines/disassembler.ts';
import { inFile, MismatchError } from '../errors.ts';
import { executable, publish } from '../files/publish.ts';
import { fileSource, plainSource } from '../files/source.ts';
import { Image } from '../image/image.ts';
import { countSites } from '../kinds/registry.ts';
import { linkObjects } from '../link/link.ts';
import { bootJson, bootSummary, mismatchText, statesJson, traceText } from '../output/boot.ts';
import { Progress, print, printError, warn } from '../output/console.ts';
import { readBytes } from './input.ts';

export interface BootArguments {
  output?: string;
  cpus?: number;
  upFill?: 'ds' | 'nop';
  profile?: string;
  module?: string[];
  scenario?: string;
  states?: boolean;
  trace?: boolean;
  json?: boolean;
}

interface Loaded {
  readonly image: Image;
  readonly undefinedSymbols: readonly string[];
  /** The file whose permissions `-o` takes over. */
  readonly modeOf: string | undefined;
}

/** Of an image only what is looked at is read: a kernel's may have hundreds of megabytes of debug information. */
function load(files: readonly string[]): Loaded {
  const [path] = files;
  if (path !== undefined && files.length === 1) {
    const file = readElfFrom(path, fileSource(path));
    if (file.header.type !== ET_REL) return { image: new Image(file), undefinedSymbols: [], modeOf: path };
  }
  const { bytes, undefinedSymbols } = linkObjects(files.map((file) => readElf(file, readBytes(file))));
  return {
    image: new Image(readElf('objects linked in memory', bytes)),
    undefinedSymbols,
    modeOf: undefined,
  };
}

/** The steps of the command line: modules first, then its own in their order, then those of the scenario. */
function stepsOf({ module = [], scenario }: BootArguments, own: readonly BootStep[]): BootStep[] {
  const loads = module.map((file): BootStep => ({ do: 'load', file }));
  const written = scenario === undefined ? [] : readScenario(scenario);
  return [...loads, ...own, ...written];
}

function readScenario(path: string): BootStep[] {
  const steps = inFile(path, () => parseScenario(Buffer.from(readBytes(path)).toString('utf8')));
  return steps.map((step) =>
    step.do === 'load' ? { ...step, file: resolve(dirname(path), step.file) } : step,
  );
}

/** Every module that a step loads, decompressed. */
async function readModules(steps: readonly BootStep[]): Promise<Map<string, ElfFile>> {
  const files = new Map<string, ElfFile>();
  for (const step of steps) {
    if (step.do !== 'load' || files.has(step.file)) continue;
    const source = await plainSource(fileSource(step.file));
    files.set(step.file, readElfFrom(step.file, source));
  }
  return files;
}

/** Runs the command; returns the exit status. */
export async function runBoot(
  files: readonly string[],
  args: BootArguments,
  own: readonly BootStep[],
): Promise<number> {
  const progress = new Progress();
  const steps = stepsOf(args, own);
  const modules = await readModules(steps);
  const { image, undefinedSymbols, modeOf } = load(files);
  try {
    const runtime = bootImage(image, {
      cpus: args.cpus,
      upFill: args.upFill,
      steps,
      profile: args.profile === undefined ? undefined : profileNamed(args.profile),
      openModule: (file) => modules.get(file) as ElfFile,
      progress: (what) => progress.show(what),
    });
    if (args.output !== undefined) {
      progress.show('writing');
      const bytes = patchedFile(image, runtime.poker.records);
      recheck(args.output, bytes);
      publish(args.output, bytes, modeOf ?? executable);
    }
    progress.clear();
    if (args.states) {
      const states = patchableStates(runtime, listedValues(runtime.program, steps));
      print(statesJson(files.join(' '), runtime.program, states));
    } else if (args.json) {
      print(JSON.stringify(bootJson(files.join(' '), runtime, undefinedSymbols), null, 2));
    } else {
      if (args.trace) print(traceText(runtime, await loadDisassemblers(image.arch)));
      print(bootSummary(runtime));
    }
    if (undefinedSymbols.length > 0) {
      warn(
        `${undefinedSymbols.length} symbols are undefined, and a call of an undefined symbol traps: ${undefinedSymbols.join(' ')}`,
      );
    }
    if (countSites(runtime.program) === 0) {
      warn('no table has an entry; annotate the objects before the link');
    }
    if (args.output !== undefined && runtime.state.modules.length > 0) {
      warn(`${args.output} contains only the image; patches in modules are not stored`);
    }
    for (const note of new Set(runtime.log.notes)) warn(note);
    for (const { step, warning, about } of runtime.log.warnings) {
      warn(`${step === undefined ? '' : `${step}: `}${about}: ${warning}`);
    }
    return 0;
  } catch (error) {
    progress.clear();
    if (!(error instanceof MismatchError)) throw error;
    printError(error.describe());
    process.stderr.write(`${mismatchText(error, image, await loadDisassemblers(image.arch))}\n`);
    return error.exitCode;
  } finally {
    progress.clear();
  }
}
