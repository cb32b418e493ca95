// The bytes of places as the file has them, and where among them the loader changes something when it moves the kernel.
import { countUpTo } from '../bytes/search.ts';
import type { Image } from '../image/image.ts';
import type { RelocationLists } from '../kernel/relocation-lists.ts';
import type { PolicyStretch } from './policy.ts';

/** Bytes that a relocation may reach in front of a stretch: its field begins there. */
const fieldSize = 8;

/** Stretches of what ascending places have; places that touch are one stretch. */
export function stretchesOf(
  image: Image,
  lists: RelocationLists | undefined,
  addresses: Float64Array,
  lengthOf: (place: number) => number,
): PolicyStretch[] {
  const stretches: PolicyStretch[] = [];
  let start = 0;
  let end = Number.NEGATIVE_INFINITY;
  const close = () => {
    if (end > start) stretches.push(stretch(image, lists, start, end));
  };
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i] as number;
    if (address > end) {
      close();
      start = address;
      end = address;
    }
    end = Math.max(end, address + lengthOf(i));
  }
  close();
  return stretches;
}

function stretch(
  image: Image,
  lists: RelocationLists | undefined,
  start: number,
  end: number,
): PolicyStretch {
  const [from, to] = lists ? widened(lists, start, end) : [start, end];
  const within = (places: Int32Array | undefined) => offsets(places, from, to);
  return {
    address: from,
    bytes: image.read(from, to - from).slice(),
    // Of an address of 64 bits, the lower half is changed: the sum never leaves the upper 2 GiB.
    added: [...within(lists?.relocs32), ...within(lists?.relocs64)].sort((a, b) => a - b),
    taken: within(lists?.inverse32),
  };
}

/** A stretch that has all of each field that reaches into it. */
function widened(lists: RelocationLists, start: number, end: number): readonly [number, number] {
  let [from, to] = [start, end];
  for (const places of [lists.relocs32, lists.relocs64, lists.inverse32]) {
    if (!places) continue;
    for (let i = countUpTo(places, start - fieldSize); i < places.length; i++) {
      const place = places[i] as number;
      if (place >= end) break;
      if (place + 4 <= start) continue;
      from = Math.min(from, place);
      to = Math.max(to, place + 4);
    }
  }
  return [from, to];
}

function offsets(places: Int32Array | undefined, from: number, to: number): number[] {
  const found: number[] = [];
  if (!places) return found;
  for (let i = countUpTo(places, from - 1); i < places.length && (places[i] as number) < to; i++)
    found.push((places[i] as number) - from);
  return found;
}
