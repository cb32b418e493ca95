// Writes an ELF file: every section keeps its order in the file, and its place and the bytes between
// sections too as long as nothing in front of it has grown; the section header table goes to the end.
import { alignUp } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import {
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  PN_XNUM,
  SHN_LORESERVE,
  SHN_XINDEX,
  SHT_NOBITS,
  SHT_NULL,
} from './constants.ts';
import type { Segment } from './file.ts';
import { Ehdr, identSize, Phdr, Shdr } from './records.ts';

/** A section as it is to be written. */
export interface OutputSection {
  /** Byte offset of the name in the section name table. */
  readonly nameOffset: number;
  readonly type: number;
  readonly flags: number;
  readonly addr: number;
  readonly link: number;
  readonly info: number;
  readonly addralign: number;
  readonly entsize: number;
  /** Bytes in the file; empty for SHT_NOBITS. */
  readonly data: Uint8Array;
  /** Size in bytes (differs from data.length for SHT_NOBITS only). */
  readonly size: number;
  /** Where it stood in the file that is being rewritten. */
  readonly oldOffset?: number | undefined;
}

export interface OutputHeader {
  readonly class: 32 | 64;
  readonly little: boolean;
  /** e_ident as it stood; EI_CLASS and EI_DATA must agree with the two above. */
  readonly ident: Uint8Array;
  readonly type: number;
  readonly machine: number;
  readonly flags: number;
  readonly entry: number;
  readonly shstrndx: number;
}

/** Byte offsets given to the sections, in section order, and where the section header table starts. */
interface Layout {
  readonly offsets: readonly number[];
  /** Start of the last section that kept its place: up to there the bytes between sections stay too. */
  readonly keptUntil: number;
  readonly shoff: number;
}

/** Moved sections are aligned as they ask, but a file's offsets need no more than a cache line. */
const maxFileAlignment = 64;

/** Gives every section its byte offset in the file, behind `headers` bytes of file and program headers. */
function layOut(bits: 32 | 64, headers: number, sections: readonly OutputSection[]): Layout {
  const offsets = sections.map((section) => section.oldOffset ?? 0);
  const oldOffset = (index: number) => sections[index]?.oldOffset ?? Number.MAX_SAFE_INTEGER;
  const order = [...sections.keys()].sort((a, b) => oldOffset(a) - oldOffset(b) || a - b);
  let end = headers;
  let keptUntil = headers;
  let inPlace = true;
  for (const index of order) {
    const { type, data, addralign } = sections[index] as OutputSection;
    if (type === SHT_NULL) continue;
    const old = sections[index]?.oldOffset;
    // What takes no bytes is never in the way.
    inPlace &&= old !== undefined && (old >= end || data.length === 0);
    const offset = inPlace ? (old as number) : alignUp(end, Math.min(addralign, maxFileAlignment));
    offsets[index] = offset;
    if (type === SHT_NOBITS) continue;
    if (inPlace) keptUntil = offset;
    end = Math.max(end, offset + data.length);
  }
  return { offsets, keptUntil, shoff: alignUp(end, bits === 64 ? 8 : 4) };
}

/**
 * The whole file. `original`, when given, supplies the bytes between sections that kept their place.
 * Section 0 carries counts that do not fit the header (gABI, extended section numbering).
 */
export function writeElf(
  header: OutputHeader,
  sections: readonly OutputSection[],
  original: Uint8Array | undefined,
  segments: readonly Segment[] = [],
): Uint8Array {
  const { class: bits, little } = header;
  const shdr = Shdr[bits];
  const phdr = Phdr[bits];
  const ehsize = identSize + Ehdr[bits].size;
  const layout = layOut(bits, ehsize + segments.length * phdr.size, sections);
  const size = layout.shoff + sections.length * shdr.size;
  if (bits === 32 && size > 0xffff_ffff) {
    throw new TextpokeError('elf-unsupported', `a 32-bit file cannot have ${size} bytes (4 GiB at most)`);
  }
  const bytes = new Uint8Array(size);
  if (original) bytes.set(original.subarray(0, Math.min(layout.keptUntil, original.length)));
  bytes.set(header.ident.subarray(0, identSize));
  bytes[4] = bits === 64 ? ELFCLASS64 : ELFCLASS32;
  bytes[5] = little ? ELFDATA2LSB : ELFDATA2MSB;
  const view = new ByteView(bytes, little);
  const many = sections.length >= SHN_LORESERVE;
  const farNames = header.shstrndx >= SHN_LORESERVE;
  const manySegments = segments.length >= PN_XNUM;
  const phoff = segments.length > 0 ? ehsize : 0;
  Ehdr[bits].write(view, identSize, {
    type: header.type,
    machine: header.machine,
    version: 1,
    entry: header.entry,
    phoff,
    shoff: layout.shoff,
    flags: header.flags,
    ehsize,
    phentsize: segments.length > 0 ? phdr.size : 0,
    phnum: manySegments ? PN_XNUM : segments.length,
    shentsize: shdr.size,
    shnum: many ? 0 : sections.length,
    shstrndx: farNames ? SHN_XINDEX : header.shstrndx,
  });
  segments.forEach((segment, i) => {
    phdr.write(view, phoff + i * phdr.size, segment);
  });
  sections.forEach((section, index) => {
    const first = index === 0;
    const offset = layout.offsets[index] as number;
    if (section.type !== SHT_NOBITS && section.type !== SHT_NULL) bytes.set(section.data, offset);
    shdr.write(view, layout.shoff + index * shdr.size, {
      name: section.nameOffset,
      type: section.type,
      flags: section.flags,
      addr: section.addr,
      offset,
      size: first && many ? sections.length : section.size,
      link: first && farNames ? header.shstrndx : section.link,
      info: first && manySegments ? segments.length : section.info,
      addralign: section.addralign,
      entsize: section.entsize,
    });
  });
  return bytes;
}
