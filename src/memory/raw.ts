// Raw images of memory, which say nothing of themselves: from an address on, or in ranges of physical addresses.
// Hypervisors of x86 leave a hole below 4 GiB for devices, and most write the memory behind it (from 4 GiB on) right
// behind the memory in front of it. The kernel in the image knows how much memory there is, so that the size of the file
// tells where the hole begins.
import { hex } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { EM_X86_64 } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import type { Image } from '../image/image.ts';
import { kernelBannerAt } from '../image/kernel.ts';
import { bytesAt, type Memory, type Snapshot } from './memory.ts';
import { findBytes } from './search.ts';
import { layOut, memoryIn } from './stretches.ts';

/** A part of a raw image: the bytes from `offset` on, up to the next part, are the physical memory from `address` on. */
export interface PhysicalRange {
  readonly address: number;
  readonly offset: number;
}

/** What the user says of a raw image. */
export type RawLayout = { readonly base: number } | { readonly physical: readonly PhysicalRange[] };

const pageSize = 4096;
const fourGiB = 2 ** 32;
/** Kernels count as usable what firmware has not taken off the end of the memory in front of the hole. */
const mostTaken = 2 ** 28;
/** Copies of the banner that are asked: the log of the kernel has some. */
const mostCopies = 100;

/** Errors: `usage` for a layout that no machine has. */
export function readRaw(source: ByteSource, image: Image, layout: RawLayout): Snapshot {
  if ('base' in layout) {
    const { base } = layout;
    const memory = memoryOf(source, [{ address: base, offset: 0 }], 'virtual', 'a raw image');
    return { memories: [memory], vmcoreinfo: undefined, process: undefined };
  }
  const { physical } = layout;
  requireOrder(physical, source.size);
  const straight = memoryOf(source, physical, 'physical', wordsOf(physical, ''));
  const [first] = physical;
  const isAsked = physical.length === 1 && first?.address === 0 && first.offset === 0;
  const hole = isAsked ? findHole(source, image, straight) : undefined;
  if (hole === undefined) return { memories: [straight], vmcoreinfo: undefined, process: undefined };
  const ranges = [
    { address: 0, offset: 0 },
    { address: fourGiB, offset: hole },
  ];
  const memory = memoryOf(
    source,
    ranges,
    'physical',
    wordsOf(ranges, ', as max_pfn of the kernel in it says'),
  );
  return { memories: [memory], vmcoreinfo: undefined, process: undefined };
}

function requireOrder(ranges: readonly PhysicalRange[], size: number): void {
  ranges.forEach(({ address, offset }, i) => {
    const before = ranges[i - 1];
    const isSound =
      address >= 0 &&
      offset >= 0 &&
      offset < size &&
      (before === undefined ? offset === 0 : offset > before.offset);
    if (isSound) return;
    throw new TextpokeError(
      'usage',
      `--physical ${hex(address)}@${hex(offset)}: the parts of a raw image are given in order of the file, whose first byte is the first part's and which has ${size} bytes`,
    );
  });
}

function wordsOf(ranges: readonly PhysicalRange[], why: string): string {
  const parts = ranges.map(({ address, offset }) => `${hex(address)} at byte ${hex(offset)}`);
  return `a raw image of physical memory (${parts.join(', ')}${why})`;
}

function memoryOf(
  source: ByteSource,
  ranges: readonly PhysicalRange[],
  addresses: Memory['addresses'],
  format: string,
): Memory {
  const offsets = ranges.map(({ offset }) => offset);
  const sizes = offsets.map((offset, i) => (offsets[i + 1] ?? source.size) - offset);
  const starts = ranges.map(({ address }) => address);
  const farthest = starts.find((start, i) => !Number.isSafeInteger(start + (sizes[i] as number)));
  if (farthest !== undefined) {
    const option = addresses === 'virtual' ? '--base' : '--physical';
    throw new TextpokeError('usage', `${option} is ${hex(farthest)}; no machine has memory there`);
  }
  return memoryIn(source, layOut({ starts, sizes, offsets }), { format, addresses });
}

/** Where the hole of an x86 machine begins if the file leaves it out; undefined where it does not, or nothing tells. */
function findHole(source: ByteSource, image: Image, straight: Memory): number | undefined {
  const banner = kernelBannerAt(image);
  const [most, low] = ['max_pfn', 'max_low_pfn'].map((name) => image.symbols.addressOf(name));
  const { machine, little } = image.file.header;
  if (machine !== EM_X86_64 || source.size <= mostTaken || !banner || most === undefined || low === undefined)
    return undefined;
  let copies = 0;
  for (const at of findBytes(straight, banner.bytes, 0)) {
    const moved = at - banner.address;
    if (moved % pageSize !== 0) continue;
    if (++copies > mostCopies) return undefined;
    const [end, lowEnd] = [most, low].map((address) => {
      const bytes = bytesAt(straight, address + moved, 8);
      return bytes ? new ByteView(bytes, little).s64(0) * pageSize : Number.NaN;
    }) as [number, number];
    if (!(lowEnd > 0 && lowEnd <= fourGiB && end >= lowEnd)) continue; // another copy of the text
    // Memory from 4 GiB on is what is left of the file behind the hole.
    const hole = source.size - (end - fourGiB);
    const isHole = end > fourGiB && lowEnd <= hole && hole < fourGiB && hole - lowEnd <= mostTaken;
    return isHole && hole % pageSize === 0 ? hole : undefined;
  }
  return undefined;
}
