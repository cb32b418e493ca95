// The kdump-compressed format of makedumpfile and QEMU's `dump-guest-memory -z`: pages by number, each compressed by
// itself (makedumpfile, IMPLEMENTATION and diskdump_mod.h; QEMU, include/sysemu/dump.h), and its flattened form, which
// comes through a pipe: blocks that each say where they belong.
import { inflate, unzstd } from '../bytes/decompress.ts';
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import { forEachPiece, type Runs, type Snapshot, sortStretches } from './memory.ts';

export const kdumpSignature = 'KDUMP   ';
export const flatSignature = 'makedumpfile';

/** Bytes of the flattened form's own header; blocks follow it. */
const flatHeaderSize = 4096;
/** Blocks of the flattened form that others may overlap: a header that is written again at the end. */
const mostRewritten = 1024;
/** Bytes of a page descriptor: s64 offset, u32 size, u32 flags, u64 page_flags. */
const descriptorSize = 24;
/** Flags of a page descriptor: how the page is compressed (diskdump_mod.h). */
const readers: Readonly<Record<number, (bytes: Uint8Array, size: number) => Uint8Array>> = {
  0: (bytes) => bytes,
  1: inflate,
  32: unzstd,
};
const unread: Readonly<Record<number, string>> = { 2: 'lzo', 4: 'snappy' };
/** Decompressed pages that are kept. */
const keptPages = 256;

/** The file that a flattened one describes; later blocks win. Error `memory-malformed`. */
export function unflatten(source: ByteSource): ByteSource {
  const starts: number[] = [];
  const sizes: number[] = [];
  const offsets: number[] = [];
  let at = flatHeaderSize;
  while (at + 16 <= source.size) {
    const view = new ByteView(source.read(at, 16), false);
    const offset = view.s64(0);
    const size = view.s64(8);
    if (offset === -1 && size === -1) break;
    if (!(offset >= 0 && size >= 0)) {
      throw new TextpokeError(
        'memory-malformed',
        'a block of the flattened dump has an invalid offset or size',
        {
          offset: at,
        },
      );
    }
    at += 16;
    starts.push(offset);
    sizes.push(Math.min(size, Math.max(0, source.size - at)));
    offsets.push(at);
    at += size;
  }
  const layers = layersOf(starts, sizes, offsets);
  const end = layers.reduce(
    (most, { starts: s, sizes: n }) => Math.max(most, (s.at(-1) ?? 0) + (n.at(-1) ?? 0)),
    0,
  );
  return {
    size: end,
    read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= end)) {
        throw new TextpokeError(
          'elf-truncated',
          `${length} bytes are needed here, but the dump ends at ${end}`,
          {
            offset,
          },
        );
      }
      const bytes = new Uint8Array(length);
      for (const layer of layers)
        forEachPiece(layer, offset, length, (from, to, size) => bytes.set(source.read(from, size), to));
      return bytes;
    },
    close: () => source.close(),
  };
}

/** Blocks in the order they are to be applied: all that overlap no other at once, then each other one by itself. */
function layersOf(starts: readonly number[], sizes: readonly number[], offsets: readonly number[]) {
  const byStart = Array.from(starts.keys()).sort((a, b) => (starts[a] as number) - (starts[b] as number));
  const clusters: number[][] = [];
  let reach = -1;
  for (const i of byStart) {
    const start = starts[i] as number;
    if (start < reach) clusters.at(-1)?.push(i);
    else clusters.push([i]);
    reach = Math.max(reach, start + (sizes[i] as number));
  }
  const layer = (members: readonly number[]) => {
    const pick = (values: readonly number[]) => Float64Array.from(members, (i) => values[i] as number);
    return sortStretches({ starts: pick(starts), sizes: pick(sizes), offsets: pick(offsets) });
  };
  const rewritten = clusters
    .filter((members) => members.length > 1)
    .flat()
    .sort((a, b) => a - b);
  if (rewritten.length > mostRewritten) {
    throw new TextpokeError(
      'memory-malformed',
      `${rewritten.length} blocks of the flattened dump overlap; at most ${mostRewritten} are supported`,
    );
  }
  const once = clusters.filter((members) => members.length === 1).flat();
  return [layer(once), ...rewritten.map((i) => layer([i]))];
}

/** Reads the frame of a kdump-compressed dump. Errors: `memory-malformed`, `memory-unsupported`. */
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
  if (pageSize < 1024 || pageSize > 1 << 20 || (pageSize & (pageSize - 1)) !== 0)
    throw malformed(`the size of a page is ${pageSize}; a power of two is required`);
  const bitmapAt = (1 + subBlocks) * pageSize;
  const descriptorsAt = bitmapAt + bitmapBlocks * pageSize;
  if (descriptorsAt > source.size) throw malformed('the file ends inside its page bitmap');
  // Two bitmaps: pages that exist, pages that were dumped.
  const half = (bitmapBlocks / 2) * pageSize;
  const bitmap = source.read(bitmapAt + Math.floor(half), Math.floor(half));
  const { runs, ranks } = readBitmap(bitmap, pageSize);
  const kept = new Map<number, Uint8Array | undefined>();

  const page = (number: number): Uint8Array | undefined => {
    if (kept.has(number)) return kept.get(number);
    const run = countUpTo(runs.starts, number * pageSize) - 1;
    const rank = (ranks[run] as number) + (number - (runs.starts[run] as number) / pageSize);
    const at = descriptorsAt + rank * descriptorSize;
    let bytes: Uint8Array | undefined;
    if (at + descriptorSize <= source.size) {
      const view = new ByteView(source.read(at, descriptorSize), little);
      bytes = readPage(path, source, view.s64(0), view.u32(8), view.u32(12), pageSize);
    }
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
      const there = number >= 0 && ((bitmap[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
      const bytes = there ? page(number) : undefined;
      if (bytes) into.set(bytes.subarray(from - number * pageSize, from - number * pageSize + size), at);
      else whole = false;
      at += size;
    }
    return whole;
  };
  return {
    memories: [{ format: 'a kdump-compressed dump', addresses: 'physical', runs, read }],
    // 32-bit kernels do not move, and what they say of themselves is not needed.
    vmcoreinfo: bits === 64 ? readVmcoreinfo(source, pageSize, little) : undefined,
    entry: undefined,
  };
}

/** Runs of dumped pages, and how many pages lie in front of each. */
function readBitmap(bitmap: Uint8Array, pageSize: number): { runs: Runs; ranks: Float64Array } {
  const starts: number[] = [];
  const ends: number[] = [];
  const ranks: number[] = [];
  let rank = 0;
  let open = false;
  const set = (number: number, there: boolean) => {
    if (there && !open) {
      starts.push(number * pageSize);
      ranks.push(rank);
    } else if (!there && open) ends.push(number * pageSize);
    open = there;
    if (there) rank++;
  };
  for (let i = 0; i < bitmap.length; i++) {
    const byte = bitmap[i] as number;
    if (byte === 0 && !open) continue;
    for (let bit = 0; bit < 8; bit++) set(i * 8 + bit, (byte & (1 << bit)) !== 0);
  }
  set(bitmap.length * 8, false);
  return {
    runs: { starts: Float64Array.from(starts), ends: Float64Array.from(ends) },
    ranks: Float64Array.from(ranks),
  };
}

/** A page's bytes; undefined when it is damaged or cut off. Error `memory-unsupported`. */
function readPage(
  path: string,
  source: ByteSource,
  offset: number,
  size: number,
  flags: number,
  pageSize: number,
): Uint8Array | undefined {
  const unreadable = unread[flags & 0x3f];
  if (unreadable) {
    throw new TextpokeError(
      'memory-unsupported',
      `the pages are compressed with ${unreadable}; zlib (makedumpfile -c, dump-guest-memory -z) and zstd (makedumpfile -z) are supported`,
      { file: path },
    );
  }
  const reader = readers[flags & 0x3f];
  if (!reader || !(offset >= 0 && size <= 2 * pageSize && offset + size <= source.size)) return undefined;
  try {
    const page = reader(source.read(offset, size), pageSize);
    return page.length === pageSize ? page : undefined;
  } catch (error) {
    if (error instanceof TextpokeError && error.code === 'compressed-malformed') return undefined;
    throw error;
  }
}

/** struct kdump_sub_header of 64-bit machines, of which only the place of the VMCOREINFO note matters. */
function readVmcoreinfo(source: ByteSource, pageSize: number, little: boolean): string | undefined {
  if (pageSize + 64 > source.size) return undefined;
  const view = new ByteView(source.read(pageSize, 64), little);
  const [offset, size] = [view.s64(32), view.s64(40)];
  if (!(offset > 0 && size > 0 && size < 1 << 20 && offset + size <= source.size)) return undefined;
  return Buffer.from(source.read(offset, size)).toString('latin1');
}
