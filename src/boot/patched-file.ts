// The file of an image as it stands in memory: every write of the record carried over. A kernel's keys may lie in
// .bss; then the segment's part of the file grows, and whatever lies behind it moves on by whole pages.
import { alignUp } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { PT_LOAD, SHT_NOBITS } from '../elf/constants.ts';
import type { Segment } from '../elf/file.ts';
import { Ehdr, identSize, Phdr, Shdr } from '../elf/records.ts';
import type { Image } from '../image/image.ts';
import type { PokeRecord } from './text-poke.ts';

/** All bytes of the file after `records`; those of modules are in no file. */
export function patchedFile(image: Image, records: readonly PokeRecord[]): Uint8Array {
  const { source } = image.file;
  let bytes = source.read(0, source.size);
  const grown: PokeRecord[] = [];
  for (const record of records) {
    const at = image.fileOffset(record.address, record.after.length);
    if (at !== undefined) bytes.set(record.after, at);
    else grown.push(record);
  }
  for (const segment of image.file.segments.filter((s) => s.type === PT_LOAD)) {
    const end = segment.vaddr + segment.memsz;
    const inside = grown.filter(({ address }) => address >= segment.vaddr && address < end);
    if (inside.length === 0) continue;
    const upTo = Math.max(...inside.map(({ address, after }) => address + after.length));
    bytes = growSegment(image, bytes, segment, upTo - segment.vaddr);
    for (const { address, after } of inside) bytes.set(after, segment.offset + (address - segment.vaddr));
  }
  return bytes;
}

/** Gives a segment `filesz` bytes of the file. One segment of a file is grown: the last, which has the .bss. */
function growSegment(image: Image, bytes: Uint8Array, segment: Segment, filesz: number): Uint8Array {
  const { header, segments, sections } = image.file;
  const from = segment.offset + segment.filesz;
  const step = Math.max(...segments.map((s) => s.align), ...sections.map((s) => s.addralign), 1);
  const moved = alignUp(filesz - segment.filesz, step);
  const result = new Uint8Array(bytes.length + moved);
  result.set(bytes.subarray(0, from));
  result.set(bytes.subarray(from), from + moved);
  const offsetOf = (offset: number) => (offset >= from ? offset + moved : offset);
  const view = new ByteView(result, header.little);
  const word = (at: number, value: number) => {
    if (header.class === 64) view.setS64(at, value);
    else view.setU32(at, value);
  };
  const shoff = offsetOf(header.shoff);
  word(identSize + Ehdr[header.class].offsets.shoff, shoff);
  const phdr = Phdr[header.class];
  segments.forEach((s, i) => {
    const at = offsetOf(header.phoff) + i * phdr.size;
    if (s === segment) word(at + phdr.offsets.filesz, filesz);
    else if (s.filesz > 0) word(at + phdr.offsets.offset, offsetOf(s.offset));
  });
  const shdr = Shdr[header.class];
  for (const { index, type, offset } of sections) {
    if (type !== SHT_NOBITS) word(shoff + index * shdr.size + shdr.offsets.offset, offsetOf(offset));
  }
  return result;
}
