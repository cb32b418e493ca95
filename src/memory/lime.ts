// LiME, and what AVML writes: ranges of physical memory, each behind a header that says where it lies. LiME's are plain
// (504ensicsLabs/LiME, src/lime.h); AVML's are snappy frames of 64 KiB, behind which their size stands (microsoft/avml,
// src/image.rs; google/snappy, framing_format.txt). A file may have both.
import { crc32c } from '../bytes/crc32.ts';
import { countUpTo } from '../bytes/search.ts';
import { snappySize, unsnappy } from '../bytes/snappy.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { type ByteSource, copyFrom } from '../files/source.ts';
import type { Snapshot } from './memory.ts';
import { forEachPiece, layOut, runsOf } from './stretches.ts';

const limeMagic = 'EMiL\x01\0\0\0';
const avmlMagic = 'AVML\x02\0\0\0';

export const isLime = (start: string): boolean => start.startsWith(limeMagic) || start.startsWith(avmlMagic);

/** u32 magic, u32 version, u64 first, u64 last, u64 reserved. */
const headerSize = 32;
/** Bytes of the number behind AVML's frames: how many they have. */
const footerSize = 8;
/** More than any machine has memory. */
const largestAddress = 2 ** 52;
/** Bytes that a frame may expand to. */
const largestFrame = 65536;
/** Bytes that a frame may have: what does not get smaller is stored. */
const longestFrame = 2 * largestFrame;
/** Bytes in front of a frame: its type, the three of its size. */
const frameHeadSize = 4;
/** Frames whose contents are kept. */
const keptFrames = 64;

/** Frames in order of the file, as columns. */
interface Frames {
  /** Where the content of each begins, if the contents of all were one row of bytes; and where the last one ends. */
  readonly starts: number[];
  /** Where the frame begins in the file, and how many bytes it has behind its head. */
  readonly offsets: number[];
  readonly sizes: number[];
}

/** Reads the frame of the file. Errors: `memory-malformed`, `memory-unsupported`. */
export function readLime(path: string, source: ByteSource): Snapshot {
  const starts: number[] = [];
  const sizes: number[] = [];
  const offsets: number[] = [];
  const frames: Frames = { starts: [0], offsets: [], sizes: [] };
  let isCompressed = false;
  for (let at = 0; at + headerSize <= source.size; ) {
    const head = source.read(at, headerSize);
    const magic = Buffer.from(head.subarray(0, 8)).toString('latin1');
    const view = new ByteView(head, true);
    const [first, last] = [view.s64(8), view.s64(16)];
    const length = last - first + 1;
    if (!isLime(magic) || !(first >= 0 && last >= first && last < largestAddress)) {
      const found = isLime(magic) ? `a range from ${first} to ${last}` : JSON.stringify(magic);
      throw new TextpokeError(
        'memory-malformed',
        `a header of LiME or AVML is required here, with a range below 2^52; ${found} was found`,
        { file: path, offset: at },
      );
    }
    at += headerSize;
    if (magic === limeMagic) {
      starts.push(first);
      sizes.push(Math.min(length, source.size - at));
      offsets.push(at);
      at += length;
      continue;
    }
    isCompressed = true;
    const before = frames.starts.at(-1) as number;
    at = readFrames(path, source, at, length, frames);
    starts.push(first);
    sizes.push((frames.starts.at(-1) as number) - before);
    // Behind all bytes of the file: what is in frames.
    offsets.push(source.size + before);
  }
  const stretches = layOut({ starts, sizes, offsets });
  const inFrames = frameReader(source, frames);
  return {
    memories: [
      {
        format: isCompressed ? 'a dump of AVML, with snappy frames' : 'a dump of LiME',
        addresses: 'physical',
        fileSize: source.size,
        runs: runsOf(stretches),
        read(address, into) {
          let isSound = true;
          const isThere = forEachPiece(stretches, address, into.length, (offset, at, length) => {
            if (offset < source.size) copyFrom(source, offset, into.subarray(at, at + length));
            else if (!inFrames(offset - source.size, into.subarray(at, at + length))) isSound = false;
          });
          return isThere && isSound;
        },
      },
    ],
    vmcoreinfo: undefined,
    process: undefined,
  };
}

/** Adds the frames of a range; returns where the next header stands. Error `memory-malformed`. */
function readFrames(
  path: string,
  source: ByteSource,
  start: number,
  length: number,
  { starts, offsets, sizes }: Frames,
): number {
  const malformed = (message: string, offset: number) =>
    new TextpokeError('memory-malformed', message, { file: path, offset });
  const end = (starts.at(-1) as number) + length;
  let at = start;
  while ((starts.at(-1) as number) < end) {
    // Type and size, a checksum, and the number that a block begins with.
    const head = source.read(at, Math.min(frameHeadSize + 9, Math.max(source.size - at, 0)));
    if (head.length < frameHeadSize) return source.size;
    const type = head[0] as number;
    const size = (head[1] as number) + (head[2] as number) * 256 + (head[3] as number) * 65536;
    if (at + frameHeadSize + size > source.size) return source.size;
    if (type <= 1) {
      const content = type === 1 ? size - 4 : (snappySize(head.subarray(frameHeadSize + 4))?.size ?? -1);
      if (!(content > 0 && content <= largestFrame && size <= longestFrame)) {
        const message = `a snappy frame of ${size} bytes with ${content} in it; at most ${longestFrame} with 1 to ${largestFrame} are required`;
        throw malformed(message, at);
      }
      const next = (starts.at(-1) as number) + content;
      if (next > end) throw malformed(`the frames of this range have more than its ${length} bytes`, at);
      starts.push(next);
      offsets.push(at);
      sizes.push(size);
    } else if (type < 0x80) throw malformed(`a snappy frame of type ${type}, which must not be skipped`, at);
    at += frameHeadSize + size;
  }
  if (at + footerSize > source.size) return source.size;
  const said = new ByteView(source.read(at, footerSize), true).s64(0);
  if (said !== at - start)
    throw malformed(`the frames of this range have ${at - start} bytes, but ${said} stands behind them`, at);
  return at + footerSize;
}

/** Copies from the contents of frames; false where one is damaged. */
function frameReader(
  source: ByteSource,
  { starts, offsets, sizes }: Frames,
): (from: number, into: Uint8Array) => boolean {
  const begins = Float64Array.from(starts);
  const kept = new Map<number, Uint8Array | undefined>();
  const contentOf = (i: number): Uint8Array | undefined => {
    if (kept.has(i)) return kept.get(i);
    const size = (begins[i + 1] as number) - (begins[i] as number);
    const content = readFrame(source, offsets[i] as number, sizes[i] as number, size);
    if (kept.size >= keptFrames) kept.delete(kept.keys().next().value as number);
    kept.set(i, content);
    return content;
  };
  return (from, into) => {
    let isSound = true;
    for (let at = 0, i = countUpTo(begins, from) - 1; at < into.length; i++) {
      const start = begins[i] as number;
      const skip = from + at - start;
      const size = Math.min((begins[i + 1] as number) - start - skip, into.length - at);
      const content = contentOf(i);
      if (content) into.set(content.subarray(skip, skip + size), at);
      else isSound = false;
      at += size;
    }
    return isSound;
  };
}

/** A frame's content; undefined when it is damaged. */
function readFrame(
  source: ByteSource,
  offset: number,
  size: number,
  expected: number,
): Uint8Array | undefined {
  const bytes = source.read(offset, frameHeadSize + size);
  const data = bytes.subarray(frameHeadSize + 4);
  try {
    const content = bytes[0] === 1 ? data : unsnappy(data, expected);
    const crc = crc32c(content);
    // "Masked": checksums of what holds checksums are no good.
    const masked = (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0;
    const isSame = new ByteView(bytes, true).u32(frameHeadSize) === masked;
    return isSame && content.length === expected ? content : undefined;
  } catch (error) {
    if (error instanceof TextpokeError && error.code === 'compressed-malformed') return undefined;
    throw error;
  }
}
