// The text that a memory holds against the text that it must hold.
import type { Memory } from '../memory/memory.ts';
import type { ExpectedText } from './expected.ts';
import type { TextKind } from './kind.ts';
import { kindNumbers, textKinds } from './kind.ts';

/** Adjacent bytes that nothing explains, as linked. Equal bytes between two such stretches may be among them. */
export interface Unexplained {
  readonly address: number;
  readonly length: number;
}

/** Bytes that differ from the file, by what wrote them. */
export interface KindBytes {
  readonly kind: TextKind;
  /** As the state of the kernel demands. */
  readonly bytes: number;
  /** Another form that the place may hold for ever. */
  readonly others: number;
}

export interface ComparedText {
  readonly name: string;
  readonly start: number;
  /** Bytes that were compared. */
  readonly bytes: number;
  /** Bytes that the memory does not have. */
  readonly missing: number;
  /** Bytes that differ from the file. */
  readonly differ: number;
  readonly kinds: readonly KindBytes[];
  /** Bytes that are not what they must be. */
  readonly unexplained: number;
  readonly runs: readonly Unexplained[];
  /** What the memory has. */
  readonly memory: Uint8Array;
}

/** Bytes that are read at once. */
const blockSize = 1 << 16;
/** Stretches that are nearer than this are one change. */
const nearby = 4;
/** What `kinds` of the text has for a byte of another form. */
const otherForm = 0x80;

/**
 * Compares the first `length` bytes of a text with a memory, in which what is linked at A lies at A + offset. Where the memory
 * holds another form that is accepted, the text takes it over.
 */
export function compareText(
  text: ExpectedText,
  length: number,
  memory: Memory,
  offset: number,
): ComparedText {
  const bytes = new Uint8Array(length);
  const absent = readAll(text.start, bytes, memory, offset);
  takeOthers(text, bytes);
  const { bytes: expected, file, kinds } = text;
  const counts = new Float64Array(256);
  const runs: Unexplained[] = [];
  let differ = 0;
  let unexplained = 0;
  let first = -1;
  let last = -1;
  const endRun = () => {
    if (first >= 0) runs.push({ address: text.start + first, length: last + 1 - first });
    first = -1;
  };
  let missing = 0;
  for (let gap = 0, from = 0; gap <= absent.length; gap += 2) {
    const to = absent[gap] ?? length;
    for (let i = from; ; i++) {
      i = nextChange(bytes, file, expected, i, to);
      if (i >= to) break;
      const byte = bytes[i];
      if (byte !== file[i]) differ++;
      if (byte === expected[i]) {
        counts[kinds[i] as number]!++;
        continue;
      }
      unexplained++;
      if (first >= 0 && i - last > nearby) endRun();
      if (first < 0) first = i;
      last = i;
    }
    from = absent[gap + 1] ?? length;
    missing += from - to;
  }
  endRun();
  const byKind = textKinds.map((kind): KindBytes => {
    const number = kindNumbers[kind];
    return { kind, bytes: counts[number] as number, others: counts[number | otherForm] as number };
  });
  return {
    name: text.name,
    start: text.start,
    bytes: length - missing,
    missing,
    differ,
    kinds: byKind.filter((one) => one.bytes + one.others > 0),
    unexplained,
    runs,
    memory: bytes,
  };
}

/** The first place from `i` on where not all three are the same; `end` where there is none. */
function nextChange(a: Uint8Array, b: Uint8Array, c: Uint8Array, i: number, end: number): number {
  let at = i;
  while (at < end && a[at] === b[at] && a[at] === c[at]) at++;
  return at;
}

/** Reads all there is; the ends of each stretch that there is not, as offsets. */
function readAll(start: number, into: Uint8Array, memory: Memory, offset: number): number[] {
  const absent: number[] = [];
  const miss = (from: number, to: number) => {
    if (absent.at(-1) === from) absent[absent.length - 1] = to;
    else absent.push(from, to);
  };
  const page = 4096;
  for (let at = 0; at < into.length; at += blockSize) {
    const end = Math.min(at + blockSize, into.length);
    if (memory.read(start + at + offset, into.subarray(at, end))) continue;
    for (let from = at; from < end; from += page) {
      const to = Math.min(from + page, end);
      if (!memory.read(start + from + offset, into.subarray(from, to))) miss(from, to);
    }
  }
  return absent;
}

/** Places that hold another of their forms as a whole. */
function takeOthers(text: ExpectedText, memory: Uint8Array): void {
  for (const { address, bytes, kind } of text.others) {
    const from = address - text.start;
    if (from + bytes.length > memory.length) continue;
    if (bytes.some((byte, i) => memory[from + i] !== byte)) continue;
    for (let i = 0; i < bytes.length; i++) {
      if (text.bytes[from + i] === bytes[i]) continue;
      text.bytes[from + i] = bytes[i] as number;
      text.kinds[from + i] = kindNumbers[kind] | otherForm;
    }
  }
}
