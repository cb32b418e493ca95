// Replays what an arm64 kernel made of its text, and compares the memory with it.
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { programOf } from '../../kinds/registry.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { compareText } from '../compare.ts';
import { changingIn, Texts } from '../expected.ts';
import { notNamed } from '../live.ts';
import type { GeneratedPage, PassNote, TextPass } from '../pass.ts';
import { ReplayImage } from '../replay-image.ts';
import type { PassDone, ReplayedText, TextNotCompared } from '../result.ts';
import { runPasses } from '../run-passes.ts';
import { staticBranches } from '../static-branches.ts';
import { textsOf } from '../texts.ts';
import { alternatives } from './alternatives.ts';
import { constants } from './constants.ts';
import { dataText, dataTextPages } from './data-text.ts';
import { ftraceNops } from './ftrace.ts';
import { hypRelocation } from './hyp-relocation.ts';
import { readLiveText } from './live.ts';
import { arm64ModuleLoader, replayArm64Modules } from './modules.ts';
import { arm64Relocations, relocation } from './relocation.ts';
import { type Arm64State, readArm64State } from './state.ts';
import { variableFinder } from './variables.ts';

/**
 * The text of a running kernel against what must have become of the file's, or why it cannot be replayed. What lies in front
 * of `_stext` is not mapped once the kernel runs, and may be other memory then (arch/arm64/mm/mmu.c, map_mem), so it is not
 * compared. Error `memory-malformed`.
 */
export function replayArm64Text(
  image: Image,
  running: RunningKernel,
): ReplayedText | TextNotCompared | undefined {
  try {
    return replayText(image, running);
  } catch (error) {
    // A table of a form that no kernel of 5.10 to 7.3 has does not keep the other tables from being verified.
    if (!(error instanceof TextpokeError) || error.code !== 'table-malformed') throw error;
    return { why: error.message };
  }
}

function replayText(image: Image, running: RunningKernel): ReplayedText | TextNotCompared | undefined {
  const { place } = running;
  const [start, end] = ['_stext', '_etext'].map((name) => image.symbols.addressOf(name));
  const code = textsOf(image);
  const text = start === undefined ? undefined : code.holding(start);
  if (!text || text.start !== start || end === undefined || end <= start) return undefined;
  if (!image.file.header.little) return { why: 'the kernel is big-endian' };
  const relocations = arm64Relocations(image);
  if (!relocations && place.slide !== 0)
    return { why: 'the kernel was moved (KASLR), and nothing says which places hold addresses' };
  if (image.symbols.addressOf('scs_patch_vmlinux') !== undefined)
    return { why: 'the kernel patches pointer authentication (CONFIG_UNWIND_PATCH_PAC_INTO_SCS)' };
  const state = readArm64State(image, running);
  if (state.unknown !== undefined) return { why: state.unknown };
  const find = variableFinder(image, 0);
  const besides = dataText(image, find);
  const texts = besides ? new Texts([...code.all, besides.text]) : code;
  const live = readLiveText(image, running);
  if (!live) return { why: `what is traced and probed is not known: ${place.kernelMemoryFrom}` };
  const replay = new ReplayImage(image, place, texts);
  const program = programOf(replay, { tables: image });
  const passes: readonly TextPass<Arm64State>[] = [
    relocation(relocations),
    hypRelocation,
    alternatives,
    staticBranches(program),
    ftraceNops,
    constants,
    ...live.passes,
    ...live.updates(program),
  ];
  const subject = { image, slide: place.slide, texts, state };
  const notes: PassNote[] = [...state.notes, ...live.notes];
  const done: PassDone[] = [];
  const pages: GeneratedPage[] = [];
  runPasses(passes, subject, { done, notes, pages });
  if (besides) for (const page of dataTextPages(besides, place.slide)) pages.push(page);
  const executable = live.executable(besides);
  const unnamed = notNamed(running, { executable });
  if (unnamed !== undefined) notes.push({ severity: 'left', message: unnamed });
  const compared = compareText(text, Math.min(end, text.end) - start, place.memory, place.offset);
  return {
    ...{ compared, text, passes: done, notes, pages, live: { ...live, executable } },
    changing: besides ? [...changingIn(text), ...changingIn(besides.text)] : changingIn(text),
    loader: arm64ModuleLoader(image, state),
    replayModules: (modules) => replayArm64Modules({ image, running, replay, program, state, live }, modules),
  };
}
