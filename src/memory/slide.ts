// How far a kernel was moved (KASLR): the pointers in its memory differ by as much from those of the file.
import type { Image } from '../image/image.ts';
import { readStaticCalls } from '../image/static-calls.ts';
import type { Identity } from './identity.ts';
import { walkKernel } from './kernel-memory.ts';
import type { Memory } from './memory.ts';
import { findVmcoreinfo, type KernelSays } from './vmcoreinfo.ts';

/** A place where the image may be. */
export interface Candidate {
  readonly offset: number;
  readonly slide: number | undefined;
  readonly from: string;
}

/** What is looked for. */
export interface Wanted {
  readonly image: Image;
  readonly identity: Identity;
  readonly banner: { readonly address: number; readonly bytes: Uint8Array };
  /** What the dump's note says. */
  readonly noted: KernelSays | undefined;
  /** What the user says. */
  readonly slide: number | undefined;
  /** The dump by physical addresses, if it has that: the same memory may be at many virtual ones. */
  readonly physical: Memory | undefined;
}

/**
 * How far pointers were moved. A dump by physical addresses does not say, and in one by virtual addresses the banner
 * may have been found in another mapping of the same memory; but most static calls still hold the function that they
 * were linked with, so the distance that most of them agree on is the slide.
 */
export function findSlide(
  wanted: Wanted,
  memory: Memory,
  candidate: Candidate,
): { slide: number; slideFrom: string; says: KernelSays | undefined } {
  const { image, noted, slide } = wanted;
  if (slide !== undefined) return { slide, slideFrom: '--slide', says: noted };
  if (candidate.slide !== undefined)
    return { slide: candidate.slide, slideFrom: candidate.from, says: noted };
  const voted = slideOfCalls(image, memory, candidate.offset);
  const says = vmcoreinfoOf(wanted, memory, candidate.offset, voted);
  if (says?.slide !== undefined) return { slide: says.slide, slideFrom: says.from, says };
  if (voted !== undefined)
    return { slide: voted, slideFrom: `${candidate.from}, and the functions of static calls`, says: noted };
  return memory.addresses === 'virtual'
    ? { slide: candidate.offset, slideFrom: candidate.from, says: noted }
    : {
        slide: 0,
        slideFrom: `the link address${image.arch.class === 32 ? '' : ' (no static call to compare)'}`,
        says: noted,
      };
}

/**
 * What the kernel says of itself in its memory, for a dump without the note. Whoever runs on the machine can have such a
 * text in memory: it has to be of this kernel, to know where the kernel lies, and page tables have to agree, or without
 * them the functions of static calls (`voted`).
 */
function vmcoreinfoOf(
  { image, identity, banner, physical: searched }: Wanted,
  memory: Memory,
  offset: number,
  voted: number | undefined,
): KernelSays | undefined {
  // 32-bit kernels do not move.
  if (image.arch.class === 32) return undefined;
  let first: KernelSays | undefined;
  for (const says of findVmcoreinfo(searched ?? memory, banner.bytes, image.arch.class)) {
    const { buildId, slide, physical } = says;
    if (slide === undefined || (buildId ?? identity.buildId) !== (identity.buildId ?? buildId)) continue;
    if (memory.addresses === 'virtual' ? slide !== offset : physical !== offset) continue;
    if (memory.addresses === 'virtual') return says;
    if (walkKernel(image, { memory, offset, slide }, banner.address, says).memory) return says;
    if (voted === undefined || voted === slide) first ??= says;
  }
  return first;
}

/** The distance that most static calls agree on between the function they had when they were linked and the one now. */
function slideOfCalls(image: Image, memory: Memory, offset: number): number | undefined {
  const size = image.arch.wordSize;
  const votes = new Map<number, number>();
  for (const key of readStaticCalls(image).keys()) {
    const word = new Uint8Array(size);
    if (!image.contains(key, size) || !memory.read(key + offset, word)) continue;
    const linked = image.readPointer(key);
    const view = new DataView(word.buffer);
    const { little } = image.file.header;
    const now = size === 8 ? Number(view.getBigInt64(0, little)) : view.getUint32(0, little);
    if (linked.kind !== 'address' || linked.address === 0 || now === 0) continue;
    const moved = image.distance(linked.address, now);
    votes.set(moved, (votes.get(moved) ?? 0) + 1);
  }
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0];
}
