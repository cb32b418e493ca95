// Source file and line of places in code, from the line tables of DWARF (.debug_line, versions 2 to 5). All places
// are asked for at once: one pass over the tables answers them.
import type { ElfFile } from '../elf/file.ts';
import { DebugFiles, type DebugPlaces, pairCode } from './debug-files.ts';
import { LineSearch } from './line-search.ts';
import type { LineOptions, ObjectPlace, SourceLines } from './source-line.ts';

export type { LineOptions, SourceLine, SourceLines } from './source-line.ts';

/**
 * The lines of addresses of a linked image, in any order: those of the functions that the places are in, where what
 * stands there was inlined into these. A file without line tables may have them in a debug file, if it is said where
 * that may lie. Nothing in DWARF makes it fail, and nothing in a debug file.
 */
export function linesOfAddresses(
  file: ElfFile,
  addresses: readonly number[],
  places?: DebugPlaces,
  options: LineOptions = {},
): SourceLines {
  return search(
    file,
    places,
    options,
    addresses,
    (address) => address,
    () => (offset) => ({ section: 0, offset }),
  );
}

/** The same for places in an object. Its debug file may have other numbers for its sections. */
export function linesOfPlaces(
  file: ElfFile,
  places: readonly ObjectPlace[],
  debugPlaces?: DebugPlaces,
  options: LineOptions = {},
): SourceLines {
  return search(
    file,
    debugPlaces,
    options,
    places,
    ({ offset }) => offset,
    (debug) => {
      if (debug === file) return (place) => place;
      const numbers = new Map<number, number>();
      for (const [{ index }, other] of pairCode(file, debug)) if (other) numbers.set(index, other.index);
      return ({ section, offset }) => ({ section: numbers.get(section) ?? -1, offset });
    },
  );
}

/** Asks the file that has the line tables. */
function search<Place>(
  file: ElfFile,
  places: DebugPlaces | undefined,
  { inlines = false }: LineOptions,
  asked: readonly Place[],
  offsetOf: (place: Place) => number,
  placesIn: (debug: ElfFile) => (place: Place) => ObjectPlace,
): SourceLines {
  const none = { lines: new Array<undefined>(asked.length).fill(undefined), problem: undefined };
  // To look for a debug file costs system calls, and to make sure of it may cost reading it.
  if (!asked.some((place) => Number.isSafeInteger(offsetOf(place)))) return none;
  const debugFiles = new DebugFiles(places);
  try {
    const debug = debugFiles.withLines(file);
    const { problem } = debugFiles;
    if (!debug) return { ...none, problem: problem && `source lines are missing: ${problem}` };
    const placeIn = placesIn(debug);
    const lines = new LineSearch(
      debug,
      asked.length,
      (i) => placeIn(asked[i] as Place),
      () => debugFiles.supplementOf(debug),
    );
    return lines.result(inlines);
  } finally {
    debugFiles.close();
  }
}
