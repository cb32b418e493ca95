// The build id of a file: a note by which a program and its debug file, or a dump, know each other (ld, --build-id).
import { ByteView } from '../bytes/view.ts';
import { NT_GNU_BUILD_ID, PT_NOTE, SHT_NOTE } from './constants.ts';
import type { ElfFile } from './file.ts';
import { type Note, notesIn } from './notes.ts';

/** More than the notes beside a build id have. */
const longestNotes = 1 << 16;
/** More places with notes than linkers make. */
const mostPlaces = 64;
/** Linkers make 8 to 32 bytes, and take any number. One byte names no directory and file. */
const [shortestId, longestId] = [2, 64];

/**
 * The build id; undefined where the file has none. Sections are asked first: the segments of a debug file may have no
 * bytes. Objects have it too, such as modules of a kernel.
 */
export function buildIdOf(file: ElfFile): Uint8Array | undefined {
  const { source, sections, segments } = file;
  const places = [
    ...sections
      .filter(({ type }) => type === SHT_NOTE)
      .map(({ offset, size, addralign }) => ({ offset, size, align: addralign })),
    ...segments
      .filter(({ type }) => type === PT_NOTE)
      .map(({ offset, filesz, align }) => ({ offset, size: filesz, align })),
  ];
  for (const { offset, size, align } of places.slice(0, mostPlaces)) {
    const length = Math.min(size, longestNotes, source.size - offset);
    if (length <= 0) continue;
    const notes = new ByteView(source.read(offset, length), file.header.little);
    const found = buildIdNote(notes, align, shortestId, longestId);
    if (found) return found.body;
  }
  return undefined;
}

/** The first note among `notes` that is a build id of `shortest` to `longest` bytes. */
export function buildIdNote(
  notes: ByteView,
  align: number,
  shortest = 1,
  longest = Number.POSITIVE_INFINITY,
): Note | undefined {
  for (const note of notesIn(notes, align)) {
    const { length } = note.body;
    const isBuildId = note.name === 'GNU' && note.type === NT_GNU_BUILD_ID;
    if (isBuildId && length >= shortest && length <= longest) return note;
  }
  return undefined;
}
