// Where a flat arm64 kernel is linked to lie. Entries of kallsyms that count from their own places do not say it, and a
// kernel linked with --no-apply-dynamic-relocs holds 0 for the base of the others. But the kernel is full of pointers as
// linked, in its data or in its relocations, and many of them lead to symbols (arch/arm64/kernel/pi/relocate.c).
import { countUpTo } from '../../bytes/search.ts';
import { signed64 } from '../../bytes/view.ts';
import type { Addresses, Shape } from './addresses.ts';

/** arm64 images and their segments begin at such multiples (arch/arm64/include/asm/boot.h, SEGMENT_ALIGN). */
const alignment = 0x1_0000;
/** Pointers that are looked at, spread over the kernel. */
const mostSamples = 1024;
const fewestSamples = 16;
/** No kernel is larger, in bytes. */
const largestImage = 2 ** 28;
/** Pointers to symbols must be this part of the sample, and this many times as many as at any other place. */
const leastPart = 1 / 16;
const leastLead = 2;

/**
 * What to add to each address of `form`; undefined where pointers do not say it, or not clearly. Linear in the bytes: they are
 * gone through twice, and a sample of bounded size is held against a bounded number of places.
 */
export function relocatedBy(bytes: Uint8Array, shape: Shape, form: Addresses): number | undefined {
  if (shape.bits !== 64) return undefined;
  const { addresses } = form;
  const first = addresses[0] as number;
  const size = (addresses[addresses.length - 1] as number) - first;
  const pointers = samplePointers(bytes, shape.little).sort();
  if (size > largestImage || pointers.length < fewestSamples) return undefined;
  const lowest = startOfDensest(pointers, size);
  let best = { shift: 0, hits: 0 };
  let second = 0;
  const end = lowest + size - first;
  for (let shift = alignDown(lowest - size - first); shift <= end; shift += alignment) {
    const hits = symbolsAmong(pointers, shift, addresses);
    if (hits > best.hits) {
      second = best.hits;
      best = { shift, hits };
    } else if (hits > second) second = hits;
  }
  const clear = best.hits >= leastPart * pointers.length && best.hits > leastLead * second;
  return clear ? best.shift : undefined;
}

const alignDown = (address: number) => Math.floor(address / alignment) * alignment;

/** How many of the pointers lead to a symbol that is moved by `shift`. */
function symbolsAmong(pointers: Float64Array, shift: number, addresses: Float64Array): number {
  let hits = 0;
  for (const pointer of pointers) {
    const wanted = pointer - shift;
    const behind = countUpTo(addresses, wanted);
    if (behind > 0 && addresses[behind - 1] === wanted) hits++;
  }
  return hits;
}

/** The lowest of the pointers, in order, that lie within `size` bytes where the most of them do. */
function startOfDensest(pointers: Float64Array, size: number): number {
  let [start, most, low] = [0, 0, 0];
  for (let high = 0; high < pointers.length; high++) {
    while ((pointers[high] as number) - (pointers[low] as number) > size) low++;
    if (high - low + 1 > most) [start, most] = [low, high - low + 1];
  }
  return pointers[start] as number;
}

/** Some of the words that can be addresses of an arm64 kernel. */
function samplePointers(bytes: Uint8Array, little: boolean): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const next = (from: number) => nextPointer(view, little, from);
  let count = 0;
  for (let at = next(0); at >= 0; at = next(at + 8)) count++;
  const step = Math.max(1, Math.ceil(count / mostSamples));
  const sample = new Float64Array(Math.ceil(count / step));
  let number = 0;
  for (let at = next(0); at >= 0; at = next(at + 8), number++) {
    if (number % step === 0) sample[number / step] = signed64(view, at, little);
  }
  return sample;
}

/**
 * Byte offset of the next word that lies in the upper half of a 52-bit address space and not in its last 4 GiB, where small
 * negative numbers are; -1 where there is none.
 */
function nextPointer(view: DataView, little: boolean, at: number): number {
  const high = little ? 4 : 0;
  for (let place = at; place + 8 <= view.byteLength; place += 8) {
    const upper = view.getUint32(place + high, little);
    if (upper >= 0xfff0_0000 && upper < 0xffff_ffff) return place;
  }
  return -1;
}
