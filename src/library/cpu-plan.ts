// The processor that a kernel is booted for: a state from a dump, a machine's /proc/cpuinfo, or a model.
import { type CpuSource, phasesForCpu } from '../boot/for-cpu.ts';
import type { BootPhase } from '../boot/passes.ts';
import type { Runtime } from '../boot/runtime.ts';
import type { BootStep } from '../boot/steps.ts';
import { parseAddress } from '../bytes/integer.ts';
import { EM_X86_64 } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import { type Input, nameOf, readText } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import { kernelBanner } from '../image/kernel.ts';
import { relocationListsFor } from '../kernel/relocation-sections.ts';
import { btfOf } from '../memory/kernel/kernel.ts';
import { mitigationOptions } from '../text/x86-64/cpu/command-line.ts';
import { isCpuinfo, readCpuinfo } from '../text/x86-64/cpu/cpuinfo.ts';
import { parseCpuDocument } from '../text/x86-64/cpu/document.ts';
import { givenFromCpu, namesOfImage } from '../text/x86-64/cpu/given-cpu.ts';
import { cpuNamed } from '../text/x86-64/cpu/models.ts';
import type { GivenX86 } from '../text/x86-64/given.ts';
import { addressOf } from './numbers.ts';

/** What is known of the processor; one of the first two. */
export interface CpuOptions {
  /** A document of `dump --cpu-features`, or /proc/cpuinfo of a machine. */
  readonly cpuFeatures?: Input | undefined;
  /** A model, with changes behind commas: `skylake-server,tcg`. */
  readonly cpu?: string | undefined;
  /** The command line of the kernel, of which mitigations are followed. */
  readonly commandLine?: string | undefined;
  /** How far the loader moves the kernel (KASLR), in bytes; 0 unless given. */
  readonly slide?: number | bigint | undefined;
}

/** What a boot takes from it. */
export interface CpuPlan {
  readonly phasesOf: (runtime: Runtime) => readonly BootPhase[];
  /** Keys and calls as the dump has them; they come in front of all other steps. */
  readonly steps: readonly BootStep[];
  /** As the dump has it; undefined where nothing says. */
  readonly cpus: number | undefined;
  readonly notes: readonly string[];
}

/** The state of a processor, and what goes with it. */
interface Known {
  readonly given: GivenX86;
  readonly steps: readonly BootStep[];
  readonly notes: readonly string[];
}

/** Errors: `usage`, `read-failed`, `config-malformed`, `memory-unsupported`, `elf-malformed`. */
export function cpuPlan(image: Image, relocations: Uint8Array | undefined, options: CpuOptions): CpuPlan {
  const refuse = (message: string): never => {
    throw new TextpokeError('usage', message, { file: image.file.path });
  };
  if (image.file.header.machine !== EM_X86_64 || kernelBanner(image) === undefined)
    refuse('a processor can be given for a kernel of x86-64 alone');
  const { cpuFeatures, cpu } = options;
  if ((cpuFeatures === undefined) === (cpu === undefined))
    refuse('either --cpu or --cpu-features is required for the phases that follow from the processor');
  const slide = addressOf('slide', options.slide) ?? 0;
  const lists = relocationListsFor(image.file, relocations);
  if (slide !== 0 && !lists)
    refuse('the file does not have the places that the loader changes; the vmlinuz has them');
  if (slide % 4096 !== 0) refuse(`the slide ${slide} is no multiple of a page`);
  const { given, steps, notes } =
    cpuFeatures === undefined
      ? fromModel(image, cpu as string, options)
      : fromFile(image, cpuFeatures, options, slide);
  const source: CpuSource = { given, slide, relocations: lists };
  const one = given.variables.get('uniproc_patched')?.[0];
  return {
    phasesOf: (runtime) => phasesForCpu(runtime, source),
    steps,
    cpus: one === undefined ? undefined : one === 1 ? 1 : 2,
    notes,
  };
}

const noVariables =
  'values that start-up computes are not known without a dump: operations of a hypervisor are taken for the file’s, keys and calls too';

function fromModel(image: Image, cpu: string, { commandLine = '' }: CpuOptions): Known {
  const names = namesOfImage(image);
  const facts = cpuNamed(cpu, names.names.flags);
  const given = givenFromCpu(image, btfOf(image), names, facts, mitigationOptions(commandLine));
  return { given, steps: [], notes: [noVariables] };
}

function fromFile(image: Image, input: Input, { commandLine }: CpuOptions, slide: number): Known {
  const path = nameOf(input);
  const text = readText(input);
  if (isCpuinfo(text)) {
    const names = namesOfImage(image);
    const { cpu, unknown } = readCpuinfo(path, text, names.names);
    const given = givenFromCpu(image, btfOf(image), names, cpu, mitigationOptions(commandLine ?? ''));
    const flags = unknown.length > 0 ? [`this kernel has no flag ${unknown.join(', ')}`] : [];
    const hidden =
      'features that have no name in /proc/cpuinfo are taken as not set, unless a rule of the kernel sets them';
    return { given, steps: [], notes: [noVariables, hidden, ...flags] };
  }
  if (commandLine !== undefined)
    throw new TextpokeError('usage', 'the features of a dump are those of its own command line');
  const { given, keys, calls } = parseCpuDocument(path, text, image, slide);
  const steps: BootStep[] = keys.map(([key, isEnabled]) => ({
    do: isEnabled ? 'enable' : 'disable',
    key,
    place: path,
  }));
  const outside: string[] = [];
  for (const [call, value] of calls) {
    const at = parseAddress(value);
    if (at === undefined || image.codeAt(at)) steps.push({ do: 'update', call, value, place: path });
    else outside.push(call);
  }
  const notes =
    outside.length > 0 ? [`static calls that go to modules are left as they are: ${outside.join(', ')}`] : [];
  return { given, steps, notes };
}
