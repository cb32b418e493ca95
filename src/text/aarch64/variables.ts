// Where an arm64 kernel's variables run, by their names: symbols tell, or the list of what is exported to modules, which kernels
// have whose kallsyms has functions alone.
import type { Image } from '../../image/image.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { dataViews } from './found-tables.ts';

/** Gives where a variable runs; undefined for one that nothing names. */
export function variableFinder(
  image: Image,
  { place }: Pick<RunningKernel, 'place'>,
): (name: string) => number | undefined {
  const known = new Map<string, number | undefined>();
  const find = (name: string) => image.symbols.addressOf(name) ?? exportedAs(image, name);
  return (name) => {
    if (!known.has(name)) known.set(name, find(name));
    const address = known.get(name);
    return address === undefined ? undefined : address + place.slide;
  };
}

/**
 * What an entry of __ksymtab leads to whose name is this one (struct kernel_symbol with distances: value, name, namespace);
 * undefined where there is none, or several.
 */
function exportedAs(image: Image, name: string): number | undefined {
  const found = new Set<number>();
  const text = Buffer.from(`\0${name}\0`, 'latin1');
  const views = dataViews(image);
  for (const { view, start } of views) {
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
    for (let i = bytes.indexOf(text); i >= 0; i = bytes.indexOf(text, i + 1)) {
      const string = start + i + 1;
      for (const other of views)
        for (let at = 0; at + 12 <= other.view.byteLength; at += 4) {
          if (other.start + at + 4 + other.view.getInt32(at + 4, true) !== string) continue;
          const value = other.start + at + other.view.getInt32(at, true);
          const namespace = other.start + at + 8 + other.view.getInt32(at + 8, true);
          if (image.contains(value) && image.contains(namespace) && image.read(namespace, 1)[0] === 0)
            found.add(value);
        }
    }
  }
  const [only] = found;
  return found.size === 1 ? only : undefined;
}
