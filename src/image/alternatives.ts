// .altinstructions: `struct alt_instr` (arch/x86/include/asm/alternative.h), a place and the code that replaces it on
// processors with a feature. 12 bytes, where bit 15 of the feature says "without it"; 14 bytes with flags since 6.3.
import type { Address, EntryAddress } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import { SHF_EXECINSTR } from '../elf/constants.ts';
import type { Image } from './image.ts';

/** An entry of the table. */
export interface Alternative {
  readonly entry: EntryAddress;
  /** Place of the code that is replaced, and its bytes. */
  readonly address: Address;
  readonly length: number;
  /** Place of the code that replaces it, and its bytes. */
  readonly replacement: Address;
  readonly replacementLength: number;
  /** Number of the feature: 32 times the word, plus the bit. */
  readonly feature: number;
  /** ALT_NOT: for processors without the feature. */
  readonly isInverted: boolean;
  /** ALT_DIRECT_CALL: an indirect call becomes a direct one of what its pointer holds. */
  readonly isDirectCall: boolean;
}

/** Longest code that an entry can name, since its length is a byte. */
const longest = 0xff;

/** Sizes of an entry, and where the length of the code stands in it. */
const forms = [
  { size: 12, lengthAt: 10 },
  { size: 14, lengthAt: 12 },
] as const;
type Form = (typeof forms)[number];

/** Alternatives in the order of their places. */
export class Alternatives {
  /** In the order of the table, in which a kernel goes through them. */
  readonly listed: readonly Alternative[];
  /** Bytes of an entry of the table. */
  readonly entrySize: number;
  private readonly entries: readonly Alternative[];
  private readonly places: Float64Array;

  constructor(entries: readonly Alternative[], entrySize = 14) {
    this.listed = entries;
    this.entrySize = entrySize;
    this.entries = [...entries].sort((a, b) => a.address - b.address || a.entry - b.entry);
    this.places = Float64Array.from(this.entries, ({ address }) => address as number);
  }

  get count(): number {
    return this.entries.length;
  }

  /** Those whose code begins in [start, end), in order of their places. */
  between(start: Address, end: Address): readonly Alternative[] {
    return this.entries.slice(countUpTo(this.places, start - 1), countUpTo(this.places, end - 1));
  }

  /** Those whose code has the byte at an address. */
  at(address: Address): readonly Alternative[] {
    const from = countUpTo(this.places, address - longest);
    const to = countUpTo(this.places, address as number);
    return this.entries.slice(from, to).filter((one) => address < one.address + one.length);
  }
}

/** What is known of a module's table besides. */
export interface ModuleTable {
  /** Bytes of an entry of the kernel's own table: a small table may read like entries of either size. */
  readonly entrySize?: number | undefined;
  /** Code that was given back. */
  readonly isGone?: (address: number) => boolean;
}

/**
 * The alternatives of a linked kernel, or of a module; undefined where it lists none, or where the table reads like entries
 * of no size, or of both. Every entry must name code that is replaced, and code that is no longer and replaces it.
 */
export function readAlternatives(
  image: Image,
  { entrySize, isGone = () => false }: ModuleTable = {},
): Alternatives | undefined {
  const range = alternativesRange(image);
  if (!range) return undefined;
  const view = new ByteView(image.read(range.start, range.size), image.file.header.little);
  const sound = forms.flatMap((form) => {
    if (entrySize !== undefined && form.size !== entrySize) return [];
    const entries = readEntries(image, range.start, view, form, isGone);
    return entries ? [{ entries, size: form.size }] : [];
  });
  const [only] = sound;
  return only && sound.length === 1 ? new Alternatives(only.entries, only.size) : undefined;
}

/** Where the table lies; undefined where there is none. */
export function alternativesRange(
  image: Image,
): { readonly start: number; readonly size: number } | undefined {
  const start = image.symbols.addressOf('__alt_instructions');
  const end = image.symbols.addressOf('__alt_instructions_end');
  const section = image.file.sections.find(({ name }) => name === '.altinstructions');
  const range =
    start !== undefined && end !== undefined
      ? { start, size: end - start }
      : section && { start: section.addr, size: section.size };
  if (!range || range.size <= 0) return undefined;
  return image.fileOffset(range.start, range.size) === undefined ? undefined : range;
}

/** The entries if all of them are sound, read as entries of that size. */
function readEntries(
  image: Image,
  start: number,
  view: ByteView,
  { size, lengthAt }: Form,
  isGone: (address: number) => boolean,
): Alternative[] | undefined {
  if (view.bytes.length % size !== 0) return undefined;
  const entries: Alternative[] = [];
  for (let at = 0; at < view.bytes.length; at += size) {
    const kind = view.u16(at + 8);
    const flags = size === 12 ? kind >> 15 : view.u16(at + 10);
    const entry: Alternative = {
      entry: start + at,
      address: start + at + view.s32(at),
      replacement: start + at + 4 + view.s32(at + 4),
      length: view.bytes[at + lengthAt] as number,
      replacementLength: view.bytes[at + lengthAt + 1] as number,
      feature: size === 12 ? kind & 0x7fff : kind,
      isInverted: (flags & 1) !== 0,
      isDirectCall: (flags & 2) !== 0,
    };
    if (!isSound(image, entry, isGone)) return undefined;
    entries.push(entry);
  }
  return entries;
}

function isSound(
  image: Image,
  { address, length, replacement, replacementLength }: Alternative,
  isGone: (address: number) => boolean,
): boolean {
  // Code of a kernel's own kexec lies in its .data, which therefore is flagged as executable (6.18).
  const isExecutable = (at: number) =>
    image.codeAt(at) !== undefined || isGone(at) || ((image.sectionAt(at)?.flags ?? 0) & SHF_EXECINSTR) !== 0;
  const isCode = (from: number, size: number) =>
    size === 0 || (isExecutable(from) && isExecutable(from + size - 1));
  return (
    length > 0 &&
    replacementLength <= length &&
    isCode(address, length) &&
    isCode(replacement, replacementLength)
  );
}
