// A kernel that is made byte by byte, and the memory of a system that runs it: for what no compiler here writes.
import { ByteView } from '../../src/bytes/view.ts';
import { PF_R, PF_W, PF_X, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { type VerifiedMemory, verifyMemory } from '../../src/verify/memory.ts';
import { makeObject } from '../elf/objects.ts';

/** Where the parts lie. */
export const textAt = -0x7f00_0000; // 0xffffffff81000000
export const rodataAt = textAt + 0x2000;
export const dataAt = textAt + 0x3000;
export const initAt = textAt + 0x4000;
const partSize = 0x1000;

/** Bytes as people write them. */
export const hex = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

export interface MadeKernel {
  /** `6.1.0` */
  readonly version: string;
  readonly machine?: number;
  readonly class?: 32 | 64;
  /** Of `.data`; writable alone unless given. */
  readonly dataFlags?: number;
  /** Names of functions and data; those in text are functions. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** What stands where, by address; the rest of text is `fill`. */
  readonly bytes?: readonly (readonly [address: number, bytes: Uint8Array | string])[];
  readonly fill?: number;
  /** Sections that are parts of others: where each lies, and its bytes. */
  readonly sections?: Readonly<Record<string, readonly [address: number, size: number]>>;
}

const parts = [
  ['.text', textAt, 2 * partSize, SHF_ALLOC | SHF_EXECINSTR, PF_R | PF_X],
  ['.rodata', rodataAt, partSize, SHF_ALLOC, PF_R],
  ['.data', dataAt, partSize, SHF_ALLOC | SHF_WRITE, PF_R | PF_W],
  ['.init.data', initAt, partSize, SHF_ALLOC, PF_R],
] as const;

/** Places of other machines are the same with the bits that they have. */
const placed = (address: number, bits: number) => (bits === 32 ? address >>> 0 : address);

/** The vmlinux of it. */
export function kernelFile(made: MadeKernel): Uint8Array {
  const { version, machine = 62, class: bits = 64, fill = 0x90 } = made;
  const banner = Buffer.from(`Linux version ${version} (a@b) (gcc) #1 SMP\n\0`);
  const contents = new Map<string, Uint8Array>(
    parts.map(([name, , size]) => [name, new Uint8Array(size).fill(name === '.text' ? fill : 0)]),
  );
  const sectionOf = (address: number) =>
    parts.findIndex(([, start, size]) => address >= start && address < start + size);
  const put = (address: number, bytes: Uint8Array) => {
    const [name, start] = parts[sectionOf(address)] as (typeof parts)[number];
    contents.get(name)?.set(bytes, address - start);
  };
  put(rodataAt, banner);
  for (const [address, bytes] of made.bytes ?? [])
    put(address, typeof bytes === 'string' ? hex(bytes) : bytes);
  const isMapping = (name: string) => name.startsWith('$');
  const symbols = Object.entries({
    _text: textAt,
    _etext: textAt + 2 * partSize - 1,
    linux_banner: rodataAt,
    __init_begin: initAt,
    __init_end: initAt + partSize,
    ...made.symbols,
  }).sort(([a], [b]) => Number(isMapping(b)) - Number(isMapping(a)));
  const flagsOf = (name: string, flags: number) => (name === '.data' ? (made.dataFlags ?? flags) : flags);
  const object = makeObject({
    class: bits,
    machine,
    type: 2,
    sections: [
      ...parts.map(([name, addr, , flags]) => ({
        name,
        type: 1,
        flags: flagsOf(name, flags),
        addr: placed(addr, bits),
        addralign: 8,
        data: contents.get(name) as Uint8Array,
      })),
      // What is read of them is read through the segments of the others.
      ...Object.entries(made.sections ?? {}).map(([name, [addr, size]]) => ({
        ...{ name, type: 1, flags: SHF_ALLOC, addr: placed(addr, bits), data: new Uint8Array(size) },
      })),
    ],
    symbols: symbols.map(([name, value]) => {
      const section = sectionOf(value);
      const info = isMapping(name) ? 0 : 0x10 | (section === 0 ? 2 : 1);
      return { name, section: section + 1, value: placed(value, bits), info };
    }),
  });
  const file = readElf('object', object);
  const wide = bits === 64;
  const size = wide ? 56 : 32;
  const bytes = new Uint8Array(object.length + parts.length * size);
  bytes.set(object);
  const view = new ByteView(bytes, true);
  const word = (at: number, value: number) => (wide ? view.setS64(at, value) : view.setU32(at, value >>> 0));
  word(wide ? 32 : 28, object.length);
  view.setU16(wide ? 54 : 42, size);
  view.setU16(wide ? 56 : 44, parts.length);
  parts.forEach(([name, addr, length, , flags], i) => {
    const at = object.length + i * size;
    const offset = file.sections.find((section) => section.name === name)?.offset ?? 0;
    view.setU32(at, 1);
    view.setU32(at + (wide ? 4 : 24), flags);
    [offset, placed(addr, bits), placed(addr, bits), length, length].forEach((value, j) => {
      word(at + (wide ? 8 + j * 8 : 4 + j * 4), value);
    });
  });
  return bytes;
}

/** The image of it. */
export const kernelImage = (made: MadeKernel): Image => new Image(readElf('vmlinux', kernelFile(made)));

/** What verify says of the memory of a system that runs it, in which these bytes have changed. */
export function verifyRunning(
  made: MadeKernel,
  changes: MadeKernel['bytes'] = [],
  cpus?: number,
): VerifiedMemory {
  const image = kernelImage(made);
  const now = kernelImage({ ...made, bytes: [...(made.bytes ?? []), ...changes] });
  const bits = made.class ?? 64;
  const start = placed(textAt, bits);
  const end = placed(initAt, bits);
  const memory: Memory = {
    format: 'made',
    addresses: 'virtual',
    fileSize: 0x10000,
    runs: { starts: Float64Array.of(start), ends: Float64Array.of(end) },
    // Init memory is gone.
    read(address, into) {
      const isHere = address >= start && address + into.length <= end;
      if (isHere) into.set(now.read(address, into.length));
      return isHere;
    },
  };
  const from = 'the test';
  const place = {
    memory,
    offset: 0,
    slide: 0,
    slideFrom: from,
    kernelMemory: memory,
    kernelMemoryFrom: from,
  };
  return verifyMemory(image, place, cpus);
}

/** A number as bytes, least significant first. */
export function word(value: number, size: 4 | 8): Uint8Array {
  const view = new ByteView(new Uint8Array(size), true);
  if (size === 8) view.setS64(0, value);
  else view.setU32(0, value >>> 0);
  return view.bytes;
}

/** A call or a jump of 5 bytes (x86-64). */
export const branch = (opcode: 0xe8 | 0xe9, from: number, to: number): Uint8Array =>
  Uint8Array.of(opcode, ...word(to - from - 5, 4));
