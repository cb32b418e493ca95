// Where an arm64 kernel's variables run, by their names.
import type { Image } from '../../image/image.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';

/** Gives where a variable runs; undefined for one that nothing names. */
export function variableFinder(
  image: Image,
  { place }: Pick<RunningKernel, 'place'>,
): (name: string) => number | undefined {
  return (name) => {
    const address = image.symbols.addressOf(name);
    return address === undefined ? undefined : address + place.slide;
  };
}
