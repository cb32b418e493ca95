// .altinstructions of arm64: struct alt_instr of 12 bytes (arch/arm64/include/asm/alternative.h).
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { longestTable } from '../longest-table.ts';
import { sectionRange, type TableRange, tableRange } from '../tables.ts';
import { size } from './words.ts';

/** An entry of `.altinstructions`: struct alt_instr, 12 bytes. */
export interface Alternative {
  readonly address: number;
  /** Bytes of the place. */
  readonly length: number;
  /** Where the code that replaces it lies; of a callback, the callback. */
  readonly replacement: number;
  /** Undefined: whatever the system is (ARM64_CB_PATCH, up to 5.17). */
  readonly cap: number | undefined;
  readonly isCallback: boolean;
}

export const entrySize = 12;
const callbackBit = 1 << 15;

/** The entries of a kernel in the order of its table; undefined without one. Error `table-malformed`. */
export function readAlternatives(image: Image): readonly Alternative[] | undefined {
  const range =
    tableRange(image, '.altinstructions', '__alt_instructions', '__alt_instructions_end') ?? findTable(image);
  return range && readTable(image, range);
}

/** The same of a module, whose table is a section. */
export function readModuleAlternatives(image: Image): readonly Alternative[] | undefined {
  const range = sectionRange(image, '.altinstructions');
  return range && readTable(image, range);
}

function readTable(image: Image, range: TableRange): readonly Alternative[] {
  const { start, size: bytes } = range;
  const malformed = (what: string) =>
    new TextpokeError('table-malformed', what, { file: image.file.path, section: '.altinstructions' });
  if (bytes % entrySize !== 0 || image.fileOffset(start, bytes) === undefined)
    throw malformed(`the table has ${bytes} bytes; a multiple of ${entrySize} in the file is required`);
  const raw = image.read(start, bytes);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const entries: Alternative[] = [];
  for (let at = 0; at < bytes; at += entrySize) {
    const entry = entryAt(view, at, start);
    if (!entry) throw malformed(`the entry at ${at} has code of another length than its place`);
    entries.push(entry);
  }
  return entries;
}

/** The entry at an offset of a table that begins at `start`; undefined for what is none. */
export function entryAt(view: DataView, at: number, start: number): Alternative | undefined {
  const kind = view.getUint16(at + 8, true);
  const length = view.getUint8(at + 10);
  const replacementLength = view.getUint8(at + 11);
  const isMarked = (kind & callbackBit) !== 0;
  // Of nothing (dcache_by_line_op of 7.1 has such entries) nothing is made.
  const isCallback = isMarked || (replacementLength === 0 && length > 0);
  if (length % size !== 0 || (isMarked && replacementLength !== 0)) return undefined;
  if (!isCallback && replacementLength !== length) return undefined;
  return {
    address: start + at + view.getInt32(at, true),
    length,
    replacement: start + at + 4 + view.getInt32(at + 4, true),
    cap: isCallback && !isMarked ? undefined : kind & ~callbackBit,
    isCallback,
  };
}

/** Entries lie far from code. */
const nearest = 4096;

/** The table of a kernel whose symbols do not tell of it. */
function findTable(image: Image): TableRange | undefined {
  return longestTable(image, entrySize, 4, (view, at, start) => {
    const entry = entryAt(view, at, start);
    if (!entry || entry.length === 0) return false;
    const { address, replacement, length } = entry;
    const isFar =
      Math.abs(address - (start + at)) > nearest && Math.abs(replacement - (start + at)) > nearest;
    const isThere = (from: number) =>
      from % size === 0 && (image.codeAt(from) !== undefined || image.contains(from, length));
    return isFar && isThere(address) && isThere(replacement);
  });
}
