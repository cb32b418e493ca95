// The lists behind the ELF file in the payload of a bzImage: where the loader changes the kernel when it is not loaded where
// it is linked (arch/x86/tools/relocs.c: emit_relocs; arch/x86/boot/compressed/misc.c: handle_relocations). In a memory dump
// of a kernel with KASLR, these places differ from the file.
import { hex } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { PT_LOAD, SHT_NOBITS } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { Phdr, Shdr } from '../elf/records.ts';
import { TextpokeError } from '../errors.ts';

/** Addresses of places, as linked, ascending. */
export interface RelocationLists {
  /** Eight bytes to which the distance is added. */
  readonly relocs64: Int32Array;
  /** Four bytes from which it is taken away: per-CPU references; undefined from 6.15 on. */
  readonly inverse32: Int32Array | undefined;
  /** Four bytes to which it is added. */
  readonly relocs32: Int32Array;
}

const stop = 4;
/** __START_KERNEL_map: the kernel's addresses less their physical ones. */
const kernelMap = -0x8000_0000;

/**
 * The lists behind a payload's ELF file. Addresses are those of the loaded kernel: segment for segment p_paddr +
 * __START_KERNEL_map. Only the per-CPU segment, which is linked at 0 up to 6.14, has others by p_vaddr. Errors: as below.
 */
export function relocationListsOf(elf: ElfFile, bytes: Uint8Array): RelocationLists | undefined {
  return readRelocationLists(bytes, endOf(elf), inside(elf));
}

/** The same for what lies behind the ELF file alone, as `openKernel` gives it; undefined where there is nothing. */
export function relocationListsIn(
  elf: ElfFile,
  relocations: Uint8Array | undefined,
): RelocationLists | undefined {
  return relocations && readRelocationLists(relocations, 0, inside(elf));
}

/** Whether so many bytes at an address are the kernel's. */
function inside(elf: ElfFile): (address: number, size: number) => boolean {
  const loaded = elf.segments
    .filter(({ type }) => type === PT_LOAD)
    .map(({ paddr, filesz }) => ({ low: kernelMap + paddr, high: kernelMap + paddr + filesz }));
  return (address, size) => loaded.some(({ low, high }) => address >= low && address + size <= high);
}

/** Where the last of the file's parts ends, in bytes. */
function endOf({ header, sections, segments }: ElfFile): number {
  const bits = header.class;
  let end = header.shoff + sections.length * Shdr[bits].size;
  end = Math.max(end, header.phoff + segments.length * Phdr[bits].size);
  for (const { type, offset, size } of sections) if (type !== SHT_NOBITS) end = Math.max(end, offset + size);
  for (const { offset, filesz } of segments) end = Math.max(end, offset + filesz);
  return end;
}

/**
 * The lists of an x86-64 kernel, which lie in `bytes` from `start`, where the ELF file ends, to the end; undefined where there
 * is nothing: the kernel is not relocatable. Each list begins with a zero; the order is 64 bits, inverse 32 bits up to 6.14,
 * and 32 bits. `holds` says whether so many bytes at an address are the kernel's. Errors: `elf-malformed`, for what is no
 * such list and for places outside of the kernel.
 */
export function readRelocationLists(
  bytes: Uint8Array,
  start: number,
  holds: (address: number, size: number) => boolean,
): RelocationLists | undefined {
  const size = bytes.length - start;
  if (size === 0) return undefined;
  if (!(start >= 0) || size < 0 || size % stop !== 0) {
    malformed(start, `${size} bytes follow the ELF file; a multiple of ${stop} is required`);
  }
  const view = new ByteView(bytes, true).table(start, size);
  const stops: number[] = [];
  for (let at = 0; at < size; at += stop) {
    if (view.getUint32(at, true) !== 0) continue;
    if (stops.push(at) > 3) malformed(start + at, 'there are more than three lists of relocations');
  }
  if (stops[0] !== 0 || stops.length < 2) {
    malformed(
      start,
      `what follows the ELF file has ${stops.length} zero words, the first of them at ${stops[0]}; two or three lists that begin with one are required`,
    );
  }
  const lists = stops.map((at, i) => {
    const width = i === 0 ? 8 : 4;
    return readList(view, start, at + stop, stops[i + 1] ?? size, (address) => holds(address, width));
  });
  return {
    relocs64: lists[0] as Int32Array,
    inverse32: lists.length === 3 ? lists[1] : undefined,
    relocs32: lists[lists.length - 1] as Int32Array,
  };
}

/** The addresses from `at` to `end`: 32 bits each, whose sign fills the upper half. */
function readList(
  view: DataView,
  start: number,
  at: number,
  end: number,
  holds: (address: number) => boolean,
): Int32Array {
  const places = new Int32Array((end - at) / stop);
  let before = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < places.length; i++) {
    const place = at + stop * i;
    const address = view.getInt32(place, true);
    if (!holds(address))
      malformed(start + place, `a relocation is at ${hex(address)}, outside of the kernel`);
    if (address <= before)
      malformed(start + place, `a relocation at ${hex(address)} follows one at ${hex(before)}; they ascend`);
    places[i] = before = address;
  }
  return places;
}

function malformed(offset: number, what: string): never {
  throw new TextpokeError('elf-malformed', what, { offset });
}
