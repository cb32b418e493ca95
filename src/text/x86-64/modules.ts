// Replays what an x86-64 kernel made of the text of its modules when it loaded them, and since then.
import type { Program } from '../../demand/program.ts';
import { TextpokeError } from '../../errors.ts';
import { readAlternatives } from '../../image/alternatives.ts';
import type { Image } from '../../image/image.ts';
import { readStaticCalls } from '../../image/static-calls.ts';
import { moduleSites } from '../../kinds/registry.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import type { FoundModule, ModuleFile } from '../../memory/kernel/module-files.ts';
import type { LoadedModule } from '../../memory/kernel/modules.ts';
import type { ImagePlace } from '../../memory/memory.ts';
import { compareText } from '../compare.ts';
import { ExpectedText, Texts } from '../expected.ts';
import { roomOf } from '../module-room.ts';
import type { GeneratedPage, PassNote, TextSubject } from '../pass.ts';
import { ReplayImage } from '../replay-image.ts';
import type { PassDone, ReplayedModule } from '../result.ts';
import { runPasses } from '../run-passes.ts';
import { keyedPasses } from './keyed.ts';
import type { LiveText } from './live.ts';
import { x86ModulePasses } from './passes.ts';
import { changingIn } from './pokes.ts';
import type { X86State } from './state.ts';

/** What is known of the kernel that has loaded the modules. */
export interface KernelReplay {
  /** As linked. */
  readonly image: Image;
  readonly running: RunningKernel;
  readonly state: X86State;
  /** Its text is as it must be by now. */
  readonly replay: ReplayImage;
  readonly program: Program;
  readonly isFunction: (address: number) => boolean;
  readonly live: LiveText;
}

/** A module with its text as it was loaded. */
interface Loaded {
  readonly module: LoadedModule;
  readonly file: ModuleFile;
  readonly texts: Texts;
  readonly fields: number;
}

/** The text of each module, in their order. Errors: `memory-malformed`. */
export function replayX86Modules(
  kernel: KernelReplay,
  modules: readonly FoundModule[],
): readonly ReplayedModule[] {
  const { memory } = placeOf(kernel);
  const loaded = modules.map(({ module, file, why }): Loaded | ReplayedModule =>
    file && memory ? load(module, file) : notCompared(module, why ?? kernel.running.place.kernelMemoryFrom),
  );
  const calls = new Map(kernel.program.calls);
  // From here on every module has its addresses: keys of one are named in others.
  for (const of of loaded) {
    if (!('file' in of)) continue;
    const guest = new ReplayImage(of.file.image, placeOf(kernel), of.texts);
    kernel.replay.map({ name: of.module.name, image: guest });
    for (const [key, call] of readStaticCalls(of.file.image)) calls.set(key, call);
  }
  return loaded.map((of) => {
    if (!('file' in of)) return of;
    try {
      return replay({ ...kernel, program: { ...kernel.program, calls } }, of);
    } catch (error) {
      if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
      return notCompared(of.module, `${of.file.path}: ${error.message}`);
    }
  });
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

function replay(kernel: KernelReplay, { module, file, texts, fields }: Loaded): ReplayedModule {
  const { image, state, running, live, isFunction } = kernel;
  const gone = file.init;
  const isGone = (address: number) => gone.some(([start, end]) => address >= start && address < end);
  const alternatives = readAlternatives(file.image, {
    entrySize: state.alternatives?.entrySize,
    isGone,
  });
  const subject: TextSubject<X86State> = {
    ...{ image: file.image, kernel: image, gone, slide: running.place.slide, texts },
    state: { ...state, alternatives },
  };
  const program = { ...kernel.program, sites: moduleSites(file.image, kernel.replay, image) };
  const keyed = keyedPasses(image, { program, isFunction, patchesEarly: false });
  const done: PassDone[] = [{ kind: 'relocation', name: 'relocation', sites: fields }];
  const notes: PassNote[] = [];
  const pages: GeneratedPage[] = [];
  runPasses([...x86ModulePasses(image, state, keyed), ...live.passes], subject, { done, notes, pages });
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
