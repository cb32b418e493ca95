// The library's boot: a program through boot and the steps after it.
import { replayBoot } from '../boot/passes.ts';
import { patchedFile } from '../boot/patched-file.ts';
import type { Runtime } from '../boot/runtime.ts';
import { listedValues, patchableStates } from '../boot/states.ts';
import type { BootStep } from '../boot/steps.ts';
import type { UpFill } from '../demand/patch.ts';
import { profileNamed } from '../demand/profiles.ts';
import { recheckSource } from '../elf/recheck.ts';
import { type Input, nameOf } from '../files/input.ts';
import type { ByteSource } from '../files/source.ts';
import {
  type BootDocument,
  bootJson,
  bootNotes,
  type StatesDocument,
  statesJson,
} from '../output/boot-document.ts';
import type { CpuOptions, CpuPlan } from './cpu-plan.ts';
import { requireCpus } from './numbers.ts';
import { type LoadedProgram, withProgram } from './program.ts';

/** How a program is booted, and what happens to it then. */
export interface BootOptions extends CpuOptions {
  /** Number of CPUs; 1 drops locks and barriers, undefined leaves them as they are. */
  readonly cpus?: number | undefined;
  /** What takes the place of a dropped lock; `ds` unless given. */
  readonly upFill?: UpFill | undefined;
  /** Whose rules: one of `profileNames`; undefined: those that the image asks for. */
  readonly profile?: string | undefined;
  /** Kernel modules that are loaded after boot, compressed or not. */
  readonly modules?: readonly Input[] | undefined;
  /** Bytes that a compressed kernel or module may expand to; undefined: 64 MiB, or 20 times its size if that is more. */
  readonly expandLimit?: number | undefined;
  /** What happens after boot and modules, in order; `parseScenario` reads steps from JSON. */
  readonly steps?: readonly BootStep[] | undefined;
  /**
   * Keys get pointers to their entries as well, as they have them in the memory of a kernel that runs where it is
   * linked; false unless given.
   */
  readonly raw?: boolean | undefined;
  /** Makes the allow-list of states; false unless given. */
  readonly states?: boolean | undefined;
}

/** A program after boot and its steps. */
export interface BootResult {
  /**
   * The image as it stands in memory, which is what `-o` writes; what was patched in modules is in no file. Of a kernel file
   * it is the ELF file (vmlinux) that was unpacked.
   */
  readonly bytes: Uint8Array;
  /** What `textpoke boot --json` prints: every write, and more. */
  readonly document: BootDocument;
  /** What `textpoke boot --states` prints: every byte string that may stand at each place; undefined unless asked for. */
  readonly states?: StatesDocument;
  /** What a person has to know though nothing was refused, as the command line prints it on standard error. */
  readonly notes: readonly string[];
}

/**
 * Replays boot-time patching over a linked image, or over relocatable objects that are linked in memory. Errors:
 * `site-mismatch` (a `MismatchError`), `kernel-bug`, `table-malformed`, `key-unaligned`, `branch-range`,
 * `store-refused`, `step-refused`, `expectation-failed`, `unknown-key`, `ambiguous-name`; `read-failed`, those of
 * reading ELF and of `link`, `compressed-malformed`, `not-an-image`; `usage` for an option that makes no sense.
 */
export function boot(input: Input | readonly Input[], options: BootOptions = {}): Promise<BootResult> {
  const inputs = typeof input === 'string' || 'bytes' in input ? [input] : input;
  const steps = allSteps(options);
  return withProgram(inputs, { steps, expandLimit: options.expandLimit }, async (program) => {
    const plan = await planOf(program, options);
    const runtime = bootProgram(program, options, steps, plan);
    const { undefinedSymbols } = program;
    const file = namesOf(inputs);
    const patched = fileAfter(runtime, file);
    return {
      bytes: patched.read(0, patched.size),
      document: bootJson(file, runtime, undefinedSymbols),
      ...(options.states && { states: statesAfter(runtime, file, steps) }),
      notes: [...program.notes, ...(plan?.notes ?? []), ...bootNotes(runtime, undefinedSymbols)],
    };
  });
}

/** What documents call the inputs together. */
export function namesOf(inputs: readonly Input[]): string {
  return inputs.map(nameOf).join(' ');
}

/** Modules are loaded first. */
export function allSteps({ modules = [], steps = [] }: BootOptions): BootStep[] {
  return [...modules.map((file): BootStep => ({ do: 'load', file })), ...steps];
}

/**
 * What follows from a processor that is given; undefined where none is. What it needs is loaded then. Errors as `cpuPlan`;
 * `bytes` are no image that could run where the kernel is moved.
 */
export async function planOf(
  { image, relocations }: LoadedProgram,
  options: CpuOptions,
): Promise<CpuPlan | undefined> {
  const isAsked = [options.cpuFeatures, options.cpu, options.commandLine, options.slide].some(
    (option) => option !== undefined,
  );
  if (!isAsked) return undefined;
  const { cpuPlan } = await import('./cpu-plan.ts');
  return cpuPlan(image, relocations, options);
}

/** Boots a program that is loaded, and carries out its steps; `progress` is told of each. Errors as `boot`. */
export function bootProgram(
  { image, openModule, loads }: LoadedProgram,
  { cpus, upFill, profile, raw }: BootOptions,
  steps: readonly BootStep[],
  plan?: CpuPlan,
  progress?: (what: string) => void,
): Runtime {
  return replayBoot(image, {
    cpus: requireCpus(cpus) ?? plan?.cpus,
    phasesOf: plan?.phasesOf,
    upFill,
    raw,
    steps: [...loads, ...(plan?.steps ?? []), ...steps],
    profile: profile === undefined ? undefined : profileNamed(profile),
    openModule,
    progress,
  });
}

/**
 * The image's file as it stands in memory, which another reader has read again; `file` names it. It is read while the
 * program is open. Error `defect`.
 */
export function fileAfter({ image, poker }: Runtime, file: string): ByteSource {
  const patched = patchedFile(image, poker.records);
  recheckSource(file, patched);
  return patched;
}

/** The allow-list after the steps; `file` names the program. Errors of the names that steps give. */
export function statesAfter(runtime: Runtime, file: string, steps: readonly BootStep[]): StatesDocument {
  const { program } = runtime;
  return statesJson(file, program, patchableStates(runtime, listedValues(program, steps)));
}
