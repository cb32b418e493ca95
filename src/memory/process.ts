// What the notes of a program's core say of the process (Linux, fs/binfmt_elf.c): where it began, and which files are
// mapped where.
import { ByteView } from '../bytes/view.ts';
import type { ElfHeader } from '../elf/header.ts';
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

/** What the kernel told a program when it started it (the auxiliary vector). */
export interface Auxiliary {
  /** AT_ENTRY: where the program's first instruction lies. */
  readonly entry: number | undefined;
  /** AT_PHDR and AT_PHNUM: where the program headers of the program lie, and how many there are. */
  readonly headers: number | undefined;
  readonly headerCount: number;
}

export interface ProcessNotes extends Auxiliary {
  /** NT_FILE: in order of address. */
  readonly files: readonly MappedFile[];
  /** What a person calls AT_ENTRY and the files of this process. */
  readonly words: { readonly entry: string; readonly files: string };
}

type Form = Pick<ElfHeader, 'class' | 'little'>;

/** Reads a core's notes of the process one after the other; undefined where there is none. */
export function processNotes(notes: Iterable<Note>, form: Form): ProcessNotes | undefined {
  let auxiliary: Auxiliary | undefined;
  let files: MappedFile[] | undefined;
  for (const { name, type, body } of notes) {
    if (name !== 'CORE') continue;
    if (type === NT_AUXV) auxiliary ??= readAuxiliary(body, form);
    else if (type === NT_FILE) files ??= readFiles(body, form);
  }
  if (!auxiliary && !files) return undefined;
  return {
    ...(auxiliary ?? readAuxiliary(new Uint8Array(0), form)),
    files: files ?? [],
    words: { entry: 'AT_ENTRY of the core', files: 'NT_FILE of the core' },
  };
}

/** Words of a note, as signed numbers. */
function wordsOf(body: Uint8Array, { class: bits, little }: Form) {
  const size = bits / 8;
  const view = new ByteView(body, little);
  return {
    size,
    count: Math.floor(body.length / size),
    word: (i: number) => (size === 8 ? view.s64(i * 8) : view.u32(i * 4)),
  };
}

/** Pairs of a type and a value, as NT_AUXV and /proc/PID/auxv have them. */
export function readAuxiliary(body: Uint8Array, form: Form): Auxiliary {
  const { count, word } = wordsOf(body, form);
  const values = new Map(
    Array.from({ length: count >> 1 }, (_, i) => [word(2 * i), word(2 * i + 1)] as const),
  );
  const known = (type: number) => {
    const value = values.get(type);
    return Number.isSafeInteger(value) ? value : undefined;
  };
  return { entry: known(AT_ENTRY), headers: known(AT_PHDR), headerCount: known(AT_PHNUM) ?? 0 };
}

/** A count and the size of a page, then three words for each file, then their names. */
function readFiles(body: Uint8Array, form: Form): MappedFile[] | undefined {
  const { size, count: words, word } = wordsOf(body, form);
  if (words < 2) return undefined;
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
