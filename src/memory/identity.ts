// What tells an image from all others in memory: its build id, or without one its ELF header and program headers.
import { hexBytes, sameBytes, toAddress } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { buildIdNote } from '../elf/build-id.ts';
import { PT_LOAD, PT_NOTE } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { isElf } from '../elf/magic.ts';
import { Ehdr, identSize, Phdr } from '../elf/records.ts';
import { bytesAt, type Memory } from './memory.ts';

/** Bytes of an image that a dump is held against. */
interface Mark {
  /** Virtual address, as linked. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface Identity {
  /** As hexadecimal digits. */
  readonly buildId: string | undefined;
  readonly marks: readonly Mark[];
  /** Where the first byte of the file is mapped, as linked; undefined where it is not. */
  readonly start: number | undefined;
}

/** More than a build id and the notes beside it have. */
const longestNotes = 1 << 16;
/** More than a program has of program headers. */
const mostHeaders = 128;

/** What the memory of an image has to hold. Errors: those of reading. */
export function identityOf(file: ElfFile): Identity {
  const { class: bits, phoff } = file.header;
  const tableSize = file.segments.length * Phdr[bits].size;
  const first = file.segments.find((s) => s.type === PT_LOAD && s.offset === 0);
  const start = first && first.filesz >= phoff + tableSize ? first.vaddr : undefined;
  const id = buildIdIn(file);
  if (id) return { buildId: hexBytes(id.bytes), marks: [id], start };
  if (start === undefined) return { buildId: undefined, marks: [], start };
  // What is said of sections changes when a file is stripped.
  const { offsets } = Ehdr[bits];
  const stretches = [
    [0, identSize + offsets.shoff],
    [identSize + offsets.flags, identSize + offsets.shentsize],
    [phoff, phoff + tableSize],
  ] as const;
  const marks = stretches.map(([from, to]) => ({
    address: start + from,
    bytes: file.source.read(from, to - from),
  }));
  return { buildId: undefined, marks, start };
}

function buildIdIn(file: ElfFile): Mark | undefined {
  for (const { type, offset, vaddr, filesz, align } of file.segments) {
    if (type !== PT_NOTE) continue;
    const bytes = file.source.read(offset, Math.min(filesz, longestNotes, file.source.size - offset));
    const id = buildIdNote(new ByteView(bytes, file.header.little), align);
    if (id) return { address: vaddr + id.at, bytes: id.body };
  }
  return undefined;
}

/** Whether memory has the image at `slide`; unknown where the dump lacks what would tell. */
export function compareIdentity(
  { marks }: Identity,
  memory: Memory,
  slide: number,
): 'same' | 'other' | 'unknown' {
  let verdict: 'same' | 'unknown' = marks.length > 0 ? 'same' : 'unknown';
  for (const { address, bytes } of marks) {
    const found = bytesAt(memory, address + slide, bytes.length);
    if (!found) verdict = 'unknown';
    else if (!sameBytes(found, bytes)) return 'other';
  }
  return verdict;
}

/** The build id of the ELF file whose first byte is mapped at `start`; undefined where the dump has none. */
export function buildIdAt(
  memory: Memory,
  start: number,
  { class: bits, little }: ElfFile['header'],
): string | undefined {
  const headerSize = identSize + Ehdr[bits].size;
  const head = bytesAt(memory, start, headerSize);
  if (!head || !isElf(head)) return undefined;
  const { phoff, phnum } = Ehdr[bits].read(new ByteView(head, little), identSize);
  const format = Phdr[bits];
  const table = bytesAt(memory, start + Number(phoff), Math.min(phnum, mostHeaders) * format.size);
  if (!table) return undefined;
  const view = new ByteView(table, little);
  const headers = Array.from({ length: table.length / format.size }, (_, i) =>
    format.read(view, i * format.size),
  );
  const first = headers.find(({ type, offset }) => type === PT_LOAD && Number(offset) === 0);
  if (!first) return undefined;
  for (const { type, vaddr, filesz, align } of headers) {
    if (type !== PT_NOTE) continue;
    const address = start + toAddress(vaddr) - toAddress(first.vaddr);
    const bytes = bytesAt(memory, address, Math.min(Number(filesz), longestNotes));
    const id = bytes && buildIdNote(new ByteView(bytes, little), Number(align));
    if (id) return hexBytes(id.body);
  }
  return undefined;
}
