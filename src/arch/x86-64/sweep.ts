// A linear walk over the instructions of an x86-64 code section, from one symbol to the next as `objdump -d`
// does it, and the lock prefixes it finds.
import { countUpTo } from '../../bytes/search.ts';
import type { CodeMap } from '../code-map.ts';
import { decodeInstruction, isLockableAt, lengthOf, lockPrefixOf, MAX_INSTRUCTION_LENGTH } from './length.ts';
import { LOCK_PREFIX } from './opcodes.ts';

export interface SweepResult {
  readonly instructions: number;
  readonly undecodableBytes: number;
  /** Offset of the first undecodable byte, or -1. */
  readonly firstUndecodable: number;
}

/**
 * Calls `visit` with every instruction: its offset and what `decodeInstruction` says about it.
 *
 * No instruction crosses a start, the start of data, or the end of the section: one that would is undecodable.
 * After an undecodable byte the walk goes on with the next one (objdump skips the prefixes and opcode that made
 * no sense as well; neither is better founded). Zeros are instructions like any other (`objdump -z`).
 */
export function sweep(
  code: Uint8Array,
  map: CodeMap,
  visit: (offset: number, packed: number) => void,
): SweepResult {
  let instructions = 0;
  let undecodableBytes = 0;
  let firstUndecodable = -1;
  forEachRun(code.length, map, (start, end) => {
    for (let offset = start; offset < end; ) {
      const packed = decodeInstruction(code, offset, end);
      if (packed === 0) {
        if (undecodableBytes++ === 0) firstUndecodable = offset;
        offset++;
      } else {
        instructions++;
        visit(offset, packed);
        offset += lengthOf(packed);
      }
    }
  });
  return { instructions, undecodableBytes, firstUndecodable };
}

/** Calls `visitRun` with every stretch of code between synchronisation points, in order. */
function forEachRun(size: number, map: CodeMap, visitRun: (start: number, end: number) => void): void {
  const { starts, data } = map;
  let nextStart = 0;
  let nextData = 0;
  let offset = 0;
  while (offset < size) {
    const dataStart = Math.min(data[nextData] ?? size, size);
    if (offset >= dataStart) {
      offset = Math.max(offset, data[nextData + 1] ?? size);
      nextData += 2;
      continue;
    }
    while (nextStart < starts.length && starts[nextStart]! <= offset) nextStart++;
    const end = Math.min(starts[nextStart] ?? size, dataStart);
    visitRun(offset, end);
    offset = end;
  }
}

/**
 * Offsets of the F0 bytes that are the first lock prefix of an instruction that may have one, ascending: those that `sweep`
 * comes by, found without the sweep. F0 bytes are rare, and few of them stand in front of what can be locked: this is
 * asked first, and only the instructions around what is left are decoded.
 */
export function findLockPrefixes(code: Uint8Array, map: CodeMap): Uint32Array {
  const found: number[] = [];
  const buffer = Buffer.from(code.buffer, code.byteOffset, code.length); // whose indexOf is memchr(3)
  let f0 = -1;
  forEachRun(code.length, map, (start, end) => {
    let known = start;
    if (f0 < start) f0 = indexOfLock(buffer, start);
    for (; f0 < end; f0 = indexOfLock(buffer, f0 + 1)) {
      // An earlier prefix of this same instruction was F0 already.
      if (f0 < known) continue;
      const offset = coveringOffset(code, known, end, f0);
      const packed = decodeInstruction(code, offset, end);
      if (offset + lockPrefixOf(packed) === f0) found.push(f0);
      known = offset + (lengthOf(packed) || 1);
    }
  });
  return Uint32Array.from(found);
}

/** True when a sweep comes by an instruction that starts at `offset`, without the sweep. */
export function startsInstruction(code: Uint8Array, map: CodeMap, offset: number): boolean {
  const [start, end] = runAround(code.length, map, offset);
  if (start === end) return false;
  if (walkTo(code, offsetBefore(code, map, start, end, offset), end, offset) !== offset) return false;
  return decodeInstruction(code, offset, end) !== 0;
}

/** Where the instruction begins that has the byte at `offset`; `offset` itself in data. */
export function instructionAround(code: Uint8Array, map: CodeMap, offset: number): number {
  const [start, end] = runAround(code.length, map, offset);
  return start === end ? offset : walkTo(code, offsetBefore(code, map, start, end, offset), end, offset);
}

/** The stretch of code between synchronisation points that has `offset`; an empty one in data or outside. */
function runAround(size: number, { starts, data }: CodeMap, offset: number): [start: number, end: number] {
  if (offset < 0 || offset >= size) return [offset, offset];
  const symbols = countUpTo(starts, offset);
  const edges = countUpTo(data, offset);
  if (edges % 2 === 1) return [offset, offset];
  const start = Math.max(starts[symbols - 1] ?? 0, data[edges - 1] ?? 0);
  return [start, Math.min(starts[symbols] ?? size, data[edges] ?? size, size)];
}

/** The first F0 from `from` on in front of what can be locked; the end of the code without any. */
function indexOfLock(code: Buffer, from: number): number {
  let at = code.indexOf(LOCK_PREFIX, from);
  while (at >= 0 && !isLockableAt(code, at)) at = code.indexOf(LOCK_PREFIX, at + 1);
  return at < 0 ? code.length : at;
}

/** How far before a place the search for its instruction begins; most walks agree long before. */
const REACH = 40;

/**
 * Where a walk that begins at `start` has the instruction, or the undecodable byte, that `place` is part of.
 *
 * A walk passes at least one of any 15 consecutive offsets. So begin at all of 15 offsets some way before
 * `place`: x86 code is such that these walks soon meet in one, and then the walk from `start`, which must be
 * among them, is that one too. If they do not, begin earlier, at the latest at `start`.
 */
function coveringOffset(code: Uint8Array, start: number, end: number, place: number): number {
  return walkTo(code, nearbyOffset(code, start, end, place, Number.POSITIVE_INFINITY), end, place);
}

/** An offset that the walk from `start` comes by, up to `place`; -1 where none is found `most` bytes before it. */
function nearbyOffset(code: Uint8Array, start: number, end: number, place: number, most: number): number {
  for (let reach = REACH; ; reach *= 2) {
    if (place - reach <= start) return start;
    if (reach > most) return -1;
    const offset = meetingOffset(code, place - reach, end, place);
    if (offset >= 0) return offset;
  }
}

/** The last offset up to `place` of the walk that comes by `from`. */
function walkTo(code: Uint8Array, from: number, end: number, place: number): number {
  let offset = from;
  for (;;) {
    const next = offset + (lengthOf(decodeInstruction(code, offset, end)) || 1);
    if (next > place) return offset;
    offset = next;
  }
}

/** From here on a walk is remembered: in code that repeats itself, walks meet nowhere. */
const furthest = 32 * REACH;
/** Bytes between two offsets that are remembered. */
const stride = 512;

/** Offsets that the walk of one stretch of code comes by, ascending, as far as it has gone. */
interface Walk {
  readonly map: CodeMap;
  readonly start: number;
  readonly offsets: number[];
}

/** The last walk of each code. A code map is made anew where the code was changed (image/code-space.ts). */
const walks = new WeakMap<Uint8Array, Walk>();

/** An offset that the walk from `start` comes by, up to `place` and not far before it. */
function offsetBefore(code: Uint8Array, map: CodeMap, start: number, end: number, place: number): number {
  const walk = walks.get(code);
  const isWalked =
    walk?.map === map && walk.start === start && place - (walk.offsets.at(-1) as number) <= furthest;
  const near = isWalked ? -1 : nearbyOffset(code, start, end, place, furthest);
  return near < 0 ? checkpointBefore(code, map, start, end, place) : near;
}

/** The same by the walk that is remembered, which goes on for it. */
function checkpointBefore(code: Uint8Array, map: CodeMap, start: number, end: number, place: number): number {
  let walk = walks.get(code);
  if (walk?.map !== map || walk.start !== start) {
    walk = { map, start, offsets: [start] };
    walks.set(code, walk);
  }
  const { offsets } = walk;
  for (;;) {
    const last = offsets.at(-1) as number;
    const next = walkTo(code, last, end, last + stride);
    // An instruction that has the place may begin before it.
    if (next <= last || next > place) break;
    offsets.push(next);
  }
  return offsets[countUpTo(offsets, place) - 1] as number;
}

/** The first offset, up to `place`, where all walks have met that begin at the 15 offsets from `from`; or -1. */
function meetingOffset(code: Uint8Array, from: number, end: number, place: number): number {
  // Bit i: one of the walks comes by `offset + i`.
  let walks = (1 << MAX_INSTRUCTION_LENGTH) - 1;
  for (let offset = from; offset <= place; offset++) {
    if (walks === 1) return offset;
    if ((walks & 1) !== 0) walks |= 1 << (lengthOf(decodeInstruction(code, offset, end)) || 1);
    walks >>>= 1;
  }
  return -1;
}
