// textpoke boot: an image, or objects linked in memory, through boot and the steps after it.
import { dirname, resolve } from 'node:path';
import type { Runtime } from '../boot/runtime.ts';
import { parseScenario } from '../boot/scenario.ts';
import type { BootStep } from '../boot/steps.ts';
import type { PokeRecord } from '../boot/text-poke.ts';
import { type DebugPlaces, debugPlacesOf } from '../dwarf/debug-files.ts';
import { disassemblersIfInstalled } from '../engines/disassembler.ts';
import { inFile, MismatchError, TextpokeError } from '../errors.ts';
import { requireOtherFile } from '../files/identity.ts';
import { readText } from '../files/input.ts';
import { executable, publish } from '../files/publish.ts';
import { standardStream } from '../files/stream.ts';
import {
  allSteps,
  type BootOptions,
  bootProgram,
  fileAfter,
  namesOf,
  planOf,
  statesAfter,
} from '../library/boot.ts';
import { type LoadedProgram, withProgram } from '../library/program.ts';
import { bootSummary, mismatchLines, type Trace, traceText } from '../output/boot.ts';
import { bootJson, bootNotes, statesText } from '../output/boot-document.ts';
import { writesOf } from '../output/boot-keys.ts';
import { print, printError, printPieces, sayProgress, warn } from '../output/console.ts';
import { documentLines, documentText } from '../output/pieces.ts';

export const bootFormats = ['text', 'json', 'jsonl'] as const;

export interface BootArguments
  extends Pick<
    BootOptions,
    'cpus' | 'upFill' | 'profile' | 'raw' | 'states' | 'expandLimit' | 'cpu' | 'commandLine' | 'slide'
  > {
  cpuFeatures?: string;
  output?: string;
  module?: string[];
  scenario?: string;
  debugDir?: string[];
  trace?: boolean;
  key?: string;
  format?: (typeof bootFormats)[number];
}

const isDocument = ({ format = 'text' }: BootArguments) => format !== 'text';

/** The steps of the command line: modules first, then its own in their order, then those of the scenario. */
function stepsOf({ module = [], scenario }: BootArguments, own: readonly BootStep[]): BootStep[] {
  const written = scenario === undefined ? [] : readScenario(scenario);
  return allSteps({ modules: module, steps: [...own, ...written] });
}

/** The steps of a scenario's file, whose modules lie where their paths lead from there. */
function readScenario(path: string): BootStep[] {
  const steps = inFile(path, () => parseScenario(readText(path)));
  return steps.map((step) =>
    step.do === 'load' && typeof step.file === 'string'
      ? { ...step, file: resolve(dirname(path), step.file) }
      : step,
  );
}

/** Every file that a command line has read. */
function inputsOf(
  files: readonly string[],
  { scenario, cpuFeatures }: BootArguments,
  steps: readonly BootStep[],
): string[] {
  const modules = steps.flatMap((step) =>
    step.do === 'load' && typeof step.file === 'string' ? [step.file] : [],
  );
  const read = [scenario, cpuFeatures].filter((file) => file !== undefined);
  return [...files, ...modules, ...read];
}

/** Runs the command; returns the exit status. */
export async function runBoot(
  files: readonly string[],
  args: BootArguments,
  own: readonly BootStep[],
): Promise<number> {
  const steps = stepsOf(args, own);
  if (args.key !== undefined && !args.trace)
    throw new TextpokeError('usage', '--key says which writes --trace shows');
  if (args.output !== undefined && args.slide !== undefined && args.slide !== 0) {
    const message = '-o writes a kernel as it is linked; without --slide, that is';
    throw new TextpokeError('usage', message);
  }
  if (args.output !== undefined) requireOtherFile('-o', args.output, inputsOf(files, args, steps));
  if (args.output === standardStream && (isDocument(args) || args.states || args.trace))
    throw new TextpokeError(
      'usage',
      '-o - leaves no room on standard output for --json, --states or --trace',
    );
  return withProgram(files, { steps, expandLimit: args.expandLimit }, (program) =>
    runProgram(program, files, args, steps),
  );
}

async function runProgram(
  program: LoadedProgram,
  files: readonly string[],
  args: BootArguments,
  steps: readonly BootStep[],
): Promise<number> {
  const { image, undefinedSymbols } = program;
  if (args.output !== undefined && program.loads.length > 0)
    throw new TextpokeError('usage', '-o writes an image; what boot patches in modules is in no file');
  const notes: string[] = [];
  try {
    const plan = await planOf(program, args);
    const runtime = bootProgram(program, args, steps, plan, sayProgress);
    for (const note of plan?.notes ?? []) notes.push(note);
    const isAsked = args.key === undefined ? undefined : writesOf(runtime, args.key);
    if (args.output !== undefined) {
      sayProgress('writing');
      const content = fileAfter(runtime, args.output);
      const modeOf = program.isFile ? (files[0] as string) : executable;
      for (const note of await publish(args.output, content, modeOf)) notes.push(`${args.output}: ${note}`);
      if (program.form !== undefined) {
        notes.push(`${args.output}: the kernel as an ELF file (vmlinux), which does not boot by itself`);
      }
    }
    const names = namesOf(files);
    const isLines = args.format === 'jsonl';
    if (args.states) {
      const document = statesAfter(runtime, names, steps);
      await printPieces(isLines ? documentLines(document, ['places']) : statesText(document), 0);
    } else if (isDocument(args)) {
      const document = bootJson(names, runtime, undefinedSymbols, debugOf(program, files, args));
      await printPieces(isLines ? documentLines(document, ['writes']) : documentText(document), 0);
    } else {
      if (args.trace) {
        if (isAsked && !runtime.poker.records.some(isAsked))
          notes.push(`nothing was written for ${args.key}`);
        const { linesProblem } = await printTrace(runtime, debugOf(program, files, args), isAsked);
        if (linesProblem !== undefined) notes.push(`${names}: ${linesProblem}`);
      }
      if (args.output !== standardStream) print(bootSummary(runtime));
    }
    for (const note of [...program.notes, ...bootNotes(runtime, undefinedSymbols, args.output), ...notes])
      warn(note);
    return 0;
  } catch (error) {
    if (!(error instanceof MismatchError)) throw error;
    printError(error.describe(), mismatchLines(error, image, await disassemblersIfInstalled(image.arch)));
    return error.exitCode;
  }
}

/** Where lines are looked for: objects that were linked in memory have theirs in no file. */
function debugOf(
  { isFile }: LoadedProgram,
  files: readonly string[],
  { debugDir }: BootArguments,
): DebugPlaces {
  return debugPlacesOf(isFile ? files[0] : undefined, { debugDirectories: debugDir });
}

async function printTrace(
  runtime: Runtime,
  debug: DebugPlaces,
  isAsked: ((record: PokeRecord) => boolean) | undefined,
): Promise<Pick<Trace, 'linesProblem'>> {
  const disassemblers = await disassemblersIfInstalled(runtime.image.arch);
  const trace = traceText(runtime, disassemblers, debug, isAsked);
  if (trace.text !== '') print(trace.text);
  if (!disassemblers) warn('the package capstone-wasm is not installed, so the trace shows bytes alone');
  return trace;
}
