// Replays what a 32-bit ARM kernel made of its text, and compares the memory with it.
import type { Image } from '../../image/image.ts';
import { programOf } from '../../kinds/registry.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { compareText } from '../compare.ts';
import type { GeneratedPage, PassNote, TextPass } from '../pass.ts';
import { ReplayImage } from '../replay-image.ts';
import type { PassDone, ReplayedText, TextNotCompared } from '../result.ts';
import { runPasses } from '../run-passes.ts';
import { staticBranches } from '../static-branches.ts';
import { textsOf } from '../texts.ts';
import { divisionCode, ftraceNops, oneCpuSites } from './passes.ts';
import { physicalOffset } from './physical.ts';

/**
 * The text of a running kernel against what must have become of the file's, or why it cannot be replayed. What lies in front
 * of `_stext` is given back (arch/arm/mm/init.c). Error `memory-malformed`.
 */
export function replayArmText(
  image: Image,
  running: RunningKernel,
): ReplayedText | TextNotCompared | undefined {
  const { place } = running;
  const [start, end] = ['_stext', '_etext'].map((name) => image.symbols.addressOf(name));
  const texts = textsOf(image);
  const text = start === undefined ? undefined : texts.holding(start);
  if (!text || text.start !== start || end === undefined || end <= start) return undefined;
  if (!image.file.header.little) return { why: 'the kernel is big-endian' };
  if (image.instructionsAt(start).name !== 'A32') return { why: 'the kernel is Thumb code' };
  if (place.memory.addresses !== 'physical')
    return { why: 'the dump does not say where the kernel lies in physical memory, which is in its text' };
  const look = { memory: place.memory, offset: place.offset };
  const passes: readonly TextPass<undefined>[] = [
    oneCpuSites(image, look),
    physicalOffset(place.offset),
    divisionCode(look),
    staticBranches(programOf(new ReplayImage(image, place, texts), { tables: image })),
    ftraceNops(look),
  ];
  const notes: PassNote[] = [];
  const done: PassDone[] = [];
  const pages: GeneratedPage[] = [];
  runPasses(passes, { image, slide: place.slide, texts, state: undefined }, { done, notes, pages });
  for (const message of [
    'the kernel has no types (BTF) that say where probes are set; the text is taken for not probed',
    'executable pages are not named: without types (BTF) it is not known which modules are loaded',
  ])
    notes.push({ severity: 'left', message });
  const compared = compareText(text, Math.min(end, text.end) - start, place.memory, place.offset);
  return { compared, text, passes: done, notes, pages, live: undefined, changing: [] };
}
