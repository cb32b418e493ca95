// An x86-64 kernel of a few functions that has every table of text that is patched, and the memory of a machine that runs
// it: what dump and boot print of kernels alone comes of it.
import {
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_RELA,
  STT_FUNC,
  STT_OBJECT,
} from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { linkObjects } from '../../src/link/link.ts';
import { requiredFeatures } from '../../src/text/x86-64/features.ts';
import { type MadeSection, type MadeSymbol, makeObject, symtabAfter } from '../elf/objects.ts';
import { core, type Page, pageSize, run } from '../memory/dumps.ts';
import { makeBtf } from '../memory/kernel/btf.ts';
import { annotated, imageOf } from '../samples.ts';

/** A field that is relocated: the distance to a symbol (4 bytes), or its address (8 bytes). */
interface Reference {
  readonly relocation: 'distance' | 'address';
  readonly symbol: string;
  readonly addend: number;
}
/** Hex digits and fields, one behind the other. */
type Content = readonly (string | Reference)[];

const reference = (relocation: Reference['relocation'], symbol: string, addend: number): Reference => ({
  relocation,
  symbol,
  addend,
});
/** The last field of an instruction that leads somewhere. */
const to = (symbol: string) => reference('distance', symbol, -4);
/** An entry of a table of places. */
const place = (symbol: string, offset = 0) => reference('distance', symbol, offset);
const address = (symbol: string) => reference('address', symbol, 0);

const relocations = { distance: { type: 2, size: 4 }, address: { type: 1, size: 8 } } as const; // R_X86_64_PC32 and _64

const littleEndian = (value: number, size: 2 | 4): string => {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntLE(value, 0, size);
  return bytes.toString('hex');
};

/** Numbers of features in Linux 6.12 (arch/x86/include/asm/cpufeatures.h). */
const rethunk = 11 * 32 + 14;
const indirectThunkIts = 21 * 32 + 6;
const words = 24;

function featureWords(numbers: readonly number[]): string {
  const features = new Uint32Array(words);
  for (const number of numbers)
    features[number >>> 5] = (features[number >>> 5] as number) | (1 << (number & 31));
  return Buffer.from(features.buffer).toString('hex');
}

const banner = 'Linux version 6.12.0 (a@b) (gcc 12.2.0) #1 SMP';
const functionSize = 64;

/** Each at the beginning of a cache line. */
const functions: Readonly<Record<string, Content>> = {
  __fentry__: ['c3'],
  __x86_return_thunk: ['c3'],
  its_return_thunk: ['c3'],
  __x86_indirect_thunk_rax: ['ffe0'],
  __x86_indirect_thunk_rcx: ['ffe1'],
  traced: ['e8', to('__fentry__'), 'c3'],
  calling: ['e8', to('traced'), 'c3'],
  indirect: ['e8', to('__x86_indirect_thunk_rax'), 'c3'],
  returning: ['e9', to('__x86_return_thunk')],
  sealed: ['f30f1efa', 'c3'], // endbr64
  hashed: ['b878563412', 'c3'], // mov with the hash of a function
  operating: ['ff15', to('pv_ops'), 'c3'],
  native_operation: ['c3'],
  hashing: ['48b8', '00'.repeat(8), 'c3'], // movabs
  // What asks for a feature has an alternative of it, which tells the number (features.ts).
  its_init_mod: ['31c0', '0f1f00', 'c3'],
  cpu_wants_rethunk: ['31c0', '0f1f00', 'c3'],
};
const constantAt = 2;

/** mov $1, %eax, in place of xor and its NOP. */
const replacement = 'b801000000';

function alternative(symbol: string, feature: number, nth: number): Content {
  const flags = littleEndian(0, 2);
  return [
    place(symbol),
    place('replacements', 5 * nth),
    ...[littleEndian(feature, 2), flags, '05', '05'], // length of both
  ];
}

/** The tables, by their sections. */
const tables: Readonly<Record<string, Content>> = {
  '.altinstructions': [
    ...alternative('its_init_mod', indirectThunkIts, 0),
    ...alternative('cpu_wants_rethunk', rethunk, 1),
  ],
  '.retpoline_sites': [place('indirect')],
  '.return_sites': [place('returning')],
  '.call_sites': [place('calling')],
  '.ibt_endbr_seal': [place('sealed')],
  '.cfi_sites': [place('hashed')],
  '.parainstructions': [address('operating'), '0006', '00'.repeat(6)], // operation 0, 6 bytes of code
  __mcount_loc: [address('traced')],
  runtime_ptr_made_table: [place('hashing', constantAt)],
};

/** Variables as they are in memory; none of them changes at start-up. */
const variables: Readonly<Record<string, Content>> = {
  boot_cpu_data: [featureWords([...requiredFeatures, rethunk, indirectThunkIts])],
  x86_return_thunk: [address('its_return_thunk')],
  pv_ops: [address('native_operation')],
  made_table: [littleEndian(0x1234_5678, 4), '00000000'],
};

const btf = makeBtf({
  structs: { cpuinfo_x86: { size: 4 * words, members: [['x86_capability', `char[${4 * words}]`, 0]] } },
});

interface Part {
  readonly bytes: Uint8Array;
  readonly references: readonly (Reference & { readonly offset: number })[];
}

function partOf(content: Content): Part {
  const bytes: number[] = [];
  const references: (Reference & { offset: number })[] = [];
  for (const item of content) {
    if (typeof item === 'string') bytes.push(...Buffer.from(item, 'hex'));
    else {
      references.push({ ...item, offset: bytes.length });
      bytes.push(...new Uint8Array(relocations[item.relocation].size));
    }
  }
  return { bytes: Uint8Array.from(bytes), references };
}

/** Contents by name, each at a multiple of `step` bytes. */
function joined(parts: Readonly<Record<string, Content>>, step: number, fill: string) {
  const content: (string | Reference)[] = [];
  const places: { readonly name: string; readonly value: number; readonly size: number }[] = [];
  let at = 0;
  for (const [name, part] of Object.entries(parts)) {
    const size = partOf(part).bytes.length;
    const end = Math.ceil((at + size) / step) * step;
    places.push({ name, value: at, size });
    content.push(...part, fill.repeat(end - at - size));
    at = end;
  }
  return { content, places };
}

/** What makes a kernel of the sample program, as an object. */
function kernelObject(): Uint8Array {
  const code = joined(functions, functionSize, 'cc');
  const data = joined(variables, 8, '00');
  const text = Buffer.from(`${banner}\n\0`);
  const [executable, writable] = [SHF_ALLOC | SHF_EXECINSTR, SHF_ALLOC | SHF_WRITE];
  const contents: { name: string; flags: number; addralign: number; content: Content }[] = [
    { name: '.text', flags: executable, addralign: functionSize, content: code.content },
    { name: '.altinstr_replacement', flags: executable, addralign: 1, content: [replacement, replacement] },
    { name: '.data', flags: writable, addralign: 8, content: data.content },
    { name: '.rodata', flags: SHF_ALLOC, addralign: 8, content: [text.toString('hex')] },
    { name: '.BTF', flags: SHF_ALLOC, addralign: 8, content: [Buffer.from(btf).toString('hex')] },
    ...Object.entries(tables).map(([name, content]) => ({ name, flags: SHF_ALLOC, addralign: 8, content })),
  ];
  const symbols: MadeSymbol[] = [
    ...code.places.map((one) => ({ ...one, section: 1, info: 0x10 + STT_FUNC })),
    { name: 'replacements', section: 2, info: 0x10 },
    ...data.places.map((one) => ({ ...one, section: 3, info: 0x10 + STT_OBJECT })),
    { name: 'linux_banner', section: 4, size: text.length, info: 0x10 + STT_OBJECT },
  ];
  const numbers = new Map(symbols.map(({ name }, i) => [name, i + 1]));
  const parts = contents.map(({ content }) => partOf(content));
  const filled = parts.flatMap((part, i) => (part.references.length > 0 ? [{ part, section: i + 1 }] : []));
  const sections: MadeSection[] = contents.map(({ content, ...section }, i) => ({
    ...section,
    data: (parts[i] as Part).bytes,
  }));
  const link = symtabAfter(contents.length + filled.length);
  for (const { part, section } of filled) {
    const name = `.rela${sections[section - 1]?.name}`;
    sections.push({ name, type: SHT_RELA, link, info: section, entsize: 24, data: records(part, numbers) });
  }
  return makeObject({ sections, symbols });
}

function records({ references }: Part, numbers: ReadonlyMap<string | undefined, number>): Uint8Array {
  const view = new DataView(new ArrayBuffer(24 * references.length));
  for (const [i, { offset, relocation, symbol, addend }] of references.entries()) {
    view.setBigUint64(24 * i, BigInt(offset), true);
    view.setUint32(24 * i + 8, relocations[relocation].type, true);
    view.setUint32(24 * i + 12, numbers.get(symbol) as number, true);
    view.setBigInt64(24 * i + 16, BigInt(addend), true);
  }
  return new Uint8Array(view.buffer);
}

/** The kernel's file: the units of the sample program with all that. */
export function richKernel(units: readonly string[]): Uint8Array {
  const objects = units.map((name) => readElf(`${name}.o`, annotated('gcc-O2', name)));
  return linkObjects([...objects, readElf('kernel.o', kernelObject())]).bytes;
}

/** Where the running kernel has made a page of thunks against ITS. */
const thunkPage = -0x1000_0000;
/** Of the first thunk, which is that of the first indirect branch. */
const firstThunk = 32;

/** A core of a machine that runs it where it is linked: a key and a call were changed, and the thunks were made. */
export function richMemory(kernel: Uint8Array): Uint8Array {
  const pages = run(kernel, 0, {
    steps: [
      { do: 'enable', key: 'off_key' },
      { do: 'update', call: 'math', value: 'NULL' },
    ],
  });
  const site = imageOf(kernel).symbols.addressOf('indirect') as number;
  const branch = Buffer.from('e800000000', 'hex');
  branch.writeInt32LE(thunkPage + firstThunk - (site + branch.length), 1);
  const of = pages.find(({ virtual }) => site >= virtual && site < virtual + pageSize) as Page;
  of.bytes.set(branch, site - of.virtual);
  const thunks = new Uint8Array(pageSize).fill(0xcc);
  thunks.set([0xff, 0xe0], firstThunk); // jmp *%rax
  return core([...pages, { virtual: thunkPage, physical: 0, bytes: thunks }], { addresses: ['virtual'] });
}
