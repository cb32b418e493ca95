// Whether locks without entries lie in code that annotate has never seen, such as that of a static libc.
import type { Address } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import type { Program } from '../demand/program.ts';
import { PT_INTERP } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { kinds } from '../kinds/registry.ts';

/**
 * True for a static program in which no function has both a site that is listed and one of the `locks`, which no table
 * lists: annotate lists all locks of an object.
 */
export function areUnannotated({ image, sites }: Program, locks: readonly Address[]): boolean {
  const { segments, header } = image.file;
  if (header.entry === 0 || segments.some(({ type }) => type === PT_INTERP)) return false;
  const functionAt = functionsOf(image);
  const annotated = new Set<number | undefined>();
  for (const kind of kinds)
    for (const { address } of kind.group ? sites.of(kind) : []) annotated.add(functionAt(address));
  return locks.every((address) => {
    const start = functionAt(address);
    return start !== undefined && !annotated.has(start);
  });
}

/** Tells where the function begins that holds an address, by unwind tables, or else by the nearest symbol. */
function functionsOf(image: Image): (address: Address) => number | undefined {
  const known = new Map<number, { starts: Float64Array; ends: Float64Array }>();
  return (address) => {
    const range = image.codeAt(address);
    if (!range) return undefined;
    let frames = known.get(range.address);
    if (!frames) {
      const all = image.framesIn(range);
      frames = {
        starts: Float64Array.from(all, ({ start }) => start),
        ends: Float64Array.from(all, ({ end }) => end),
      };
      known.set(range.address, frames);
    }
    const at = countUpTo(frames.starts, address) - 1;
    if (at >= 0 && address < (frames.ends[at] as number)) return frames.starts[at];
    const near = image.symbolAt(address);
    return near && address - near.offset;
  };
}
