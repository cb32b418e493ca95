// The file of an image as it stands in memory: every write of the record carried over. A kernel's keys may lie in
// .bss; then the segment's part of the file grows, and whatever lies behind it moves on by whole pages.
import { alignUp, hex } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { PT_LOAD, SHF_ALLOC, SHT_NOBITS } from '../elf/constants.ts';
import type { Segment } from '../elf/file.ts';
import { Ehdr, identSize, Phdr, Shdr } from '../elf/records.ts';
import { TextpokeError } from '../errors.ts';
import { editedSource, type Write } from '../files/edited.ts';
import type { ByteSource } from '../files/source.ts';
import type { Image } from '../image/image.ts';
import type { PokeRecord } from './text-poke.ts';

/**
 * The file after `records`, to be read while the image is open; those of modules are in no file. Errors:
 * `store-refused` where the file would have to grow out of all proportion, `elf-malformed`.
 */
export function patchedFile(image: Image, records: readonly PokeRecord[]): ByteSource {
  const { source } = image.file;
  const writes: Write[] = [];
  const grown = new Map<Segment, PokeRecord[]>();
  for (const record of records) {
    const { address, after } = record;
    const at = image.fileOffset(address, after.length);
    const segment = image.segmentAt(address);
    if (at !== undefined) writes.push({ at, bytes: after });
    else if (segment && grown.has(segment)) grown.get(segment)?.push(record);
    else if (segment) grown.set(segment, [record]);
  }
  const file = editedSource(source, source.size, [{ from: 0, to: 0, size: source.size }], writes);
  const [first, second] = grown;
  if (second) throw refuse(image, 'two segments would have to grow');
  return first ? growSegment(image, file, ...first) : file;
}

function refuse({ file }: Image, why: string): TextpokeError {
  return new TextpokeError('store-refused', `the file has no bytes for what is stored in .bss: ${why}`, {
    file: file.path,
  });
}

/** Bytes by which a file may grow; a kernel's .bss has tens of megabytes. */
const mostGrowth = 1 << 30;

/** Debug information and the like need no more than a cache line. */
const unmapped = 64;

/**
 * What is behind the segment has to move by: a multiple of the pages of those segments, whose offsets and addresses
 * agree, and of the alignments of sections that are not in memory.
 */
function stepOf({ header, segments, sections }: Image['file'], from: number): number {
  let step = header.class / 8; // of the tables of headers
  for (const { type, offset, filesz, align } of segments) {
    if (type === PT_LOAD && filesz > 0 && offset >= from) step = Math.max(step, align);
  }
  for (const { flags, offset, addralign } of sections) {
    if ((flags & SHF_ALLOC) === 0 && offset >= from) step = Math.max(step, Math.min(addralign, unmapped));
  }
  return step;
}

/** Gives a segment bytes of the file up to the last of `records`, which lie in it, and moves what is behind. */
function growSegment(
  image: Image,
  file: ByteSource,
  segment: Segment,
  records: readonly PokeRecord[],
): ByteSource {
  const { header, segments, sections } = image.file;
  const placeOf = (address: number) => segment.offset + (address - segment.vaddr);
  const from = segment.offset + segment.filesz;
  const end = records.reduce(
    (last, { address, after }) => Math.max(last, placeOf(address) + after.length),
    0,
  );
  const moved = alignUp(end - from, stepOf(image.file, from));
  if (moved > mostGrowth) {
    throw refuse(
      image,
      `it would have to grow by ${moved} bytes at ${hex(segment.vaddr)} (at most ${mostGrowth})`,
    );
  }
  const offsetOf = (offset: number) => (offset >= from ? offset + moved : offset);
  const writes: Write[] = records.map(({ address, after }) => ({ at: placeOf(address), bytes: after }));
  const word = (at: number, value: number) => {
    const bytes = new Uint8Array(header.class / 8);
    const view = new ByteView(bytes, header.little);
    if (header.class === 64) view.setS64(0, value);
    else view.setU32(0, value);
    writes.push({ at, bytes });
  };
  const shoff = offsetOf(header.shoff);
  word(identSize + Ehdr[header.class].offsets.shoff, shoff);
  const phdr = Phdr[header.class];
  segments.forEach((s, i) => {
    const at = offsetOf(header.phoff) + i * phdr.size;
    if (s === segment) word(at + phdr.offsets.filesz, end - segment.offset);
    else if (s.filesz > 0) word(at + phdr.offsets.offset, offsetOf(s.offset));
  });
  const shdr = Shdr[header.class];
  for (const { index, type, offset } of sections) {
    if (type !== SHT_NOBITS) word(shoff + index * shdr.size + shdr.offsets.offset, offsetOf(offset));
  }
  const pieces = [
    { from: 0, to: 0, size: from },
    { from, to: from + moved, size: file.size - from },
  ];
  return editedSource(file, file.size + moved, pieces, writes);
}
