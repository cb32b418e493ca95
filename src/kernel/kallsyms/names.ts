// The names of kallsyms: a stream of compressed names, the number of them in front, and markers behind, which say where
// every 256th name begins. Since 6.2 (and by point releases of 5.10 and 6.1) the order of the names by text may follow
// (scripts/kallsyms.c: write_src; kernel/kallsyms.c: kallsyms_expand_symbol).
import { alignUp } from '../../bytes/integer.ts';
import { type Budget, longestName } from './limits.ts';
import { isPermutation, sequenceWidth } from './order.ts';
import type { TokenTable } from './tokens.ts';

export interface NameStream {
  /** Byte offsets of the number of names, the first name and the first marker. */
  readonly countAt: number;
  readonly names: number;
  readonly markers: number;
  /** Byte offset of kallsyms_seqs_of_names, where it lies between markers and tokens. */
  readonly sequence: number | undefined;
  /** Byte offset of each name's first code. */
  readonly starts: Uint32Array;
  /** Codes of each name. */
  readonly codes: Uint16Array;
  /** Bytes of all decoded names, their letters included. */
  readonly decoded: number;
}

const perMarker = 256;
/** Bytes that a label may be moved by. */
const mostFiller = 7;
/** Bytes of a code stream: a length and one code at least, and the two-byte length with the longest name at most. */
const shortestBlock = 2 * perMarker;
const longestBlock = perMarker * (longestName + 2);
/** Places that may be tried in vain in front of one token table; a kernel needs one. */
const mostTries = 64;

/** Labels are aligned to a word, and to 4 bytes since 7.0. */
const alignments = [8, 4] as const;

/** What lies between the markers and the token table: nothing, or a number of three bytes for each name. */
const sequenceWidths = [0, sequenceWidth] as const;

/** Where names may lie, and what they may cost. */
export interface Search {
  readonly bytes: Uint8Array;
  readonly little: boolean;
  /** Byte offset behind what belongs to the token table before: nothing in front of it is looked at. */
  readonly from: number;
  readonly budget: Budget;
}

/** The names in front of a token table; undefined where none fit it. */
export function namesBefore(search: Search, tokens: TokenTable): NameStream | undefined {
  const { bytes, little, from } = search;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let tries = 0;
  for (let at = tokens.table - 4; at >= from + 8; at -= 4) {
    if (view.getUint32(at, true) !== 0) continue;
    const rising = countRising(view, little, at, tokens.table);
    for (const width of sequenceWidths) {
      for (const blocks of blockCounts(tokens.table - at, width)) {
        if (blocks > rising) continue;
        if (blocks > 1 && ++tries > mostTries) return undefined;
        for (const alignment of alignments) {
          const found = namesAt({ ...search, view, tokens, alignment, markers: at, blocks, width });
          if (found) return found;
        }
      }
    }
  }
  return undefined;
}

/** How many numbers from `at` on may be markers: the first is 0, and they rise by the size of 256 names. */
function countRising(view: DataView, little: boolean, at: number, end: number): number {
  let count = 1;
  let before = 0;
  for (let place = at + 4; place + 4 <= end; place += 4, count++) {
    const value = view.getUint32(place, little);
    if (value - before < shortestBlock || value - before > longestBlock) break;
    before = value;
  }
  return count;
}

/** How many markers there may be where they, the numbers of `width` bytes for each name and filler take `size` bytes. */
function blockCounts(size: number, width: number): number[] {
  const counts: number[] = [];
  const per = 4 + perMarker * width;
  for (let blocks = Math.max(1, Math.ceil((size - 2 * mostFiller) / per)); ; blocks++) {
    const least = 4 * blocks + width * (perMarker * (blocks - 1) + 1);
    if (least > size) return counts;
    counts.push(blocks);
  }
}

interface Try extends Search {
  readonly view: DataView;
  readonly tokens: TokenTable;
  readonly alignment: 4 | 8;
  /** Byte offset and number of the markers, and bytes of each number behind them. */
  readonly markers: number;
  readonly blocks: number;
  readonly width: number;
}

/** Looks for the number of names, which stands in front of them. */
function namesAt(t: Try): NameStream | undefined {
  const { bytes, view, little, alignment, markers, blocks, width } = t;
  const inFront = blocks > 1 ? view.getUint32(markers + 4 * (blocks - 1), little) : 0;
  const lowest = Math.max(t.from + alignment, markers - inFront - longestBlock - alignment);
  for (let names = markers - alignUp(inFront, alignment); names >= lowest; names -= alignment) {
    const countAt = names - alignment;
    const count = view.getUint32(countAt, little);
    if (count <= perMarker * (blocks - 1) || count > perMarker * blocks || 2 * count > markers - names)
      continue;
    const sequence = markers + alignUp(4 * blocks, alignment);
    if (sequence + alignUp(width * count, alignment) !== t.tokens.table) continue;
    for (const wide of [true, false]) {
      t.budget.spend(perMarker, names);
      const walked = walk(t, names, count, wide);
      if (!walked) continue;
      if (width === 0) return { countAt, names, markers, sequence: undefined, ...walked };
      if (isPermutation(bytes, sequence, count)) return { countAt, names, markers, sequence, ...walked };
    }
  }
  return undefined;
}

/**
 * Goes through all names: each has a letter and a text, those of the markers begin where these say, and the last one
 * ends at the markers. `wide`: bit 7 of a length says that a second byte has its upper bits (6.1 and later).
 */
function walk(
  { bytes, view, little, tokens, alignment, markers, blocks, budget }: Try,
  names: number,
  count: number,
  wide: boolean,
): Pick<NameStream, 'starts' | 'codes' | 'decoded'> | undefined {
  const firstBlock = blocks > 1 ? view.getUint32(markers + 4, little) : undefined;
  if (firstBlock !== undefined && !endsAt(bytes, names, names + firstBlock, wide)) return undefined;
  budget.spend(count, names);
  const starts = new Uint32Array(count);
  const codes = new Uint16Array(count);
  let at = names;
  let decoded = 0;
  for (let i = 0; i < count; i++) {
    if (i % perMarker === 0 && at - names !== view.getUint32(markers + (i / perMarker) * 4, little)) {
      return undefined;
    }
    let length = bytes[at++] as number;
    if (wide && length >= 0x80) length = (length & 0x7f) | ((bytes[at++] as number) << 7);
    if (length === 0 || at + length > markers) return undefined;
    let text = 0;
    for (let code = at; code < at + length; code++) text += tokens.lengths[bytes[code] as number] as number;
    if (text < 2 || text > longestName || !isLetter(firstByte(bytes, tokens, at, length))) return undefined;
    starts[i] = at;
    codes[i] = length;
    decoded += text;
    at += length;
  }
  if (names + alignUp(at - names, alignment) !== markers) return undefined;
  for (let filler = at; filler < markers; filler++) if (bytes[filler] !== 0) return undefined;
  return { starts, codes, decoded };
}

/** A cheap look at the first block, so that a wrong place allocates nothing. */
function endsAt(bytes: Uint8Array, names: number, end: number, wide: boolean): boolean {
  let at = names;
  for (let i = 0; i < perMarker; i++) {
    let length = bytes[at++] as number;
    if (wide && length >= 0x80) length = (length & 0x7f) | ((bytes[at++] as number) << 7);
    at += length;
    if (length === 0 || at > end) return false;
  }
  return at === end;
}

/** The first byte of a name's text: the letter that nm prints. */
export function firstByte(bytes: Uint8Array, tokens: TokenTable, start: number, codes: number): number {
  for (let i = start; i < start + codes; i++) {
    const code = bytes[i] as number;
    if (tokens.lengths[code] !== 0) return bytes[tokens.starts[code] as number] as number;
  }
  return 0;
}

/** nm's letters, and its `?` and `-` for what it has no letter for. */
function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || byte === 0x3f || byte === 0x2d;
}
