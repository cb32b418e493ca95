// The data of one image, part by part: what it is, its places, and what boot makes of them.

import type { Program } from '../demand/program.ts';
import type { FileSummary } from '../dump/summary.ts';
import type { SourceLines } from '../dwarf/source-lines.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import { printable } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { programOf } from '../kinds/registry.ts';
import { bootData } from './boot.ts';
import type { AskedUpdate } from './calls.ts';
import { findControls } from './controls.ts';
import type { FindingsData, ImageData } from './data.ts';
import { InstructionTexts } from './instructions.ts';
import { countPlaces, type FoundPlaces, findPlaces, placesData } from './places.ts';
import { Pools } from './pools.ts';

/** Places that a page can show: beyond them it would be larger than mail takes, and slow. A kernel has some 30,000. */
export const mostPlaces = 100_000;

/** An image whose places are known. */
export interface Found extends FoundPlaces {
  readonly program: Program;
  /** Places that the image has, all of them. */
  readonly count: number;
}

/** Finds the places of an image; of one that has more than a page can show, none are told. Error `table-malformed`. */
export function findIn(image: Image): Found {
  const program = programOf(image);
  const most = countPlaces(program);
  if (most > mostPlaces) return { program, count: most, places: [], kinds: [] };
  const found = findPlaces(program);
  return { program, count: found.places.length, ...found };
}

/** What is known of an image besides its bytes. */
export interface ImageSubject {
  readonly found: Found;
  readonly summary: FileSummary;
  readonly disassemblers: Disassemblers | undefined;
  readonly linesOf: (addresses: readonly number[]) => SourceLines;
  /** What is given to `--update`, besides what names suggest. */
  readonly updates: readonly AskedUpdate[];
  readonly findings: FindingsData | undefined;
}

/** Makes the data of an image, which boot changes in place. Errors: those of the names of updates. */
export function imageData(subject: ImageSubject): ImageData {
  const { found, summary, findings, linesOf, disassemblers, updates } = subject;
  const { program, count, places, kinds } = found;
  const { image } = program;
  const pools = new Pools();
  const common = {
    summary,
    sections: image.code.map(({ name, address, size }) => ({ name, address, size })),
    init: initTextOf(image),
    placeCount: count,
    ...(findings && { findings }),
  };
  if (count > mostPlaces) {
    const note = `the image has ${count} places; a report shows at most ${mostPlaces} one by one, so only the summary is here`;
    return { ...common, strings: [], bytes: [], kinds: [], notes: [note] };
  }
  const texts = new InstructionTexts(image, disassemblers, pools);
  const controlled = findControls(program);
  const numbers = new Map(
    [...controlled.keys, ...controlled.calls.map(({ key }) => key)].map((key, i) => [key, i]),
  );
  const controlOf = (key: number | undefined) => (key === undefined ? -1 : (numbers.get(key) ?? -1));
  const { lines, problem } = linesOf(addressesOf(found));
  const { data, around } = placesData(image, places, controlOf, pools, texts, lines);
  const command = `textpoke boot ${shellWord(summary.file)}`;
  const boot = bootData({ image, places, controlled, pools, texts, updates, command, around });
  return {
    ...common,
    strings: pools.strings.list,
    bytes: pools.byteStrings.list,
    kinds,
    places: data,
    boot,
    notes: problem === undefined ? [] : [problem],
  };
}

/** Of places, in their order. */
export function addressesOf({ places }: FoundPlaces): number[] {
  return places.map(({ address }) => address);
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
