// What annotate and the headers leave in an object for those who see the linked image: notes, which every linker keeps
// (SHT_NOTE; gABI chapter 5, "Note Section"). They hold no relocation: linkers take notes for roots of --gc-sections.
import { ByteView } from '../bytes/view.ts';
import { notesIn } from '../elf/notes.ts';

export const noteSection = '.note.textpoke';

/** The symbol by which a header's note is called once in a unit; symbols of its unit stand around it. */
export const unitSymbol = '__textpoke_unit';

const owner = 'textpoke';

/** Types of notes. A type never changes its meaning. */
export const noteTypes = {
  /** From the headers: the unit has static branches, and nobody has annotated it yet. One word, 0. */
  compiled: 0x10,
  /** The same once annotate was there, or for an object without headers. One word of `unitFlags`. */
  annotated: 0x11,
  /** `SiteRecord`s of a code section, four words each. */
  sites: 0x12,
} as const;

/** Bits of an annotated unit's word. */
export const unitFlags = {
  /** It has entries in `.smp_locks`. */
  locks: 1,
} as const;

/** How the symbol of a function binds, as far as a link can tell. */
export const bindings = { local: 0, global: 1, weak: 2, none: 3 } as const;

/** A site by the function that holds it: names and sizes of functions survive every link, addresses do not. */
export interface SiteRecord {
  /** A hash of the function's name, 64 bits in two words. */
  readonly hash: readonly [number, number];
  /** Bytes of the function, 0 for a label without size. */
  readonly size: number;
  /** One of `bindings`; `none` where no symbol covers the site. */
  readonly binding: number;
  /** Bytes from the function's start, or from the section's where there is none. */
  readonly offset: number;
}

/** FNV-1a (RFC 9923), twice over the same characters, from two starts: names of a million functions stay apart. */
export function hashOfName(name: string): readonly [number, number] {
  let [low, high] = [0x811c_9dc5, 0x0123_4567];
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    low = Math.imul(low ^ c, 0x0100_0193);
    high = Math.imul(high ^ c, 0x0100_0193) + i;
  }
  return [low >>> 0, high >>> 0];
}

/** A hash as a key of maps. */
export function hashKey([low, high]: readonly [number, number]): number {
  return (high % 0x20_0000) * 0x1_0000_0000 + low;
}

const nameSize = 12; // the owner, padded to words
const headerSize = 12 + nameSize;

/** A note of textpoke's. */
export interface UnitNote {
  readonly type: number;
  /** Byte offset of the note in the section. */
  readonly offset: number;
  readonly words: readonly number[];
}

/** The notes of textpoke's own in a section or segment of notes; others are passed over, and a torn end ends it. */
export function* readUnitNotes(bytes: Uint8Array, little: boolean): Generator<UnitNote> {
  for (const { name, nameSize, type, body, start } of notesIn(new ByteView(bytes, little))) {
    if (name !== owner || nameSize !== owner.length + 1) continue;
    const view = new ByteView(body, little);
    const words = Array.from({ length: body.length >> 2 }, (_, i) => view.u32(4 * i));
    yield { type, offset: start, words };
  }
}

/** The bytes of a note. */
export function encodeUnitNote(type: number, words: readonly number[], little: boolean): Uint8Array {
  const bytes = new Uint8Array(headerSize + 4 * words.length);
  const view = new ByteView(bytes, little);
  view.setU32(0, owner.length + 1);
  view.setU32(4, 4 * words.length);
  view.setU32(8, type);
  bytes.set(Buffer.from(owner), 12);
  for (const [i, word] of words.entries()) view.setU32(headerSize + 4 * i, word);
  return bytes;
}

const recordWords = 4;
const offsetBits = 30;

/** The words of a record. An offset beyond its 30 bits is kept as its low bits: such a site is none that is looked for. */
export function wordsOfRecord({ hash, size, binding, offset }: SiteRecord): number[] {
  return [hash[0], hash[1], size >>> 0, ((binding << offsetBits) | (offset & (2 ** offsetBits - 1))) >>> 0];
}

/** The records of a note; one that is torn off is passed over. */
export function recordsOf({ words }: UnitNote): SiteRecord[] {
  return Array.from({ length: Math.floor(words.length / recordWords) }, (_, i): SiteRecord => {
    const [low, high, size, place] = words.slice(recordWords * i, recordWords * (i + 1)) as [
      number,
      number,
      number,
      number,
    ];
    const offset = place % 2 ** offsetBits;
    return { hash: [low, high], size, binding: place >>> offsetBits, offset };
  });
}
