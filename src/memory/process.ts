// What the notes of a program's core say of the process (Linux, fs/binfmt_elf.c): where it began, and which files are
// mapped where.
import { ByteView } from '../bytes/view.ts';
import type { Note } from '../elf/notes.ts';

const NT_AUXV = 6;
const NT_FILE = 0x46494c45;
const AT_PHDR = 3;
const AT_PHNUM = 5;
const AT_ENTRY = 9;

/** A part of a file that is mapped. */
export interface MappedFile {
  /** Address of its first byte, and where that stands in the file. */
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly name: string;
}

export interface ProcessNotes {
  /** AT_ENTRY: where the program's first instruction lies. */
  readonly entry: number | undefined;
  /** AT_PHDR and AT_PHNUM: where the program headers of the program lie, and how many there are. */
  readonly headers: number | undefined;
  readonly headerCount: number;
  /** NT_FILE: in order of address. */
  readonly files: readonly MappedFile[];
}

/** Reads a core's notes of the process one after the other; undefined where there is none. */
export function processNotes(
  notes: Iterable<Note>,
  { class: bits, little }: { class: 32 | 64; little: boolean },
): ProcessNotes | undefined {
  const size = bits / 8;
  let auxv: ReadonlyMap<number, number> | undefined;
  let files: MappedFile[] | undefined;
  for (const { name, type, body } of notes) {
    if (name !== 'CORE') continue;
    const view = new ByteView(body, little);
    const count = Math.floor(body.length / size);
    const word = (i: number) => (size === 8 ? view.s64(i * 8) : view.u32(i * 4));
    if (type === NT_AUXV && !auxv) {
      const pairs = Array.from({ length: count >> 1 }, (_, i) => [word(2 * i), word(2 * i + 1)] as const);
      auxv = new Map(pairs);
    } else if (type === NT_FILE && !files && count >= 2) files = readFiles(body, word, count, size);
  }
  if (!auxv && !files) return undefined;
  const known = (type: number) => {
    const value = auxv?.get(type);
    return Number.isSafeInteger(value) ? value : undefined;
  };
  return {
    entry: known(AT_ENTRY),
    headers: known(AT_PHDR),
    headerCount: known(AT_PHNUM) ?? 0,
    files: files ?? [],
  };
}

/** A count and the size of a page, then three words for each file, then their names. */
function readFiles(body: Uint8Array, word: (i: number) => number, words: number, size: number): MappedFile[] {
  const count = word(0);
  const page = word(1);
  if (!(count >= 0 && 2 + 3 * count <= words)) return [];
  const names = Buffer.from(body.subarray((2 + 3 * count) * size))
    .toString('utf8')
    .split('\0');
  const files = Array.from({ length: count }, (_, i) => ({
    start: word(2 + 3 * i),
    end: word(3 + 3 * i),
    offset: word(4 + 3 * i) * page,
    name: names[i] ?? '',
  }));
  return files.filter(({ start, end, offset }) => [start, end, offset].every(Number.isSafeInteger));
}
