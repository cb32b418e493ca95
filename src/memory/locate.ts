// Finds an image in a dump: where its bytes lie, and how far the addresses in its pointers were moved (KASLR).
import { hex, hexBytes, sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { bannerPrefix, kernelBannerAt } from '../image/kernel.ts';
import { type Identity, identityOf } from './identity.ts';
import { type KernelMemory, type PhysicalPlace, walkKernel } from './kernel-memory.ts';
import { locateProgram } from './locate-program.ts';
import { bytesAt, type ImagePlace, type Memory, type Snapshot } from './memory.ts';
import { findBytes } from './search.ts';
import { type Candidate, findSlide, type Wanted } from './slide.ts';
import { findVmcoreinfo, type KernelSays, readVmcoreinfo } from './vmcoreinfo.ts';

/** Texts that may be banners: a kernel has a few of them. */
const mostBanners = 1000;

/** Where a memory has the image. */
interface Found {
  readonly memory: Memory;
  readonly offset: number;
  readonly slide: number;
  readonly slideFrom: string;
  readonly says: KernelSays | undefined;
}

/** Finds the image; `slide` is what the user says of it. Error `memory-mismatch` when the dump is of something else. */
export function locateImage(image: Image, snapshot: Snapshot, slide: number | undefined): ImagePlace {
  const banner = kernelBannerAt(image);
  if (!banner) return locateProgram(image, snapshot, slide);
  const identity = identityOf(image.file);
  const { vmcoreinfo } = snapshot;
  const noted =
    vmcoreinfo === undefined ? undefined : readVmcoreinfo(vmcoreinfo, 'VMCOREINFO', image.arch.class);
  requireBuild(identity, noted?.buildId);
  const physical = snapshot.memories.find(({ addresses }) => addresses === 'physical');
  const wanted = { image, identity, banner, noted, slide, physical };
  let other: string | undefined;
  for (const memory of snapshot.memories) {
    const found = findIn(memory, wanted);
    if (found && 'offset' in found) return placeOf(wanted, snapshot, found);
    other ??= found?.other;
  }
  requireBuild(identity, other);
  throw new TextpokeError('memory-mismatch', describeOther(snapshot, banner.bytes, slide));
}

function requireBuild({ buildId }: Identity, found: string | undefined): void {
  if (found === undefined || buildId === undefined || found === buildId) return;
  throw new TextpokeError(
    'memory-mismatch',
    `the dump is from another build of the kernel: its build id is ${found}, the image has ${buildId}`,
  );
}

/** Where a memory has the image, or the build id of another one with the same banner. */
function findIn(memory: Memory, wanted: Wanted): Found | { readonly other: string } | undefined {
  const { banner, identity } = wanted;
  let other: string | undefined;
  for (const candidate of candidates(memory, wanted)) {
    const found = bytesAt(memory, banner.address + candidate.offset, banner.bytes.length);
    if (!found || !sameBytes(found, banner.bytes)) continue;
    // Builds of one time and place have one banner.
    const [mark] = identity.buildId === undefined ? [] : identity.marks;
    const id = mark && bytesAt(memory, mark.address + candidate.offset, mark.bytes.length);
    if (id && !sameBytes(id, mark.bytes)) other ??= hexBytes(id);
    else return { memory, offset: candidate.offset, ...findSlide(wanted, memory, candidate) };
  }
  return other === undefined ? undefined : { other };
}

/** The kernel's own memory is looked for when it is asked for: physical memory may have to be searched. */
function placeOf(wanted: Wanted, snapshot: Snapshot, place: Found): ImagePlace {
  let kernel: KernelMemory | undefined;
  const kernelMemory = () => {
    kernel ??= findKernelMemory(wanted, snapshot, place);
    return kernel;
  };
  const { memory, offset, slide, slideFrom } = place;
  return {
    ...{ memory, offset, slide, slideFrom },
    get kernelMemory() {
      return kernelMemory().memory;
    },
    get kernelMemoryFrom() {
      return kernelMemory().words;
    },
    get kernelTables() {
      return kernelMemory().tables;
    },
  };
}

/** Page tables lead to all of it. Virtual addresses of a dump may leave out modules and heap (/proc/vmcore does). */
function findKernelMemory(wanted: Wanted, snapshot: Snapshot, place: Found): KernelMemory {
  const { physical } = wanted;
  const found = physical && (physical === place.memory ? place : findIn(physical, wanted));
  const walked =
    found && 'offset' in found ? walkFrom(wanted, { ...found, slide: place.slide }, found.says) : undefined;
  if (walked?.memory) return walked;
  const memory = snapshot.memories.find(({ addresses }) => addresses === 'virtual');
  if (memory) return { memory, words: 'the virtual addresses of the dump' };
  return walked ?? { memory, words: 'the dump has no physical memory with the kernel in it' };
}

/** Where neither symbols nor a note say where the tables lie, the kernel's memory may. */
function walkFrom(
  { image, banner }: Wanted,
  place: PhysicalPlace,
  noted: KernelSays | undefined,
): KernelMemory {
  const walked = walkKernel(image, place, banner.address, noted);
  if (walked.memory || noted) return walked;
  for (const says of findVmcoreinfo(place.memory, banner.bytes, image.arch.class)) {
    const again = walkKernel(image, place, banner.address, says);
    if (again.memory) return again;
  }
  return walked;
}

function* candidates(memory: Memory, { banner, noted, slide }: Wanted): Generator<Candidate> {
  const known = slide ?? noted?.slide;
  const from = noted?.from ?? '';
  if (memory.addresses === 'virtual') {
    if (known !== undefined) yield { offset: known, slide: known, from };
    if (slide !== undefined) return;
    yield { offset: 0, slide: 0, from: 'the banner at its link address' };
  } else if (noted?.physical !== undefined) yield { offset: noted.physical, slide: noted.slide, from };
  const near = memory.addresses === 'virtual' ? banner.address : 0;
  for (const address of findBytes(memory, banner.bytes, near)) {
    const offset = address - banner.address;
    // Pages are moved whole; the same text elsewhere is another copy (the kernel's log, for one).
    if (offset % 4096 !== 0) continue;
    yield { offset, slide: known, from: known === undefined ? 'the place of the banner in the dump' : from };
  }
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
