// The kdump-compressed format of makedumpfile and QEMU's `dump-guest-memory -z`: pages by number, each compressed by
// itself (makedumpfile, IMPLEMENTATION and diskdump_mod.h; QEMU, include/sysemu/dump.h). A descriptor says where a page
// stands; pages of zeros share one. What a damaged file says of pages that it does not have is not looked at.
import { inflate, unzstd } from '../bytes/decompress.ts';
import { unlzo } from '../bytes/lzo.ts';
import { unsnappy } from '../bytes/snappy.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import type { Runs, Snapshot } from './memory.ts';
import { PageMap } from './page-map.ts';

export const kdumpSignature = 'KDUMP   ';

/** Bytes of a page descriptor: s64 offset, u32 size, u32 flags, u64 page_flags. */
const descriptorSize = 24;
/** Descriptors that are read at once. */
const descriptorsAtOnce = 4096;
/** How a page is compressed, by the flags of its descriptor (DUMP_DH_COMPRESSED_ZLIB and its like in diskdump_mod.h). */
const readers: Readonly<Record<number, (bytes: Uint8Array, size: number) => Uint8Array>> = {
  0: (bytes) => bytes,
  1: inflate,
  2: unlzo,
  4: unsnappy,
  32: unzstd,
};
/** Bits of these flags that say how. */
const compressionFlags = 0x3f;
/** Sizes of pages that the supported machines have. */
const pageSizes = [4096, 16384, 65536];
/** Bytes of a page bitmap, at most: for 16 TiB in pages of 4 KiB. */
const largestBitmap = 2 ** 29;
/** Decompressed pages that are kept. */
const keptPages = 256;

interface Descriptor {
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
}

/** Reads the frame of a kdump-compressed dump. Errors: `memory-malformed`, `memory-unsupported`, `elf-truncated`. */
export function readKdump(
  path: string,
  source: ByteSource,
  { class: bits, little }: { class: 32 | 64; little: boolean },
): Snapshot {
  const malformed = (message: string) => new TextpokeError('memory-malformed', message, { file: path });
  // struct disk_dump_header behind its struct timeval, whose size the machine decides.
  const counts = new ByteView(source.read(bits === 64 ? 428 : 416, 12), little, { file: path });
  const pageSize = counts.u32(0);
  const subBlocks = counts.u32(4);
  const bitmapBlocks = counts.u32(8);
  if (!pageSizes.includes(pageSize))
    throw malformed(`the size of a page is ${pageSize}; ${pageSizes.join(', ')} are supported`);
  const bitmapAt = (1 + subBlocks) * pageSize;
  const descriptorsAt = bitmapAt + bitmapBlocks * pageSize;
  if (descriptorsAt > source.size) throw malformed('the file ends inside its page bitmap');
  // Two bitmaps: pages that exist, pages that were dumped.
  const half = Math.floor((bitmapBlocks / 2) * pageSize);
  if (half > largestBitmap)
    throw malformed(`the page bitmap has ${half} bytes; ${largestBitmap} are supported`);
  const { vmcoreinfo, isPart } = readSubHeader(source, pageSize, { bits, little });
  if (isPart) {
    throw new TextpokeError(
      'memory-unsupported',
      'the file is one part of a split dump; makedumpfile --reassemble makes one file of all parts',
      { file: path },
    );
  }
  const map = new PageMap(source.read(bitmapAt + half, half));
  const described = Math.floor((source.size - descriptorsAt) / descriptorSize);
  const kept = new Map<number, Uint8Array | undefined>();

  const descriptor = (view: ByteView, at: number): Descriptor => ({
    offset: view.s64(at),
    size: view.u32(at + 8),
    flags: view.u32(at + 12),
  });
  const readDescriptors = (first: number, count: number) =>
    new ByteView(source.read(descriptorsAt + first * descriptorSize, count * descriptorSize), little);
  const page = (number: number): Uint8Array | undefined => {
    if (kept.has(number)) return kept.get(number);
    const rank = map.rank(number);
    const bytes =
      rank < described ? readPage(source, descriptor(readDescriptors(rank, 1), 0), pageSize) : undefined;
    if (kept.size >= keptPages) kept.delete(kept.keys().next().value as number);
    kept.set(number, bytes);
    return bytes;
  };

  const read = (address: number, into: Uint8Array): boolean => {
    let whole = true;
    for (let at = 0; at < into.length; ) {
      const from = address + at;
      const number = Math.floor(from / pageSize);
      const size = Math.min((number + 1) * pageSize - from, into.length - at);
      const bytes = map.has(number) ? page(number) : undefined;
      if (bytes) into.set(bytes.subarray(from - number * pageSize, from - number * pageSize + size), at);
      else whole = false;
      at += size;
    }
    return whole;
  };
  let runs: Runs | undefined;
  return {
    memories: [
      {
        format: 'a kdump-compressed dump',
        addresses: 'physical',
        fileSize: source.size,
        get runs() {
          runs ??= ownPages(map, pageSize, described, (first, count) => {
            const view = readDescriptors(first, count);
            return (i) => descriptor(view, i * descriptorSize);
          });
          return runs;
        },
        read,
      },
    ],
    vmcoreinfo,
    process: undefined,
  };
}

/**
 * Runs of pages that have bytes of their own in the file. Writers put pages one after the other; a page whose bytes lie
 * in front of another's is one of those that share theirs.
 */
function ownPages(
  map: PageMap,
  pageSize: number,
  described: number,
  readSome: (first: number, count: number) => (i: number) => Descriptor,
): Runs {
  const starts: number[] = [];
  const ends: number[] = [];
  let rank = 0;
  let reach = 0;
  let some: (i: number) => Descriptor = () => ({ offset: 0, size: 0, flags: 0 });
  for (const number of map.pages()) {
    if (rank >= described) break;
    const i = rank % descriptorsAtOnce;
    if (i === 0) some = readSome(rank, Math.min(descriptorsAtOnce, described - rank));
    rank++;
    const { offset, size } = some(i);
    if (!(offset >= reach && size > 0)) continue;
    reach = offset + size;
    const start = number * pageSize;
    if (ends.length > 0 && ends[ends.length - 1] === start) ends[ends.length - 1] = start + pageSize;
    else {
      starts.push(start);
      ends.push(start + pageSize);
    }
  }
  return { starts: Float64Array.from(starts), ends: Float64Array.from(ends) };
}

/** A page's bytes; undefined when it is damaged or cut off. */
function readPage(
  source: ByteSource,
  { offset, size, flags }: Descriptor,
  pageSize: number,
): Uint8Array | undefined {
  const reader = readers[flags & compressionFlags];
  if (!reader || !(offset >= 0 && size <= 2 * pageSize && offset + size <= source.size)) return undefined;
  try {
    const page = reader(source.read(offset, size), pageSize);
    return page.length === pageSize ? page : undefined;
  } catch (error) {
    if (error instanceof TextpokeError && error.code === 'compressed-malformed') return undefined;
    throw error;
  }
}

/** struct kdump_sub_header: whether the file is one part of a dump, and the VMCOREINFO note of 64-bit machines. */
function readSubHeader(
  source: ByteSource,
  pageSize: number,
  { bits, little }: { bits: 32 | 64; little: boolean },
): { vmcoreinfo: string | undefined; isPart: boolean } {
  if (pageSize + 64 > source.size) return { vmcoreinfo: undefined, isPart: false };
  const view = new ByteView(source.read(pageSize, 64), little);
  const isPart = view.u32(bits === 64 ? 12 : 8) !== 0;
  // 32-bit kernels do not move, and what they say of themselves is not needed.
  const [offset, size] = bits === 64 ? [view.s64(32), view.s64(40)] : [0, 0];
  if (!(offset > 0 && size > 0 && size < 1 << 20 && offset + size <= source.size))
    return { vmcoreinfo: undefined, isPart };
  return { vmcoreinfo: Buffer.from(source.read(offset, size)).toString('latin1'), isPart };
}
