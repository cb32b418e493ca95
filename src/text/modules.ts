// Replays what a kernel made of the text of its modules when it loaded them, and since then.
import type { Program } from '../demand/program.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { readStaticCalls } from '../image/static-calls.ts';
import { moduleSites } from '../kinds/registry.ts';
import type { RunningKernel } from '../memory/kernel/kernel.ts';
import type { FoundModule, ModuleFile } from '../memory/kernel/module-files.ts';
import type { LoadedModule } from '../memory/kernel/modules.ts';
import type { ImagePlace } from '../memory/memory.ts';
import { compareText } from './compare.ts';
import { changingIn, ExpectedText, Texts } from './expected.ts';
import { roomOf } from './module-room.ts';
import type { GeneratedPage, PassNote, TextPass, TextSubject } from './pass.ts';
import { ReplayImage } from './replay-image.ts';
import type { PassDone, ReplayedModule } from './result.ts';
import { runPasses } from './run-passes.ts';

/** What is known of the kernel that has loaded the modules. */
export interface KernelReplay {
  /** As linked. */
  readonly image: Image;
  readonly running: RunningKernel;
  /** Its text is as it must be by now. */
  readonly replay: ReplayImage;
  readonly program: Program;
}

/** What a machine makes of a module. */
export interface ModulePasses<State> {
  readonly state: State;
  readonly passes: readonly TextPass<State>[];
}

/** A module as its passes are told of it. */
export interface ModuleToPatch {
  /** Linked to where it lies. */
  readonly image: Image;
  /** The calls of the kernel and of all modules, and the sites of this one. */
  readonly program: Program;
  /** Whether code at an address was given back. */
  isGone(address: number): boolean;
}

/** A module with its text as it was loaded. */
interface Loaded {
  readonly module: LoadedModule;
  readonly file: ModuleFile;
  readonly texts: Texts;
  readonly fields: number;
}

/** The text of each module, in their order; `passesOf` says what its machine makes of one. Errors: `memory-malformed`. */
export function replayModules<State>(
  kernel: KernelReplay,
  modules: readonly FoundModule[],
  passesOf: (module: ModuleToPatch) => ModulePasses<State>,
): readonly ReplayedModule[] {
  const { memory } = placeOf(kernel);
  const loaded = modules.map(({ module, file, why }) =>
    file && memory
      ? orWhy(module, file, () => load(module, file))
      : notCompared(module, why ?? kernel.running.place.kernelMemoryFrom),
  );
  const calls = new Map(kernel.program.calls);
  // From here on every module has its addresses: keys of one are named in others.
  for (const of of loaded) {
    if (!('file' in of)) continue;
    const guest = new ReplayImage(of.file.image, placeOf(kernel), of.texts);
    kernel.replay.map({ name: of.module.name, image: guest });
    for (const [key, call] of readStaticCalls(of.file.image)) calls.set(key, call);
  }
  return loaded.map((of) =>
    'file' in of
      ? orWhy(of.module, of.file, () =>
          replay({ ...kernel, program: { ...kernel.program, calls } }, of, passesOf),
        )
      : of,
  );
}

/** Makes something of a module, or says why that cannot be: what it says of itself may be anything. */
function orWhy<T>(module: LoadedModule, { path }: ModuleFile, make: () => T): T | ReplayedModule {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
    return notCompared(module, `${path}: ${error.message}`);
  }
}

/** Modules lie where the running kernel has them. */
function placeOf({ running: { place } }: KernelReplay): ImagePlace {
  const { slide, slideFrom, kernelMemory, kernelMemoryFrom, memory } = place;
  return { memory: kernelMemory ?? memory, offset: slide, slide, slideFrom, kernelMemory, kernelMemoryFrom };
}

function notCompared(module: LoadedModule, why: string): ReplayedModule {
  const nothing = { sections: [], stray: [], passes: [], notes: [], pages: [], changing: [] };
  return { module, why, image: undefined, room: 0, missingRoom: 0, ...nothing };
}

/** The sections of a module's code: the file's bytes, and what the loader's relocations made of them. */
function load(module: LoadedModule, file: ModuleFile): Loaded {
  let fields = 0;
  const texts = Array.from(file.code, ([address, { name, bytes, relocations }]) => {
    const text = new ExpectedText(name, address, bytes);
    text.write(address, file.image.read(address, bytes.length), 'relocation');
    fields += relocations;
    return text;
  });
  return { module, file, texts: new Texts(texts), fields };
}

function replay<State>(
  kernel: KernelReplay,
  { module, file, texts, fields }: Loaded,
  passesOf: (module: ModuleToPatch) => ModulePasses<State>,
): ReplayedModule {
  const { image, running } = kernel;
  const gone = file.init;
  const { state, passes } = passesOf({
    image: file.image,
    program: { ...kernel.program, sites: moduleSites(file.image, kernel.replay, image) },
    isGone: (address) => gone.some(([start, end]) => address >= start && address < end),
  });
  const subject: TextSubject<State> = {
    ...{ image: file.image, kernel: image, gone, slide: running.place.slide, texts, state },
  };
  const done: PassDone[] = [{ kind: 'relocation', name: 'relocation', sites: fields }];
  const notes: PassNote[] = [];
  const pages: GeneratedPage[] = [];
  runPasses(passes, subject, { done, notes, pages });
  const { memory, offset } = placeOf(kernel);
  const sections = texts.all.map((text) => ({
    text,
    compared: compareText(text, text.file.length, memory, offset),
  }));
  const areas = module.text.map(
    ({ start, size }) => [image.addressAt(start, -offset), image.addressAt(start, size - offset)] as const,
  );
  const room = roomOf(
    areas,
    texts.all.map(({ start, end }) => [start, end] as const),
    memory,
    offset,
  );
  return {
    ...{ module, why: undefined, image: file.image, sections },
    ...{ room: room.bytes, missingRoom: room.missing, stray: room.stray },
    ...{ passes: done, notes, pages, changing: texts.all.flatMap(changingIn) },
  };
}
