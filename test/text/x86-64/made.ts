// A kernel of a few bytes, for tests of passes: sections at addresses of their own, symbols, and the state of a machine.
import { SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STT_FUNC, STT_OBJECT } from '../../../src/elf/constants.ts';
import { readElf } from '../../../src/elf/read.ts';
import type { Alternatives } from '../../../src/image/alternatives.ts';
import { Image } from '../../../src/image/image.ts';
import type { Btf } from '../../../src/kernel/btf.ts';
import { linkLoaded } from '../../../src/link/link.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import { ExpectedText, Texts } from '../../../src/text/expected.ts';
import type { TextSubject } from '../../../src/text/pass.ts';
import type { X86State } from '../../../src/text/x86-64/state.ts';
import { makeObject } from '../../elf/objects.ts';

/** Where kernels are linked. */
export const textStart = -0x7f00_0000;
/** Where what is not code lies in these kernels. */
export const dataStart = textStart + 0x10_0000;

export const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A branch of 32 bits as hex digits; `head` is all of it in front of the distance. */
export function branchHex(head: string, from: number, to: number): string {
  const field = Buffer.alloc(4);
  field.writeInt32LE(to - (from + head.replaceAll(' ', '').length / 2 + 4));
  return head.replaceAll(' ', '') + field.toString('hex');
}

export interface MadeKernel {
  /** Bytes of code by their offset in .text, as hex digits; int3 between them. */
  readonly code: Readonly<Record<number, string>>;
  /** Names of functions, by their offset in .text. */
  readonly functions?: Readonly<Record<string, number>>;
  /** Variables and constants: hex digits by name. */
  readonly data?: Readonly<Record<string, string>>;
  /** Tables of places: offsets in .text, by the name of the section. */
  readonly tables?: Readonly<Record<string, readonly number[]>>;
  /** Bytes of .text. */
  readonly size?: number;
  /** Where .text lies; the rest follows at the same distance. */
  readonly start?: number;
}

/** The image of a kernel. Data stand one behind the other in .rodata, each at a multiple of 16. */
export function madeKernel({
  code,
  functions = {},
  data = {},
  tables = {},
  size = 0x4000,
  start = textStart,
}: MadeKernel): Image {
  const text = new Uint8Array(size).fill(0xcc);
  for (const [offset, hex] of Object.entries(code)) text.set(bytesOf(hex), Number(offset));
  const away = start - textStart;
  const places: number[] = [start, dataStart + away];
  const constants: Uint8Array = new Uint8Array(16 * 512);
  const symbols = Object.entries(functions).map(([name, value]) => ({
    name,
    value,
    section: 1,
    info: 0x10 + STT_FUNC,
  }));
  let at = 0;
  for (const [name, hex] of Object.entries(data)) {
    const bytes = bytesOf(hex);
    constants.set(bytes, at);
    symbols.push({ name, value: at, section: 2, info: 0x10 + STT_OBJECT });
    at += 16 * Math.max(1, Math.ceil(bytes.length / 16));
  }
  const sections = [
    { name: '.text', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_EXECINSTR, data: text },
    { name: '.rodata', type: SHT_PROGBITS, flags: SHF_ALLOC, data: constants },
  ];
  for (const [name, sites] of Object.entries(tables)) {
    const table = dataStart + away + 0x1_0000 * places.length;
    const entries = Buffer.alloc(4 * sites.length);
    for (const [i, site] of sites.entries()) entries.writeInt32LE(start + site - (table + 4 * i), 4 * i);
    sections.push({ name, type: SHT_PROGBITS, flags: SHF_ALLOC, data: Uint8Array.from(entries) });
    places.push(table);
  }
  const object = readElf('made', makeObject({ sections, symbols }));
  const { bytes } = linkLoaded(object, {
    filled: 'tables',
    places: ({ index }) => {
      const address = places[index - 1];
      return address === undefined ? undefined : { address, state: 'here' };
    },
    external: () => undefined,
  });
  return new Image(readElf('made', bytes));
}

export interface MadeMachine {
  readonly version?: readonly [number, number];
  /** Features that this kernel knows, and whether the processor has them. */
  readonly features?: Readonly<Record<string, boolean>>;
  readonly returnThunk?: number;
  /** Variables in memory: hex digits by name; others are as in the image. */
  readonly variables?: Readonly<Record<string, string>>;
  /** What memory has beside the image, or in place of it: hex digits by address in the running kernel. */
  readonly memory?: readonly (readonly [address: number, hex: string])[];
  readonly slide?: number;
  readonly btf?: Btf;
  readonly alternatives?: Alternatives;
}

/** A kernel that runs on a machine: what passes are told. Memory is the file's where nothing else is said. */
export function madeSubject(
  image: Image,
  {
    version = [6, 12],
    features = {},
    returnThunk,
    variables = {},
    memory = [],
    slide = 0,
    btf,
    alternatives,
  }: MadeMachine = {},
): TextSubject<X86State> {
  const names = Object.keys(features);
  const parts = memory.map(([address, hex]) => ({ address, bytes: bytesOf(hex) }));
  for (const [name, hex] of Object.entries(variables)) {
    const address = image.symbols.addressOf(name);
    if (address === undefined) throw new Error(`no ${name}`);
    parts.push({ address: address + slide, bytes: bytesOf(hex) });
  }
  const reader = new KernelReader(
    {
      format: 'made',
      addresses: 'virtual',
      fileSize: 0,
      runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
      read(address, into) {
        let isKnown = image.contains(address - slide, into.length);
        if (isKnown) into.set(image.read(address - slide, into.length));
        for (const part of parts) {
          for (let i = 0; i < part.bytes.length; i++) {
            const at = part.address + i - address;
            if (at < 0 || at >= into.length) continue;
            into[at] = part.bytes[i] as number;
            isKnown = true;
          }
        }
        return isKnown;
      },
    },
    image,
  );
  const bytes = (name: string, length: number) => {
    const address = image.symbols.addressOf(name);
    return address === undefined ? undefined : reader.bytes(address + slide, length)?.slice();
  };
  const state: X86State = {
    version,
    features: new Uint32Array(0),
    has: (feature) => features[names[feature] ?? ''] ?? false,
    feature: (name) => (name in features ? names.indexOf(name) : undefined),
    returnThunk,
    word: (name) => {
      const address = image.symbols.addressOf(name);
      const value = address === undefined ? undefined : reader.word(address + slide);
      return value !== undefined && image.contains(value - slide) ? value - slide : value;
    },
    bytes,
    reader,
    btf,
    alternatives,
    notes: [],
    unknown: undefined,
  };
  const texts = new Texts(image.code.map(({ name, address, code }) => new ExpectedText(name, address, code)));
  return { image, slide, texts, state };
}

/** What must stand at an offset of .text, as hex digits. */
export function expectedAt({ texts }: TextSubject<X86State>, offset: number, length: number): string {
  const text = texts.holding(textStart + offset, length);
  if (!text) throw new Error(`no text at ${offset}`);
  return hexOf(text.at(textStart + offset, length));
}
