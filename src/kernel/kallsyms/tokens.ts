// The token table of kallsyms: 256 texts that end in NUL, and 256 numbers of 16 bits that say where each begins
// (scripts/kallsyms.c: write_src). Nothing names it in a stripped kernel, but hardly anything else looks like it.
import { longestName } from './limits.ts';

export interface TokenTable {
  /** Byte offset of the first token, and of the index behind the table. */
  readonly table: number;
  readonly index: number;
  /** Byte offset of each token's text, and its length without the NUL. */
  readonly starts: Uint32Array;
  readonly lengths: Uint16Array;
}

const tokens = 256;
/** Size of the index in bytes. */
export const indexSize = 2 * tokens;
/** Labels are aligned to 4 or 8 bytes, so that at most 7 zeros are filler. */
const mostFiller = 7;

/**
 * Every token table of the bytes, in order. Linear: an index begins with 0 and rises, so none begins within another,
 * and each leads to one or two places for its table.
 */
export function* tokenTables(bytes: Uint8Array, little: boolean): Generator<TokenTable> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = wordsOf(bytes);
  const index = new Uint32Array(tokens);
  const next = (from: number) => nextIndex(words, view, little, from, index);
  for (let at = next(0); at >= 0; at = next(at + 4)) {
    const found = tableBefore(bytes, at, index);
    if (found) yield found;
  }
}

/** Byte offset of the next index from `at` on, whose numbers go to `index`; -1 where there is none. */
function nextIndex(
  words: Int32Array,
  view: DataView,
  little: boolean,
  at: number,
  index: Uint32Array,
): number {
  const end = (view.byteLength - indexSize) / 4;
  for (let i = at / 4; i <= end; i++) {
    // 0 and another number, in either byte order
    const two = words[i] as number;
    if ((two & firstHalf) === 0 && two !== 0 && readIndex(view, little, 4 * i, index)) return 4 * i;
  }
  return -1;
}

/** The bits of a word in this machine's byte order that its first two bytes fill. */
const firstHalf = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 0xffff : 0xffff_0000;

/** The bytes as words of this machine: eight times as fast as a DataView for a loop over a whole kernel. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Int32Array(buffer, byteOffset, Math.floor(bytes.length / 4));
}

function readIndex(view: DataView, little: boolean, at: number, index: Uint32Array): boolean {
  let last = 0;
  for (let token = 1; token < tokens; token++) {
    const value = view.getUint16(at + 2 * token, little);
    if (value <= last || value - last > longestName) return false;
    index[token] = last = value;
  }
  return true;
}

/** The table that the index at byte `at` describes. Only the length of the last token is not in the index. */
function tableBefore(bytes: Uint8Array, at: number, index: Uint32Array): TokenTable | undefined {
  let end = at; // behind the last byte of text
  const least = Math.max(0, at - tokens - mostFiller - 1);
  while (end > least && bytes[end - 1] === 0) end--;
  if (end === least || end === at) return undefined;
  for (const table of [startOfLast(bytes, end) - (index[tokens - 1] as number), startByOther(end, index)]) {
    const found = table >= 0 && table % 4 === 0 ? checkedTable(bytes, table, at, index) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Where the text that ends at `end` begins. */
function startOfLast(bytes: Uint8Array, end: number): number {
  const least = Math.max(0, end - longestName);
  let start = end;
  while (start > least && bytes[start - 1] !== 0) start--;
  return start;
}

/** The table's start where its last tokens are empty: codes that no name uses. The text that ends at `end` is another's. */
function startByOther(end: number, index: Uint32Array): number {
  let token = tokens - 2;
  while (token >= 0 && (index[token + 1] as number) - (index[token] as number) === 1) token--;
  return token < 0 ? -1 : end + 1 - (index[token + 1] as number);
}

/** Every token ends where the index says, and holds what names are made of; behind the last one is filler. */
function checkedTable(
  bytes: Uint8Array,
  table: number,
  at: number,
  index: Uint32Array,
): TokenTable | undefined {
  const starts = new Uint32Array(tokens);
  const lengths = new Uint16Array(tokens);
  for (let token = 0; token < tokens; token++) {
    const start = table + (index[token] as number);
    let end = start;
    while (end < at && isNameByte(bytes[end] as number)) end++;
    if (end === at || bytes[end] !== 0) return undefined;
    if (token + 1 < tokens && end + 1 !== table + (index[token + 1] as number)) return undefined;
    starts[token] = start;
    lengths[token] = end - start;
  }
  const filler = at - (starts[tokens - 1] as number) - (lengths[tokens - 1] as number) - 1;
  if (filler > mostFiller) return undefined;
  for (let i = at - filler; i < at; i++) if (bytes[i] !== 0) return undefined;
  return { table, index: at, starts, lengths };
}

/** What nm prints of a name: no blanks and no controls. */
function isNameByte(byte: number): boolean {
  return byte > 0x20 && byte !== 0x7f;
}
