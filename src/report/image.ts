// The data of one image, part by part: what it is, its places, and what boot makes of them.
import type { FileSummary } from '../dump/summary.ts';
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import { printable } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { programOf } from '../kinds/registry.ts';
import { bootData } from './boot.ts';
import type { AskedUpdate } from './calls.ts';
import { findControls } from './controls.ts';
import type { FindingsData, ImageData } from './data.ts';
import { InstructionTexts } from './instructions.ts';
import { countPlaces, findPlaces, placesData } from './places.ts';
import { Pools } from './pools.ts';

/** Places that a page can show: beyond them it would be larger than mail takes, and slow. A kernel has some 30,000. */
export const mostPlaces = 100_000;

/** What is known of an image besides its bytes. */
export interface ImageSubject {
  readonly image: Image;
  readonly summary: FileSummary;
  readonly disassemblers: Disassemblers | undefined;
  readonly debug: DebugPlaces | undefined;
  /** What is given to `--update`, besides what names suggest. */
  readonly updates: readonly AskedUpdate[];
  readonly findings: FindingsData | undefined;
  readonly notes: readonly string[];
}

/** Makes the data of an image, which boot changes in place. Errors: `table-malformed`; those of the names of updates. */
export function imageData(subject: ImageSubject): ImageData {
  const { image, summary, findings, debug, disassemblers, updates } = subject;
  const program = programOf(image);
  const pools = new Pools();
  const placeCount = countPlaces(program);
  const common = {
    summary,
    sections: image.code.map(({ name, address, size }) => ({ name, address, size })),
    init: initTextOf(image),
    ...(findings && { findings }),
  };
  if (placeCount > mostPlaces) {
    const note = `the image has ${placeCount} places; a report shows at most ${mostPlaces} one by one, so only the summary is here`;
    const notes = [...subject.notes, note];
    return { ...common, strings: [], bytes: [], kinds: [], placeCount, notes };
  }
  const texts = new InstructionTexts(image, disassemblers, pools);
  const { places, kinds } = findPlaces(program);
  const controlled = findControls(program);
  const numbers = new Map(
    [...controlled.keys, ...controlled.calls.map(({ key }) => key)].map((key, i) => [key, i]),
  );
  const controlOf = (key: number | undefined) => (key === undefined ? -1 : (numbers.get(key) ?? -1));
  const { data, around, linesProblem } = placesData(image, places, controlOf, pools, texts, debug);
  const command = `textpoke boot ${shellWord(summary.file)}`;
  const boot = bootData({ image, places, controlled, pools, texts, updates, command, around });
  return {
    ...common,
    strings: pools.strings.list,
    bytes: pools.byteStrings.list,
    kinds,
    places: data,
    placeCount: places.length,
    boot,
    notes: [...subject.notes, ...(linesProblem === undefined ? [] : [linesProblem])],
  };
}

/** A file as a word of a shell; one whose name could do harm there is not written out. */
function shellWord(word: string): string {
  if (printable(word) !== word) return 'IMAGE';
  return /^[\w./:@%+,][\w./:@%+,-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Stretches of code that are init text. */
function initTextOf(image: Image): [number, number][] {
  const stretches: [number, number][] = [];
  const start = image.symbols.addressOf('_sinittext');
  const end = image.symbols.addressOf('_einittext');
  for (const { address, size } of image.code) {
    if (image.isInitText(address)) stretches.push([address, size]);
    else if (start !== undefined && end !== undefined && start > address && start < address + size)
      stretches.push([start, Math.min(end, address + size) - start]);
  }
  return stretches;
}
