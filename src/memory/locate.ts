// Finds an image in a dump: where its bytes lie, and how far the addresses in its pointers were moved (KASLR).
import { hex, hexBytes, sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { bannerPrefix, kernelBannerAt } from '../image/kernel.ts';
import { readStaticCalls } from '../image/static-calls.ts';
import { identityOf } from './identity.ts';
import { locateProgram } from './locate-program.ts';
import { bytesAt, type ImagePlace, type Memory, type Snapshot } from './memory.ts';
import { findBytes } from './search.ts';

/** Texts that may be banners: a kernel has a few of them. */
const mostBanners = 1000;

interface Candidate {
  readonly offset: number;
  readonly slide: number | undefined;
  readonly from: string;
}

/** Finds the image; `slide` is what the user says of it. Error `memory-mismatch` when the dump is of something else. */
export function locateImage(image: Image, snapshot: Snapshot, slide: number | undefined): ImagePlace {
  const banner = kernelBannerAt(image);
  if (!banner) return locateProgram(image, snapshot, slide);
  const { buildId, marks } = identityOf(image.file);
  const requireBuild = (found: string | undefined) => {
    if (found === undefined || buildId === undefined || found === buildId) return;
    throw new TextpokeError(
      'memory-mismatch',
      `the dump is from another build of the kernel: its build id is ${found}, the image has ${buildId}`,
    );
  };
  requireBuild(/^BUILD-ID=([0-9a-f]+)$/m.exec(snapshot.vmcoreinfo ?? '')?.[1]);
  let other: string | undefined;
  for (const memory of snapshot.memories) {
    for (const candidate of candidates(image, memory, snapshot, banner, slide)) {
      const found = bytesAt(memory, banner.address + candidate.offset, banner.bytes.length);
      if (!found || !sameBytes(found, banner.bytes)) continue;
      // Builds of one time and place have one banner.
      const [mark] = buildId === undefined ? [] : marks;
      const id = mark && bytesAt(memory, mark.address + candidate.offset, mark.bytes.length);
      if (id && !sameBytes(id, mark.bytes)) other ??= hexBytes(id);
      else return { memory, offset: candidate.offset, ...findSlide(image, memory, candidate, slide) };
    }
  }
  requireBuild(other);
  throw new TextpokeError('memory-mismatch', describeOther(snapshot, banner.bytes, slide));
}

function* candidates(
  image: Image,
  memory: Memory,
  { vmcoreinfo }: Snapshot,
  banner: { address: number; bytes: Uint8Array },
  slide: number | undefined,
): Generator<Candidate> {
  const noted = vmcoreinfo === undefined ? undefined : notedPlace(image, vmcoreinfo);
  const known = slide ?? noted?.slide;
  if (memory.addresses === 'virtual') {
    if (known !== undefined) yield { offset: known, slide: known, from: 'VMCOREINFO' };
    if (slide !== undefined) return;
    yield { offset: 0, slide: 0, from: 'the banner at its link address' };
  } else if (noted?.physical !== undefined)
    yield { offset: noted.physical, slide: noted.slide, from: 'VMCOREINFO' };
  const near = memory.addresses === 'virtual' ? banner.address : 0;
  for (const address of findBytes(memory, banner.bytes, near)) {
    const offset = address - banner.address;
    // Pages are moved whole; the same text elsewhere is another copy (the kernel's log, for one).
    if (offset % 4096 !== 0) continue;
    yield {
      offset,
      slide: known,
      from: known === undefined ? 'the place of the banner in the dump' : 'VMCOREINFO',
    };
  }
}

/** What VMCOREINFO says: KERNELOFFSET, and with phys_base (x86) or kimage_voffset (arm64) the physical place. */
function notedPlace(image: Image, text: string): { slide: number; physical: number | undefined } | undefined {
  const value = (name: string, radix: 10 | 16): number | undefined => {
    const line = text.split('\n').find((l) => l.startsWith(`${name}=`));
    const digits = line?.slice(name.length + 1).replace(/^0x/, '');
    if (digits === undefined || !(radix === 16 ? /^[0-9a-f]{1,16}$/i : /^-?\d{1,20}$/).test(digits))
      return undefined;
    return Number(BigInt.asIntN(64, BigInt(radix === 16 ? `0x${digits}` : digits)));
  };
  const slide = value('KERNELOFFSET', 16);
  if (slide === undefined) return undefined;
  const base = value('NUMBER(phys_base)', 10);
  const voffset = value('NUMBER(kimage_voffset)', 16);
  // x86: __pa_symbol subtracts __START_KERNEL_map, 2 GiB below the end of all addresses.
  if (voffset !== undefined) return { slide, physical: slide - voffset };
  if (base !== undefined && image.arch.class === 64) return { slide, physical: slide + base + 2 ** 31 };
  return { slide, physical: undefined };
}

/**
 * How far pointers were moved. A dump by physical addresses does not say, and in one by virtual addresses the banner
 * may have been found in another mapping of the same memory; but most static calls still hold the function that they
 * were linked with, so the distance that most of them agree on is the slide.
 */
function findSlide(
  image: Image,
  memory: Memory,
  candidate: Candidate,
  slide: number | undefined,
): { slide: number; slideFrom: string } {
  if (slide !== undefined) return { slide, slideFrom: '--slide' };
  if (candidate.slide !== undefined) return { slide: candidate.slide, slideFrom: candidate.from };
  const size = image.arch.wordSize;
  const votes = new Map<number, number>();
  for (const key of readStaticCalls(image).keys()) {
    const word = new Uint8Array(size);
    if (!image.contains(key, size) || !memory.read(key + candidate.offset, word)) continue;
    const linked = image.readPointer(key);
    const view = new DataView(word.buffer);
    const { little } = image.file.header;
    const now = size === 8 ? Number(view.getBigInt64(0, little)) : view.getUint32(0, little);
    if (linked.kind !== 'address' || linked.address === 0 || now === 0) continue;
    const moved = image.distance(linked.address, now);
    votes.set(moved, (votes.get(moved) ?? 0) + 1);
  }
  const [most] = [...votes].sort((a, b) => b[1] - a[1]);
  if (most) return { slide: most[0], slideFrom: `${candidate.from}, and the functions of static calls` };
  const slid = memory.addresses === 'virtual' ? candidate.offset : 0;
  return {
    slide: slid,
    slideFrom:
      memory.addresses === 'virtual' ? candidate.from : 'the link address (no static call to compare)',
  };
}

function describeOther(snapshot: Snapshot, banner: Uint8Array, slide: number | undefined): string {
  const text = (bytes: Uint8Array) =>
    JSON.stringify(
      Buffer.from(bytes)
        .toString('latin1')
        .replace(/[\n\0]*$/, ''),
    );
  const prefix = Buffer.from(bannerPrefix);
  for (const memory of snapshot.memories) {
    let seen = 0;
    for (const address of findBytes(memory, prefix, 0)) {
      if (seen++ === mostBanners) break;
      const line = Buffer.alloc(512);
      memory.read(address, line);
      const found = line.toString('latin1').split(/[\n\0]/)[0] as string;
      // `Linux version %s` and the like are text of the kernel, too.
      if (!/^Linux version \d/.test(found)) continue;
      if (text(Buffer.from(found)) === text(banner)) continue;
      return `the dump is from another kernel, ${JSON.stringify(found)}; the image is ${text(banner)}`;
    }
  }
  const where = slide === undefined ? '' : ` with a slide of ${hex(slide)}`;
  return `the dump does not contain the kernel ${text(banner)}${where}`;
}
