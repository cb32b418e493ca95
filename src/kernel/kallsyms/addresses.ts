// The addresses of kallsyms: which of the forms that kernels have had stands here (kernel/kallsyms.c:
// kallsyms_sym_address). A form fits where its parts lie end to end with what else is there and its addresses rise.
import { alignUp } from '../../bytes/integer.ts';
import { signed64 } from '../../bytes/view.ts';
import type { NameStream } from './names.ts';
import { isPermutation } from './order.ts';
import { indexSize, type TokenTable } from './tokens.ts';

/** What is known of the bytes in which kallsyms is looked for. */
export interface Shape {
  readonly little: boolean;
  readonly bits: 32 | 64;
  /** The address of the byte at an offset, as far as it is known. Entries that count from their own place need it. */
  readonly addressOf: (offset: number) => number | undefined;
}

export interface Addresses {
  /** Words for a note. */
  readonly form: string;
  /** The signed reading of 64 bits; unsigned where the machine has 32. */
  readonly addresses: Float64Array;
  /** False where these bytes alone do not say where the kernel lies: then only the distances of addresses are right. */
  readonly anchored: boolean;
  /** Byte offset of the first entry, and of kallsyms_relative_base where there is one. */
  readonly entries: number;
  readonly base?: number;
  /** Byte offset of kallsyms_seqs_of_names where it lies behind the addresses. */
  readonly sequence?: number;
}

/** The parts that are found already. */
export interface Found {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly shape: Shape;
  readonly tokens: TokenTable;
  readonly names: NameStream;
}

/** Every form that fits. Behind the tokens (6.4 and later) or in front of the number of names. */
export function fittingForms(found: Found): Addresses[] {
  const forms = [offsetsBehind, placeRelative, wordsBehind, inFront];
  return forms.flatMap((form) => form(found) ?? []);
}

/**
 * In front there is nothing that proves where the table begins, and offsets with their base behind them also rise as words.
 * The other way round never: words that are added to the last of them pass the end of the address space.
 */
function inFront(found: Found): Addresses | undefined {
  return offsetsInFront(found) ?? wordsInFront(found);
}

const wordSize = (found: Found) => found.shape.bits / 8;
const countOf = (found: Found) => found.names.starts.length;
const behindTokens = (found: Found) => found.tokens.index + indexSize;

/** The order by text ends kallsyms since 6.4, so it proves the size of what is in front. */
function sequenceBehind(found: Found, at: number): boolean {
  return isPermutation(found.bytes, at, countOf(found));
}

function fits(found: Found, at: number, size: number): boolean {
  return at >= 0 && at + size <= found.bytes.length;
}

/** 6.4 to 6.19: offsets, base, order. */
function offsetsBehind(found: Found): Addresses | undefined {
  const word = wordSize(found);
  const entries = behindTokens(found);
  const base = entries + alignUp(4 * countOf(found), word);
  if (found.names.sequence !== undefined || !sequenceBehind(found, base + word)) return undefined;
  const read = readOffsets(found, entries, base);
  return read && { ...read, sequence: base + word };
}

/** Before 6.4: offsets, base, number of names. */
function offsetsInFront(found: Found): Addresses | undefined {
  const word = wordSize(found);
  const base = found.names.countAt - word;
  const entries = base - alignUp(4 * countOf(found), word);
  return fits(found, entries, 0) ? readOffsets(found, entries, base) : undefined;
}

/** Offsets from the lowest address; with --absolute-percpu the negative ones alone (x86-64 with CPUs, before 6.15). */
function readOffsets(found: Found, entries: number, base: number): Addresses | undefined {
  const { view, shape } = found;
  const count = countOf(found);
  if (!fits(found, base, wordSize(found))) return undefined;
  const unsigned = view.getInt32(entries, shape.little) === 0;
  const offsets = new Float64Array(count);
  const absolute = unsigned && readUnsigned(found, entries, offsets) ? count : undefined;
  const absolutes = absolute === undefined ? readSigned(found, entries, offsets) : 0;
  if (absolutes === undefined) return undefined;
  const anchor = baseAt(found, base);
  if (anchor === undefined) return undefined;
  for (let i = absolutes; i < count; i++) offsets[i] = (offsets[i] as number) + anchor.address;
  if (shape.bits === 32 && (offsets[count - 1] as number) > 0xffff_ffff) return undefined;
  const kind =
    absolute === undefined ? 'negative offsets from a base, per-CPU ones absolute' : 'offsets from a base';
  return { form: kind, addresses: offsets, anchored: anchor.known, entries, base };
}

/** Offsets that never fall. */
function readUnsigned(found: Found, entries: number, into: Float64Array): boolean {
  const { view, shape } = found;
  let before = 0;
  for (let i = 0; i < into.length; i++) {
    const offset = view.getUint32(entries + 4 * i, shape.little);
    if (offset < before) return false;
    into[i] = before = offset;
  }
  return true;
}

/**
 * First what is absolute and not negative, then -1 - offset. Returns how many are absolute; undefined unless addresses
 * rise and the first offset is 0.
 */
function readSigned(found: Found, entries: number, into: Float64Array): number | undefined {
  const { view, shape } = found;
  let absolutes = 0;
  let before = 0;
  for (let i = 0; i < into.length; i++) {
    const value = view.getInt32(entries + 4 * i, shape.little);
    if (value >= 0) {
      if (absolutes < i || value < before) return undefined;
      absolutes++;
      into[i] = before = value;
    } else {
      const offset = -1 - value;
      if (absolutes === i ? offset !== 0 : offset < before) return undefined;
      into[i] = before = offset;
    }
  }
  return absolutes < into.length ? absolutes : undefined;
}

/** The base: an address of a kernel. A relocatable arm64 kernel may hold 0 there and the address in its relocation. */
function baseAt({ view, shape }: Found, at: number): { address: number; known: boolean } | undefined {
  if (shape.bits === 32) return { address: view.getUint32(at, shape.little), known: true };
  const address = signed64(view, at, shape.little);
  return address <= 0 ? { address, known: address < 0 } : undefined; // NaN too is no address
}

/** 7.0 and later: each entry is an address less its own place; then the order. Labels are aligned to 4 bytes. */
function placeRelative(found: Found): Addresses | undefined {
  const { view, shape } = found;
  const count = countOf(found);
  const entries = behindTokens(found);
  const sequence = entries + 4 * count;
  if (found.names.sequence !== undefined || !sequenceBehind(found, sequence)) return undefined;
  if (shape.bits === 32) return undefined; // words, which `wordsBehind` reads
  const first = shape.addressOf(entries);
  const anchored = first !== undefined && shape.addressOf(sequence - 4) === first + 4 * (count - 1);
  const addresses = new Float64Array(count);
  let before = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const place = (anchored ? first : entries) + 4 * i;
    const address = place + view.getInt32(entries + 4 * i, shape.little);
    if (address < before) return undefined;
    addresses[i] = before = address;
  }
  return { form: 'offsets from their own places', addresses, anchored, entries, sequence };
}

/** Whole addresses behind the tokens: 6.4 and later without KALLSYMS_BASE_RELATIVE; 7.0 where 32 bits are not relocatable. */
function wordsBehind(found: Found): Addresses | undefined {
  const entries = behindTokens(found);
  const sequence = entries + wordSize(found) * countOf(found);
  if (found.names.sequence !== undefined || !sequenceBehind(found, sequence)) return undefined;
  const read = readWords(found, entries);
  return read && { ...read, sequence };
}

/** Whole addresses in front of the number of names: before 6.4, without KALLSYMS_BASE_RELATIVE. */
function wordsInFront(found: Found): Addresses | undefined {
  const entries = found.names.countAt - wordSize(found) * countOf(found);
  return fits(found, entries, 0) ? readWords(found, entries) : undefined;
}

/** Whole addresses that rise. Those of 64 bits rise as unsigned numbers: absolute ones come first, the kernel's last. */
function readWords(found: Found, entries: number): Addresses | undefined {
  const { view, shape } = found;
  const addresses = new Float64Array(countOf(found));
  let before = 0;
  for (let i = 0; i < addresses.length; i++) {
    const place = entries + (shape.bits / 8) * i;
    const address =
      shape.bits === 32 ? view.getUint32(place, shape.little) : signed64(view, place, shape.little);
    const falls = before < 0 === address < 0 ? address < before : before < 0;
    if (Number.isNaN(address) || falls) return undefined;
    addresses[i] = before = address;
  }
  if (addresses.length > 0 && addresses[addresses.length - 1] === 0) return undefined;
  return { form: 'whole addresses', addresses, anchored: true, entries };
}
