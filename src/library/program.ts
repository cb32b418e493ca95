// Opens what is booted: an image, or objects that are linked in memory, and the modules that steps load.
import type { BootStep } from '../boot/steps.ts';
import { ET_REL } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElf, readElfFrom } from '../elf/read.ts';
import { type Input, nameOf, openInput } from '../files/input.ts';
import { type ByteSource, memorySource, plainSource } from '../files/source.ts';
import { isKernelModule, isModuleName } from '../image/exports.ts';
import { Image } from '../image/image.ts';
import { unpackedNotes, withoutContainers } from '../kernel/plain.ts';
import { link } from './link.ts';

/** A program that is about to be booted. */
export interface LoadedProgram {
  /** In memory of its own: boot writes to it. */
  readonly image: Image;
  /** Symbols that no object defines. */
  readonly undefinedSymbols: readonly string[];
  /** False when objects were linked in memory. */
  readonly isFile: boolean;
  /** What was unpacked; undefined for a file that is as it seems. */
  readonly form?: string;
  readonly notes: readonly string[];
  /** The relocation lists behind an x86 kernel. */
  readonly relocations: Uint8Array | undefined;
  /** Opens a module that a step loads. */
  readonly openModule: (file: Input) => ElfFile;
  /** What comes in front of all steps: the modules that were given in place of an image. */
  readonly loads: readonly BootStep[];
}

/** What happens to a program, and how large what is compressed may become. */
export interface ProgramSteps {
  readonly steps: readonly BootStep[];
  readonly expandLimit?: number | undefined;
}

/**
 * Opens a program, or a kernel file, and the modules of its steps for as long as `body` runs. Errors: `read-failed`, those
 * of reading ELF and of `link`, `compressed-malformed`, `not-an-image`, those of `body`.
 */
export async function withProgram<T>(
  inputs: readonly Input[],
  { steps, expandLimit }: ProgramSteps,
  body: (program: LoadedProgram) => T | Promise<T>,
): Promise<T> {
  const open: ByteSource[] = [];
  const keepOpen = (source: ByteSource) => {
    open.push(source);
    return source;
  };
  try {
    const modules = await readModules(steps, expandLimit, keepOpen);
    const alone = await modulesAlone(inputs, expandLimit, keepOpen);
    for (const [input, file] of alone ?? []) modules.set(input, file);
    const program = alone ? await standIn(alone) : await load(inputs, expandLimit, keepOpen);
    const loads = Array.from(alone?.keys() ?? [], (file): BootStep => ({ do: 'load', file }));
    return await body({ ...program, loads, openModule: (file) => modules.get(file) as ElfFile });
  } finally {
    for (const source of open) source.close();
  }
}

type Opened = Omit<LoadedProgram, 'openModule' | 'loads'>;

/** The inputs, where each of them is a kernel module; undefined otherwise. */
async function modulesAlone(
  inputs: readonly Input[],
  limit: number | undefined,
  keepOpen: KeepOpen,
): Promise<Map<Input, ElfFile> | undefined> {
  const files = new Map<Input, ElfFile>();
  for (const input of inputs) {
    if (!isModuleName(nameOf(input))) return undefined;
    const given = keepOpen(openInput(input));
    const file = readElfFrom(nameOf(input), await plainSource(given, limit));
    if (!isKernelModule(file)) return undefined;
    files.set(input, file);
  }
  return files.size > 0 ? files : undefined;
}

/** A kernel for the modules, with no more than they ask for. */
async function standIn(modules: ReadonlyMap<Input, ElfFile>): Promise<Opened> {
  const { standInFor } = await import('./module-alone.ts');
  const { image, notes } = await standInFor([...modules.values()]);
  return { image, undefinedSymbols: [], isFile: false, notes, relocations: undefined };
}

type KeepOpen = (source: ByteSource) => ByteSource;

/** Of an image only what is looked at is read: a kernel's may have hundreds of megabytes of debug information. */
async function load(
  inputs: readonly Input[],
  limit: number | undefined,
  keepOpen: KeepOpen,
): Promise<Opened> {
  const [input] = inputs;
  if (input !== undefined && inputs.length === 1) {
    const name = nameOf(input);
    const { source, form, relocations } = await withoutContainers(name, keepOpen(openOwn(input)), limit);
    const file = readElfFrom(name, source);
    if (file.header.type !== ET_REL) {
      const notes = unpackedNotes(name, form);
      const image = new Image(file);
      return { image, undefinedSymbols: [], isFile: true, ...(form && { form }), notes, relocations };
    }
  }
  const { bytes, undefinedSymbols } = link(inputs);
  const image = new Image(readElf('objects linked in memory', bytes));
  return { image, undefinedSymbols, isFile: false, notes: [], relocations: undefined };
}

/** Opens an input whose bytes will be written to. */
function openOwn(input: Input): ByteSource {
  return typeof input === 'string' ? openInput(input) : memorySource(Uint8Array.from(input.bytes));
}

/** Every module that a step loads, decompressed. */
async function readModules(
  steps: readonly BootStep[],
  limit: number | undefined,
  keepOpen: KeepOpen,
): Promise<Map<Input, ElfFile>> {
  const files = new Map<Input, ElfFile>();
  for (const step of steps) {
    if (step.do !== 'load' || files.has(step.file)) continue;
    const source = await plainSource(keepOpen(openInput(step.file)), limit);
    files.set(step.file, readElfFrom(nameOf(step.file), source));
  }
  return files;
}
