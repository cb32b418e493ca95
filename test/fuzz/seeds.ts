// The inputs that cases start from: committed objects, what the project itself makes of them, and what is made by hand.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { ByteView } from '../../src/bytes/view.ts';
import type { Section } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { Ehdr, identSize, Phdr } from '../../src/elf/records.ts';
import { Image } from '../../src/image/image.ts';
import { readStaticCalls } from '../../src/image/static-calls.ts';
import { debugFile, id, imageWith, link, withoutId } from '../dwarf/made-debug-files.ts';
import { fileOf, program, type Shape, table, uleb } from '../dwarf/tables.ts';
import { header } from '../elf/archives.ts';
import { bzImageOf, lz4Of, lzoOf, unifiedOf, zbootOf, zImageOf } from '../kernel-room/made-files.ts';
import {
  core,
  entryNote,
  flattened,
  kdump,
  kernelBytes,
  physicalOffset,
  run,
  vmcoreinfoNote,
} from '../memory/dumps.ts';
import { avml, byLzo, bySnappy, lime, withTables } from '../memory/forms.ts';
import { relocations, kernelBytes as textKernel, versions as textVersions } from '../policy/kernel.ts';
import { annotated, linkedBytes, programUnits } from '../samples.ts';
import { functionCount, generated, imageFile, MadeKernel } from '../text/made-kernel.ts';
import { xzOf, zstdOf } from './compressed.ts';
import { debugStructures, lineTables, type Structure, structuresOf } from './fields.ts';
import { packedStreams } from './packed-streams.ts';
import { commandLines, configs, responses, scenarios } from './texts.ts';

/** What containers hold. */
const kernelElf = () => linkedBytes('gcc-O2', programUnits);

export interface Seed {
  readonly bytes: Uint8Array;
  readonly structures: readonly Structure[];
}

const objectsFolder = fileURLToPath(new URL('../../samples/objects/', import.meta.url));
const sets = [
  ...['gcc-O2', 'clang-O2', 'gcc-O2-fPIC', 'gcc-O2-ffunction-sections', 'clang-Os', 'gcc-O0', 'gcc-O2-g-gz'],
  ...[
    'aarch64-gcc-O2',
    'aarch64-clang-O2-g',
    'aarch64_be-gcc-O2',
    'arm-gcc-O2',
    'arm-clang-O2-g',
    'armeb-gcc-O2',
  ],
  ...['thumb-gcc-O2', 'thumb-clang-O2-ffunction-sections', 'thumbeb-gcc-O2'],
];
const units = ['branch', 'call', 'lock', 'comdat', 'hand', 'kernel-entries', 'local', 'alt-smp'];

const readSample = (name: string) => new Uint8Array(readFileSync(join(objectsFolder, `${name}.o`)));

/** Names of the committed objects that cases start from. */
export const objects: readonly string[] = sets.flatMap((set) =>
  units.flatMap((unit) => {
    try {
      readSample(`${set}/${unit}`);
      return [`${set}/${unit}`];
    } catch {
      return []; // not every set has every unit
    }
  }),
);

const imageSets = ['gcc-O2', 'clang-Os', 'aarch64-gcc-O2', 'arm-gcc-O2', 'thumb-clang-O2', 'armeb-gcc-O2'];
const unitsOf = (set: string) => programUnits.filter((unit) => unit !== 'main' || !/eb-|be-/.test(set));

/** A linked image as if it were position-independent: with a dynamic segment, and relocations for the keys of calls. */
function dynamicImage(set: string): Uint8Array {
  const linked = linkedBytes(set, unitsOf(set));
  const image = new Image(readElf('image', linked));
  const { class: bits, little, phoff } = image.file.header;
  if (bits !== 64) throw new Error('an image of 64 bits is required');
  const calls = [...readStaticCalls(image).keys()];
  const at = Math.ceil(linked.length / 4096) * 4096;
  const base = 0x90_0000;
  const count = image.file.segments.length + 2;
  const [dynamicAt, headersAt] = [24 * calls.length, 24 * calls.length + 64];
  const size = headersAt + count * Phdr[64].size;
  const bytes = new Uint8Array(at + size);
  bytes.set(linked);
  const view = new ByteView(bytes, little);
  const relative = image.file.header.machine === 62 ? 8n : 1027n;
  calls.forEach((key, i) => {
    const value = image.readPointer(key);
    view.setU64(at + 24 * i, BigInt(key));
    view.setU64(at + 24 * i + 8, relative);
    view.setU64(at + 24 * i + 16, BigInt(value.kind === 'address' ? value.address : 0));
  });
  // DT_RELA, DT_RELASZ, DT_RELAENT, DT_NULL.
  [7, base, 8, dynamicAt, 9, 24, 0, 0].forEach((value, i) => {
    view.setU64(at + dynamicAt + 8 * i, BigInt(value));
  });
  const old = bytes.slice(phoff, phoff + (count - 2) * Phdr[64].size);
  bytes.set(old, at + headersAt);
  const segment = (i: number, type: number, from: number, length: number, align: number) =>
    Phdr[64].write(view, at + headersAt + i * Phdr[64].size, {
      ...{ type, flags: 6, offset: at + from, vaddr: base + from, paddr: base + from },
      ...{ filesz: length, memsz: length, align },
    });
  segment(count - 2, 1, 0, size, 4096);
  segment(count - 1, 2, dynamicAt, 64, 8);
  view.setU16(identSize + Ehdr[64].offsets.type, 3);
  view.setU16(identSize + Ehdr[64].offsets.phnum, count);
  view.setU64(identSize + Ehdr[64].offsets.phoff, BigInt(at + headersAt));
  return bytes;
}

/** An archive with a symbol index and a table of long names, as GNU ar makes it. */
function archiveOf(set: string): Uint8Array {
  const names = ['branch', 'call', 'lock'];
  const long = `${names.map((name) => `a_rather_long_name_${name}.o/\n`).join('')}`;
  const parts = names.map((name) => Buffer.from(readSample(`${set}/${name}`)));
  const even = (part: Buffer) => (part.length % 2 ? Buffer.concat([part, Buffer.from('\n')]) : part);
  const symbols = Buffer.from('likely_true\0call_it\0lock_it\0\0');
  const index = Buffer.alloc(4 + 4 * names.length);
  index.writeUInt32BE(names.length);
  const headSize = 60;
  let at =
    8 + headSize + even(Buffer.concat([index, symbols])).length + headSize + even(Buffer.from(long)).length;
  const members = parts.map((part, i) => {
    index.writeUInt32BE(at, 4 + 4 * i);
    at += headSize + even(part).length;
    const name = `/${long.indexOf(`a_rather_long_name_${names[i]}`)}`;
    return Buffer.concat([Buffer.from(header(name, part.length)), even(part)]);
  });
  const whole = Buffer.concat([index, symbols]);
  const front = [header('/', whole.length), even(whole), header('//', long.length), even(Buffer.from(long))];
  return new Uint8Array(
    Buffer.concat([Buffer.from('!<arch>\n'), ...front.map((part) => Buffer.from(part)), ...members]),
  );
}

const slide = 0x600000;
const vmcoreinfo = `OSRELEASE=6.1.0\nNUMBER(phys_base)=${physicalOffset - slide - 2 ** 31}\nKERNELOFFSET=${slide.toString(16)}\n`;
const few = ['branch', 'call', 'lock', 'key-def'];
const steps = [{ do: 'enable', key: 'off_key' } as const];
const kernelOf = (set: string) => kernelBytes(set, undefined, few);
const pagesOf = (set: string, by = slide) => run(kernelOf(set), by, { steps: by === 0 ? [] : steps });

const lineShapes: readonly Shape[] = [2, 3, 4, 5].flatMap((version) =>
  [true, false].map((wide) => ({ version, wide, little: version !== 3, addressSize: version === 2 ? 4 : 8 })),
);
const lineCode = [
  18,
  32,
  3,
  ...uleb(99999),
  1,
  2,
  ...uleb(0x12345),
  3,
  0x7f,
  1,
  8,
  9,
  0x34,
  0x12,
  4,
  2,
  5,
  3,
  200,
  2,
  8,
];

/** Objects with functions that are inlined. */
const inlinedObjects = [
  ...['gcc', 'clang'].flatMap((of) => [`${of}-O2-g/inlined`, `${of}-O2-gdwarf-4/inlined`]),
  ...['gcc-O2-g/comdat', 'aarch64-clang-O2-g/comdat', 'arm-clang-O2-g/comdat'],
];

/** A dump of memory for each format, and the kernel that it is of. */
const dumps: Readonly<Record<string, { readonly of: string; readonly make: () => Uint8Array }>> = {
  'core by virtual addresses': {
    of: 'gcc-O2',
    make: () => core(pagesOf('gcc-O2'), { addresses: ['virtual'] }),
  },
  'core by physical addresses': {
    of: 'gcc-O2',
    make: () =>
      core(pagesOf('gcc-O2'), {
        addresses: ['physical'],
        notes: [vmcoreinfoNote(vmcoreinfo), entryNote(0x400000)],
      }),
  },
  'core of ARM': {
    of: 'arm-gcc-O2',
    make: () =>
      core(pagesOf('arm-gcc-O2', 0x10000), { class: 32, machine: 40, addresses: ['virtual', 'physical'] }),
  },
  'core of big-endian AArch64': {
    of: 'aarch64_be-gcc-O2',
    make: () =>
      core(pagesOf('aarch64_be-gcc-O2', 0), { little: false, machine: 183, addresses: ['virtual'] }),
  },
  kdump: { of: 'gcc-O2', make: () => kdump(pagesOf('gcc-O2')) },
  'kdump with VMCOREINFO': { of: 'gcc-O2', make: () => kdump(pagesOf('gcc-O2'), { vmcoreinfo }) },
  'kdump of ARM': { of: 'arm-gcc-O2', make: () => kdump(pagesOf('arm-gcc-O2', 0x10000), { class: 32 }) },
  'kdump of lzo': { of: 'gcc-O2', make: () => kdump(pagesOf('gcc-O2'), { vmcoreinfo, pack: byLzo }) },
  'kdump of snappy': { of: 'gcc-O2', make: () => kdump(pagesOf('gcc-O2'), { vmcoreinfo, pack: bySnappy }) },
  LiME: { of: 'gcc-O2', make: () => lime(pagesOf('gcc-O2')) },
  AVML: { of: 'gcc-O2', make: () => avml(pagesOf('gcc-O2')) },
  'core with page tables': {
    of: 'gcc-O2',
    make: () => {
      const { memory, root } = withTables(pagesOf('gcc-O2'), 4, -0x7777_0000_0000);
      const tables = `SYMBOL(swapper_pg_dir)=${root.toString(16)}\n`;
      return core(memory, { addresses: ['physical'], notes: [vmcoreinfoNote(vmcoreinfo + tables)] });
    },
  },
  'core of a kernel that traces and probes': {
    of: 'made text',
    make: () => {
      const made = new MadeKernel(0).start();
      made.records([
        Array.from({ length: functionCount }, (_, i) => [made.site(i), i < 2 ? 1 << 31 : 0] as const),
      ]);
      made.ops(0, made.at('tracer'), 0, 0, [made.site(0), made.site(1)]);
      made.probe(made.site(3) + 5, 0, generated);
      return made.dump();
    },
  },
  'flattened kdump': { of: 'gcc-O2', make: () => flattened(kdump(pagesOf('gcc-O2'))) },
  'flattened core': {
    of: 'gcc-O2',
    make: () => flattened(core(pagesOf('gcc-O2'), { addresses: ['virtual'] })),
  },
};

const makers: Readonly<Record<string, () => Uint8Array>> = {
  ...Object.fromEntries(objects.map((name) => [name, () => readSample(name)])),
  ...Object.fromEntries(
    objects.map((name) => [`annotated ${name}`, () => annotated(...(name.split('/') as [string, string]))]),
  ),
  ...Object.fromEntries(inlinedObjects.map((name) => [`inlined ${name}`, () => readSample(name)])),
  ...Object.fromEntries(imageSets.map((set) => [`image ${set}`, () => linkedBytes(set, unitsOf(set))])),
  'image of kernel entries': () => linkedBytes('thumb-gcc-O2', ['kernel-entries']),
  ...Object.fromEntries(
    ['gcc-O2', 'aarch64-gcc-O2'].map((set) => [`dynamic image ${set}`, () => dynamicImage(set)]),
  ),
  ...Object.fromEntries(['gcc-O2', 'arm-gcc-O2'].map((set) => [`archive ${set}`, () => archiveOf(set)])),
  ...Object.fromEntries(Object.entries(dumps).map(([name, { make }]) => [name, make])),
  ...Object.fromEntries(
    Object.values(dumps).map(({ of }) => [
      `kernel ${of}`,
      () => (of === 'made text' ? imageFile : kernelOf(of)),
    ]),
  ),
  ...Object.fromEntries(
    lineShapes.map((shape) => [
      `lines ${shape.version} ${shape.wide ? 'wide' : 'short'}`,
      () => table(shape, program(shape, 0x1000, lineCode)),
    ]),
  ),
  'debug file': () => debugFile,
  'debug program with a build id': () => imageWith({ id }),
  'debug program with a link': () => imageWith({ link: link('q', withoutId) }),
  'gzip of an object': () => new Uint8Array(gzipSync(readSample('gcc-O2/branch'))),
  'zstd of an object': () => zstdOf(readSample('gcc-O2/branch')),
  'xz of an object': () => xzOf(readSample('gcc-O2/branch')),
  'lz4 of an object': () => lz4Of(readSample('gcc-O2/branch')),
  'lzo of an object': () => lzoOf(readSample('gcc-O2/branch')),
  ...Object.fromEntries(
    Object.entries(packedStreams).map(([form, base64]) => [
      `${form} of a text`,
      () => new Uint8Array(Buffer.from(base64, 'base64')),
    ]),
  ),
  'vmlinuz lz4': () => bzImageOf(lz4Of(kernelElf()), kernelElf().length),
  'vmlinuz gzip': () => bzImageOf(new Uint8Array(gzipSync(kernelElf()))),
  'vmlinuz unified': () => unifiedOf(bzImageOf(lzoOf(kernelElf()), kernelElf().length)),
  'vmlinuz zboot': () => zbootOf(zstdOf(kernelElf()), 'zstd'),
  'vmlinuz zImage': () => zImageOf(lz4Of(kernelElf()), kernelElf().length),
  ...Object.fromEntries(textVersions.map((version) => [`text kernel ${version}`, () => textKernel(version)])),
  'text kernel in a bzImage': () =>
    bzImageOf(new Uint8Array(gzipSync(Buffer.concat([textKernel('6.12.0'), relocations])))),
  ...Object.fromEntries(
    Object.entries({
      scenario: scenarios,
      config: configs,
      'command line': commandLines,
      response: responses,
    }).flatMap(([what, texts]) =>
      texts.map((text, i) => [`${what} ${i}`, () => new Uint8Array(Buffer.from(text))]),
    ),
  ),
};

/** Names of seeds that begin so. */
export const seedsNamed = (...starts: readonly string[]): string[] =>
  Object.keys(makers).filter((name) => starts.some((start) => name.startsWith(start)));

/** Names of the dumps of memory, and of the kernel that one is of. */
export const dumpNames = Object.keys(dumps);
export const kernelOfDump = (name: string): string => `kernel ${dumps[name]?.of}`;

const isText = (name: string) => /^(scenario|config|command line|response) \d/.test(name);
const made = new Map<string, Uint8Array>();
const known = new Map<string, Seed>();

/** A seed's bytes, which nobody may change. */
export function seedBytes(name: string): Uint8Array {
  let bytes = made.get(name);
  if (!bytes) {
    const make = makers[name];
    if (!make) throw new Error(`there is no seed ${JSON.stringify(name)}`);
    bytes = make();
    made.set(name, bytes);
  }
  return bytes;
}

/** A seed with what it is made of. */
export function seedOf(name: string): Seed {
  let seed = known.get(name);
  if (!seed) {
    const bytes = seedBytes(name);
    const structures = name.startsWith('lines ')
      ? [lineTables(fileOf(bytes, name[6] !== '3'), { offset: 0, size: bytes.length } as Section)]
      : name.startsWith('inlined ')
        ? debugStructures(bytes)
        : structuresOf(bytes, isText(name));
    seed = { bytes, structures };
    known.set(name, seed);
  }
  return seed;
}
