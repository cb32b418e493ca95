// Dumps of a system that runs a sample image, in every format, for tests that need only Node.
import { deflateSync } from 'node:zlib';
import { type BootOptions, replayBoot as boot } from '../../src/boot/passes.ts';
import { ByteView } from '../../src/bytes/view.ts';
import type { Program } from '../../src/demand/program.ts';
import { readElf } from '../../src/elf/read.ts';
import type { Image } from '../../src/image/image.ts';
import { kernelBanner } from '../../src/image/kernel.ts';
import { readStaticCalls } from '../../src/image/static-calls.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { linkObjects } from '../../src/link/link.ts';
import { makeObject } from '../elf/objects.ts';
import { annotated, imageOf, linkedBytes, programUnits } from '../samples.ts';

export const banner = 'Linux version 6.1.0 (a@b) (gcc 12.2.0) #1 SMP';
export const pageSize = 4096;

/** The sample program of a set (of some units) with what makes it a kernel: linux_banner, and more words by name. */
export function kernelBytes(
  set: string,
  text = banner,
  names: readonly string[] = programUnits,
  words: Readonly<Record<string, number>> = {},
): Uint8Array {
  const units = names.map((name) => readElf(`${name}.o`, annotated(set, name)));
  const [first] = units as [(typeof units)[0]];
  const { class: bits, little, machine, flags } = first.header;
  const wordsAt = Math.ceil((text.length + 2) / 8) * 8;
  const data = Buffer.alloc(wordsAt + 8 * Object.keys(words).length);
  data.write(`${text}\n`);
  Object.values(words).forEach((value, i) => {
    data.writeBigInt64LE(BigInt(value), wordsAt + 8 * i);
  });
  const made = makeObject({
    class: bits,
    little,
    machine,
    sections: [{ name: '.rodata', type: 1, flags: 2, data, addralign: 8 }],
    symbols: [
      { name: 'linux_banner', section: 1, size: text.length + 2, info: 0x11 },
      ...Object.keys(words).map((name, i) => ({
        ...{ name, section: 1, size: 8, info: 0x11 },
        value: wordsAt + 8 * i,
      })),
    ],
  });
  new ByteView(made, little).setU32(bits === 64 ? 48 : 36, flags);
  return linkObjects([...units, readElf('banner.o', made)]).bytes;
}

/** A page of a running system. */
export interface Page {
  readonly virtual: number;
  readonly physical: number;
  readonly bytes: Uint8Array;
}

/** How far physical addresses lie from those that code was linked for. */
export const physicalOffset = 0x1000000;

/** The memory of a system that runs an image `slide` bytes from where it was linked. */
export function run(kernel: Uint8Array, slide: number, options: Partial<BootOptions> = {}): Page[] {
  const image = imageOf(kernel);
  const { program } = boot(image, {
    cpus: 2,
    upFill: 'ds',
    steps: [],
    raw: kernelBanner(image) !== undefined,
    ...options,
  });
  movePointers(image, program, slide);
  const pages = new Map<number, Uint8Array>();
  for (const { vaddr, memsz } of image.file.segments.filter((segment) => segment.type === 1)) {
    for (let at = vaddr; at < vaddr + memsz; at++) {
      const start = at - (at % pageSize);
      const page = pages.get(start) ?? new Uint8Array(pageSize);
      pages.set(start, page);
      const end = Math.min(start + pageSize, vaddr + memsz);
      page.set(image.readUpTo(at, end - at), at - start);
      at = end - 1;
    }
  }
  return [...pages].map(([start, bytes]) => ({
    virtual: start + slide,
    physical: start + physicalOffset,
    bytes,
  }));
}

/** Moves what a kernel's keys lead to, their functions and their entries, by `slide` bytes. */
export function movePointers(image: Image, { sites }: Pick<Program, 'sites'>, slide: number): void {
  const { wordSize } = image.arch;
  const { little } = image.file.header;
  const calls = [
    ...new Set([...readStaticCalls(image).keys(), ...sites.of(staticCall).map(({ key }) => key)]),
  ];
  const linked = [...calls, ...sites.of(staticBranch).map(({ key }) => key)].map((key) => key + wordSize);
  for (const at of new Set([...calls, ...linked])) {
    const view = new ByteView(image.read(at, wordSize), little);
    const word = wordSize === 8 ? view.s64(0) : view.u32(0);
    // Flags without a pointer.
    if (word >= 0 && word < 4) continue;
    const moved = word + slide;
    view.setU32(little ? 0 : wordSize - 4, moved % 2 ** 32);
    if (wordSize === 8) view.setU32(little ? 4 : 0, Math.floor(moved / 2 ** 32));
  }
}

export function note(name: string, type: number, body: Uint8Array): Uint8Array {
  const nameSize = name.length + 1;
  const bytes = new Uint8Array(12 + Math.ceil(nameSize / 4) * 4 + Math.ceil(body.length / 4) * 4);
  const view = new ByteView(bytes, true);
  view.setU32(0, nameSize);
  view.setU32(4, body.length);
  view.setU32(8, type);
  bytes.set(Buffer.from(name), 12);
  bytes.set(body, 12 + Math.ceil(nameSize / 4) * 4);
  return bytes;
}

/** A note as the kernel leaves it for crash tools. */
export const vmcoreinfoNote = (text: string) => note('VMCOREINFO', 0, Buffer.from(text));

/** Numbers as words of 4 or 8 bytes. */
function wordsOf(values: readonly number[], bits: 32 | 64): Uint8Array {
  const size = bits / 8;
  const view = new DataView(new ArrayBuffer(values.length * size));
  values.forEach((value, i) => {
    if (size === 8) view.setBigInt64(i * 8, BigInt(value), true);
    else view.setUint32(i * 4, value, true);
  });
  return new Uint8Array(view.buffer);
}

/** The note that tells where a program starts, and where its program headers lie. */
export function entryNote(
  entry: number,
  headers?: readonly [address: number, count: number],
  bits: 32 | 64 = 64,
): Uint8Array {
  const more = headers ? [3, headers[0], 5, headers[1]] : [];
  return note('CORE', 6, wordsOf([9, entry, ...more, 0, 0], bits));
}

/** The note that tells which files are mapped where (NT_FILE). */
export function filesNote(
  files: readonly { start: number; end: number; page?: number; name: string }[],
  bits: 32 | 64 = 64,
): Uint8Array {
  const rows = files.flatMap(({ start, end, page = 0 }) => [start, end, page]);
  const names = files.map(({ name }) => `${name}\0`).join('');
  const body = Buffer.concat([wordsOf([files.length, pageSize, ...rows], bits), Buffer.from(names)]);
  return note('CORE', 0x46494c45, body);
}

/** A page of a process, in which the dynamic linker's list stands, with the program headers that lead to it. */
export function linkMapPage(at: number, objects: readonly { slide: number; name: string }[]): Page {
  const bytes = new Uint8Array(pageSize);
  const put = (offset: number, values: readonly number[]) => bytes.set(wordsOf(values, 64), offset);
  const headers = [
    [6, 0x40],
    [2, 0x200],
  ] as const; // PT_PHDR and PT_DYNAMIC of a program that is linked for 0
  headers.forEach(([type, vaddr], i) => {
    put(0x40 + i * 56, [type, 0, vaddr, vaddr, 0, 0, 8]);
  });
  put(0x200, [1, 5, 21, at + 0x300, 0, 0]);
  put(0x300, [1, at + 0x400]);
  objects.forEach(({ slide, name }, i) => {
    const next = i + 1 < objects.length ? at + 0x400 + (i + 1) * 0x40 : 0;
    put(0x400 + i * 0x40, [slide, at + 0x800 + i * 0x40, 0, next]);
    bytes.set(Buffer.from(`${name}\0`), 0x800 + i * 0x40);
  });
  return { virtual: at, physical: 0, bytes };
}

/** The sample program with a build id, which says where it is; e_type is ET_DYN unless given. */
export function programWithId(id: string, { set = 'gcc-O2', type = 3 } = {}): Uint8Array {
  const bytes = linkedBytes(set, programUnits).slice();
  const { header, segments } = imageOf(bytes).file;
  const wide = header.class === 64;
  const view = new DataView(bytes.buffer);
  const build = note('GNU', 3, Buffer.from(id, 'hex'));
  const [first] = segments as [(typeof segments)[0]];
  // Program header and note take the place of unwind information, which nothing here reads.
  const at = header.phoff + segments.length * (wide ? 56 : 32);
  view.setUint16(16, type, true);
  view.setUint16(wide ? 56 : 44, segments.length + 1, true);
  const noteAt = at + 64;
  const fields = wide
    ? [4 + 4 * 2 ** 32, noteAt, first.vaddr + noteAt, 0, build.length, build.length, 4]
    : [4, noteAt, first.vaddr + noteAt, 0, build.length, build.length, 4, 4];
  bytes.set(wordsOf(fields, header.class), at);
  bytes.set(build, noteAt);
  return bytes;
}

export interface CoreOptions {
  readonly class?: 32 | 64;
  readonly little?: boolean;
  readonly machine?: number;
  /** Which of p_vaddr and p_paddr are set. */
  readonly addresses: readonly ('virtual' | 'physical')[];
  readonly notes?: readonly Uint8Array[];
  /** Empty segments in front of the others. */
  readonly padding?: number;
}

/** An ELF core, a segment for each page. More than 65,534 segments are counted in section 0, as gABI has it. */
export function core(pages: readonly Page[], options: CoreOptions): Uint8Array {
  const { class: bits = 64, little = true, machine = 62, addresses, notes = [], padding = 0 } = options;
  const wide = bits === 64;
  const [headerSize, recordSize, sectionSize] = wide ? [64, 56, 64] : [52, 32, 40];
  const count = 1 + padding + pages.length;
  const extended = count >= 0xffff;
  const text = Buffer.concat(notes);
  const notesAt = headerSize + count * recordSize + sectionSize;
  const pagesAt = Math.ceil((notesAt + text.length) / pageSize) * pageSize;
  const bytes = new Uint8Array(pagesAt + pages.length * pageSize);
  const view = new ByteView(bytes, little);
  const word = (at: number, value: number) => {
    const low = ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
    view.setU32(little || !wide ? at : at + 4, low);
    if (wide) view.setU32(little ? at + 4 : at, ((((value - low) / 2 ** 32) % 2 ** 32) + 2 ** 32) % 2 ** 32);
  };
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1]);
  view.setU16(16, 4);
  view.setU16(18, machine);
  view.setU32(20, 1);
  word(wide ? 32 : 28, headerSize);
  if (extended) word(wide ? 40 : 32, headerSize + count * recordSize);
  const tail = wide ? 52 : 40;
  [headerSize, recordSize, extended ? 0xffff : count, sectionSize, extended ? 1 : 0].forEach((value, i) => {
    view.setU16(tail + i * 2, value);
  });
  if (extended) view.setU32(headerSize + count * recordSize + (wide ? 44 : 28), count);
  const segment = (i: number, type: number, offset: number, size: number, page?: Page) => {
    const at = headerSize + i * recordSize;
    view.setU32(at, type);
    const fields = wide ? [8, 16, 24, 32, 40] : [4, 8, 12, 16, 20];
    const [virtual, physical] = [
      addresses.includes('virtual') ? (page?.virtual ?? 0) : 0,
      addresses.includes('physical') ? (page?.physical ?? 0) : 0,
    ];
    [offset, virtual, physical, size, size].forEach((value, k) => {
      word(at + (fields[k] as number), value);
    });
  };
  segment(0, 4, notesAt, text.length);
  bytes.set(text, notesAt);
  for (let i = 0; i < padding; i++) segment(1 + i, 1, pagesAt, 0);
  pages.forEach((page, i) => {
    segment(1 + padding + i, 1, pagesAt + i * pageSize, pageSize, page);
    bytes.set(page.bytes, pagesAt + i * pageSize);
  });
  return bytes;
}

/** A page as a kdump has it: its bytes, and the flag that says how they are compressed. */
export type Packed = { readonly bytes: Uint8Array; readonly flags: number };

const deflated = (bytes: Uint8Array): Packed => ({ bytes: deflateSync(bytes), flags: 1 });

/** What makedumpfile -c and QEMU make; each other page is stored as it is. */
export function kdump(
  pages: readonly Page[],
  options: { class?: 32 | 64; vmcoreinfo?: string; pack?: (bytes: Uint8Array) => Packed } = {},
): Uint8Array {
  const { pack = deflated } = options;
  const byNumber = new Map(pages.map((page) => [page.physical / pageSize, page.bytes]));
  const numbers = [...byNumber.keys()].sort((a, b) => a - b);
  const most = (numbers.at(-1) ?? 0) + 1;
  const half = Math.ceil(most / 8 / pageSize);
  const descriptorsAt = (2 + 2 * half) * pageSize;
  const stored = numbers.map((number, i) => {
    const bytes = byNumber.get(number) as Uint8Array;
    return i % 2 === 0 ? pack(bytes) : { bytes, flags: 0 };
  });
  const text = Buffer.from(options.vmcoreinfo ?? '');
  const dataAt = descriptorsAt + 24 * stored.length;
  const textAt = dataAt + stored.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const file = new Uint8Array(textAt + text.length);
  const view = new ByteView(file, true);
  file.set(Buffer.from('KDUMP   '));
  [pageSize, 1, 2 * half, most].forEach((value, i) => {
    view.setU32(((options.class ?? 64) === 64 ? 428 : 416) + i * 4, value);
  });
  if (text.length > 0) {
    view.setU32(pageSize + 32, textAt);
    view.setU32(pageSize + 40, text.length);
    file.set(text, textAt);
  }
  for (const number of numbers) {
    for (const map of [2 * pageSize, (2 + half) * pageSize]) {
      const at = map + (number >> 3);
      file[at] = (file[at] as number) | (1 << (number & 7));
    }
  }
  let at = dataAt;
  stored.forEach(({ bytes, flags }, i) => {
    const descriptor = descriptorsAt + 24 * i;
    view.setU32(descriptor, at);
    view.setU32(descriptor + 8, bytes.length);
    view.setU32(descriptor + 12, flags);
    file.set(bytes, at);
    at += bytes.length;
  });
  return file;
}

/** The form that goes through a pipe: blocks out of order, and the first one written again at the end. */
export function flattened(bytes: Uint8Array): Uint8Array {
  const header = new Uint8Array(4096);
  header.set(Buffer.from('makedumpfile'));
  header.fill(1, 23, 24); // type
  header.fill(1, 31, 32); // version
  const block = (offset: number, content: Uint8Array) => {
    const head = new ByteView(new Uint8Array(16), false);
    head.setU32(0, Math.floor(offset / 2 ** 32));
    head.setU32(4, offset % 2 ** 32);
    head.setU32(12, content.length);
    return Buffer.concat([head.bytes, content]);
  };
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += 10_000) parts.push(block(at, bytes.slice(at, at + 10_000)));
  const first = block(0, new Uint8Array(10_000));
  return Buffer.concat([
    header,
    first,
    ...parts.slice(1).reverse(),
    block(0, bytes.slice(0, 10_000)),
    new Uint8Array(16).fill(0xff),
  ]);
}
