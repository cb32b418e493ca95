// Replays what an x86-64 kernel made of its text, and compares the memory with it.
import type { Image } from '../../image/image.ts';
import type { RelocationLists } from '../../kernel/relocation-lists.ts';
import { knowsModules, type RunningKernel } from '../../memory/kernel/kernel.ts';
import type { FoundModule } from '../../memory/kernel/module-files.ts';
import { compareText } from '../compare.ts';
import { changingIn } from '../expected.ts';
import { notNamed } from '../live.ts';
import type { GeneratedPage, PassNote, TextPass } from '../pass.ts';
import { ReplayImage } from '../replay-image.ts';
import type { PassDone, ReplayedText, TextNotCompared } from '../result.ts';
import { runPasses } from '../run-passes.ts';
import { keptText, textsOf } from '../texts.ts';
import { keyedPasses, programOfReplay } from './keyed.ts';
import { readLiveText } from './live.ts';
import { replayX86Modules } from './modules.ts';
import { x86Passes } from './passes.ts';
import { relocation } from './relocation.ts';
import { returnsOf } from './return-thunk.ts';
import { readX86State, type X86State } from './state.ts';

/**
 * The text of a running kernel against what must have become of the file's, or why it cannot be replayed; undefined for a
 * kernel without the bounds of its text. Errors: `table-malformed`, `memory-malformed`.
 */
export function replayX86Text(
  image: Image,
  running: RunningKernel,
  lists: RelocationLists | undefined,
): ReplayedText | TextNotCompared | undefined {
  const { place } = running;
  const texts = textsOf(image);
  const kept = keptText(image, texts);
  if (!kept) return undefined;
  const state = readX86State(image, running);
  if (state.unknown !== undefined) return { why: state.unknown };
  const replay = new ReplayImage(image, place, texts);
  const isFunction = functionsOf(image, running);
  const program = programOfReplay(replay, image);
  const keyed = keyedPasses(image, { program, isFunction, patchesEarly: true });
  const subject = { image, slide: place.slide, texts, state };
  const notes: PassNote[] = [...state.notes];
  const done: PassDone[] = [];
  const pages: GeneratedPage[] = [];
  const returns = returnsOf(subject);
  const live = readLiveText(image, running, state, {
    returnAt: (address) => returns.at(address - place.slide),
  });
  if (!live) return { why: `what is traced and probed is not known: ${place.kernelMemoryFrom}` };
  for (const note of live.notes) notes.push(note);
  const unnamed = notNamed(running, live);
  if (unnamed !== undefined) notes.push({ severity: 'left', message: unnamed });
  const passes: readonly TextPass<X86State>[] = [
    relocation(lists),
    ...x86Passes(image, state, keyed),
    ...live.passes,
  ];
  runPasses(passes, subject, { done, notes, pages });
  const compared = compareText(kept.text, kept.length, place.memory, place.offset);
  const changing = changingIn(kept.text);
  const replayModules = (modules: readonly FoundModule[]) =>
    replayX86Modules({ image, running, state, replay, program, isFunction, live }, modules);
  return { compared, text: kept.text, passes: done, notes, pages, live, changing, replayModules };
}

/** Functions of the image, and what lies in memory of a module; where not all modules are known, whatever is not the image. */
function functionsOf(image: Image, running: RunningKernel): (address: number) => boolean {
  const { place, list } = running;
  return (address) => {
    if (image.codeAt(address)) return image.symbolAt(address)?.offset === 0;
    if (!knowsModules(running)) return !image.contains(address);
    const runs = address + place.slide;
    return (list?.modules ?? []).some(({ memory }) =>
      memory.some(({ start, size }) => runs >= start && runs < start + size),
    );
  };
}
