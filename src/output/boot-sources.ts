// Where the source is of what a boot wrote to code.
import type { Runtime } from '../boot/runtime.ts';
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import { linesOfAddresses, type SourceLine } from '../dwarf/source-lines.ts';

/** Source lines by the address of a write, of the image: a module's are not looked at. */
export function sourcesOf(
  { image, poker }: Runtime,
  debug: DebugPlaces | undefined,
): { readonly sources: ReadonlyMap<number, SourceLine>; readonly problem: string | undefined } {
  const addresses = [
    ...new Set(poker.records.flatMap(({ what, address }) => (what === 'text' ? [address] : []))),
  ];
  const { lines, problem } = linesOfAddresses(image.file, addresses, debug);
  const sources = new Map<number, SourceLine>();
  for (const [i, line] of lines.entries()) if (line) sources.set(addresses[i] as number, line);
  return { sources, problem };
}
