// What a stripped file says of its debug file, and a debug file of the one that dwz made for several (GDB, "Separate
// Debug Files"; DWARF 5, section 7.3.6).
import { ByteView } from '../bytes/view.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';

/** The content of .gnu_debuglink. */
export interface DebugLink {
  /** A file's name, without a directory. */
  readonly name: string;
  /** CRC-32 of all of the file. */
  readonly crc: number;
}

/** The content of .gnu_debugaltlink or .debug_sup. */
export interface SupplementLink {
  /** A path, counted from the directory of the file that has it. */
  readonly path: string;
  /** Build id of the supplementary file, or what its own .debug_sup repeats; as hexadecimal digits. */
  readonly id: string;
}

/** Paths are no longer than this (PATH_MAX), and checksums have some bytes. */
const longestSection = 8192;

function contentOf(file: ElfFile, name: string): Uint8Array | undefined {
  const section = file.named(name);
  if (!section || section.type === SHT_NOBITS) return undefined;
  if (section.size <= longestSection) return file.source.read(section.offset, section.size);
  throw malformed(name, `has ${section.size} bytes; at most ${longestSection} are supported`);
}

/** Bytes as digits without blanks, as paths have them. */
export function hexDigits({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('hex');
}

function malformed(section: string, what: string): TextpokeError {
  return new TextpokeError('elf-malformed', `${section} ${what}`);
}

/** The name at byte `at`, and where its NUL stands. */
function nameIn(bytes: Uint8Array, at: number, section: string): { text: string; end: number } {
  const end = bytes.indexOf(0, at);
  if (end <= at) throw malformed(section, 'has no zero-terminated name');
  return { text: new TextDecoder().decode(bytes.subarray(at, end)), end };
}

/** The debug file that a file names; undefined where it names none. Errors: `elf-malformed`, `elf-truncated`. */
export function debugLinkOf(file: ElfFile): DebugLink | undefined {
  const section = '.gnu_debuglink';
  const bytes = contentOf(file, section);
  if (!bytes) return undefined;
  const { text: name, end } = nameIn(bytes, 0, section);
  if (name.includes('/')) throw malformed(section, `names ${name}; a name without a directory is required`);
  const crc = new ByteView(bytes, file.header.little, { section }).u32((end + 4) & ~3);
  return { name, crc };
}

/** The supplementary file that a file names, if any. Errors: `elf-malformed`, `elf-truncated`. */
export function supplementLinkOf(file: ElfFile): SupplementLink | undefined {
  const alt = '.gnu_debugaltlink';
  const bytes = contentOf(file, alt);
  if (bytes) {
    const { text: path, end } = nameIn(bytes, 0, alt);
    return { path, id: hexDigits(bytes.subarray(end + 1)) };
  }
  const found = readSup(file);
  return found && !found.isSupplement ? found : undefined;
}

/** .debug_sup, which a supplementary file has too, with the same checksum. */
export function readSup(file: ElfFile): (SupplementLink & { readonly isSupplement: boolean }) | undefined {
  const section = '.debug_sup';
  const bytes = contentOf(file, section);
  if (!bytes) return undefined;
  const view = new ByteView(bytes, file.header.little, { section });
  const isSupplement = view.u8(2) === 1;
  // A supplementary file names no other.
  const { text: path, end } = isSupplement ? { text: '', end: 3 } : nameIn(bytes, 3, section);
  // One byte of LEB128 says how long the checksum is.
  const size = view.u8(end + 1);
  view.need(end + 2, size);
  return { path, id: hexDigits(bytes.subarray(end + 2, end + 2 + size)), isSupplement };
}
