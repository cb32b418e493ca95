// Files that are cut off, damaged or made to harm: every failure is a TextpokeError with a code and a place, and
// costs no more than the file's size allows.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { ByteView } from '../../src/bytes/view.ts';
import { isArchive, readArchive, rewriteArchive } from '../../src/elf/archive.ts';
import { SHT_REL, SHT_RELA } from '../../src/elf/constants.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf, readElfFrom } from '../../src/elf/read.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { rewriteObject } from '../../src/elf/rewrite.ts';
import { errorCodes, TextpokeError } from '../../src/errors.ts';
import { fileSource } from '../../src/files/source.ts';
import { casesOf } from '../tools.ts';
import { changeEverything, makeObject, noChange, words } from './objects.ts';

const samples = fileURLToPath(new URL('../../samples/objects/', import.meta.url));
const sample = (name: string) => new Uint8Array(readFileSync(join(samples, name)));

/** Reads all that there is to read, and rewrites what can be rewritten. */
function exercise(bytes: Uint8Array): void {
  const file = readElf('x.o', bytes);
  for (const section of file.sections) file.data(section);
  readTables(file);
  if (file.header.type !== 1 || !file.symtab) return;
  recheck('x.o', rewriteObject(file, noChange));
  if (file.named('.text')) recheck('x.o', rewriteObject(file, changeEverything(file)));
}

function readTables(file: ElfFile): void {
  for (const table of [file.symtab, file.dynsym]) {
    if (!table) continue;
    const symbols = file.symbols(table);
    for (let i = 0; i < symbols.count; i++) symbols.name(i);
  }
  for (const section of file.sections) {
    if (section.type === SHT_REL || section.type === SHT_RELA) file.relocations(section);
    file.relocationSections(section.index);
  }
}

/** Runs `body`; true when it failed, which it may with a TextpokeError only. */
function onlyTextpokeErrors(body: () => void, what: string): boolean {
  try {
    body();
    return false;
  } catch (error) {
    // Only then the stack is asked for, since to make one takes longer than all else here.
    if (!(error instanceof TextpokeError)) throw new Error(what, { cause: error });
    assert.ok(error.code in errorCodes && error.code !== 'defect', `${what}: ${error.describe()}`);
    assert.ok(error.message.length > 10, what);
    const { file, section, offset } = error.place;
    assert.ok(
      file !== undefined || section !== undefined || offset !== undefined,
      `${what}: ${error.describe()}`,
    );
    return true;
  }
}

/** A generator with a seed (mulberry32), so that a failure comes back. */
function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

const text = { name: '.text', flags: 6, data: new Uint8Array(64), addralign: 16 };
const made = (bits: 32 | 64, little: boolean) =>
  makeObject({
    class: bits,
    little,
    sections: [
      text,
      { name: '.group', type: 17, link: 5, info: 2, entsize: 4, addralign: 4, data: words(little, 1, 3, 4) },
      { name: '.text.b', flags: 0x206, data: new Uint8Array(16) },
      {
        name: '.rela.text.b',
        type: 4,
        flags: 0x240,
        link: 5,
        info: 3,
        entsize: bits === 64 ? 24 : 12,
        data: new Uint8Array(bits === 64 ? 48 : 24),
      },
    ],
    symbols: [
      { name: 'a', section: 1, info: 2 },
      { name: 'b', section: 3, info: 0x12 },
      { name: 'c', info: 0x10 },
    ],
  });

const objects: readonly (readonly [string, Uint8Array])[] = [
  ['32 bits, little-endian', made(32, true)],
  ['32 bits, big-endian', made(32, false)],
  ['64 bits, little-endian', made(64, true)],
  ['64 bits, big-endian', made(64, false)],
  ['a COMDAT object of gcc', sample('gcc-O2-g/comdat.o')],
  ['a COMDAT object of clang', sample('clang-O2-ffunction-sections/comdat.o')],
  ['an object with compressed DWARF', sample('clang-O2-g-gz/call.o')],
  ['node itself, its first 64 KiB', new Uint8Array(readFileSync(process.execPath).subarray(0, 65536))],
];

for (const [what, bytes] of objects) {
  test(`cut off anywhere, ${what} gives an error and nothing else`, () => {
    for (let length = 0; length < bytes.length; length += 64) {
      onlyTextpokeErrors(() => exercise(bytes.slice(0, length)), `${length} bytes`);
    }
    for (let length = 0; length < 70; length++) {
      assert.ok(
        onlyTextpokeErrors(() => exercise(bytes.slice(0, length)), `${length} bytes`),
        `${length} bytes`,
      );
    }
  });

  test(`with flipped bytes, ${what} is read or refused, never anything else`, () => {
    const random = seeded(bytes.length);
    // Headers and the section header table decide most; half of the flips go there.
    const shoff = new ByteView(bytes, bytes[5] === 1).u32(bytes[4] === 2 ? (bytes[5] === 1 ? 40 : 44) : 32);
    let refused = 0;
    const rounds = casesOf(1500);
    for (let round = 0; round < rounds; round++) {
      const damaged = bytes.slice();
      const flips = 1 + random(3);
      for (let i = 0; i < flips; i++) {
        const where = random(4);
        const at =
          where === 0
            ? random(64)
            : where === 1 && shoff < bytes.length
              ? shoff + random(bytes.length - shoff)
              : random(bytes.length);
        const values = [0, 0xff, 0x7f, 0x80, random(256)];
        damaged[at] = values[random(values.length)] as number;
      }
      if (onlyTextpokeErrors(() => exercise(damaged), `seed ${bytes.length}, round ${round}`)) refused++;
    }
    assert.notEqual(refused, 0);
  });
}

test('every committed object reads, and an empty change gives the same bytes', () => {
  let count = 0;
  for (const name of readdirSync(samples, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(o|dwo)$/.test(name)) continue;
    const bytes = sample(name);
    const file = readElf(name, bytes);
    readTables(file);
    if (file.symtab) recheck(name, rewriteObject(file, noChange));
    count++;
  }
  assert.ok(count > 50, `${count} objects`);
});

test('archives with flipped bytes are read or refused', () => {
  const head = (name: string, size: number) =>
    `${name.padEnd(16)}${''.padEnd(32)}${String(size).padEnd(10)}\x60\n`;
  const index = words(false, 2, 0x84, 0xc6).slice();
  const parts = [
    Buffer.from(`!<arch>\n${head('/', 12)}`),
    index,
    Buffer.from(`${head('//', 12)}long_name/\n\n${head('/0', 6)}member`),
  ];
  const bytes = new Uint8Array(Buffer.concat(parts));
  new ByteView(bytes, false).setU32(72, 152);
  new ByteView(bytes, false).setU32(76, 152);
  assert.equal(isArchive(bytes), true);
  assert.equal(readArchive(bytes)[2]?.headerOffset, 152);
  const random = seeded(7);
  let refused = 0;
  for (let round = 0; round < 5000; round++) {
    const damaged = bytes.slice(0, random(8) === 0 ? random(bytes.length) : bytes.length);
    if (damaged.length > 0) damaged[random(damaged.length)] = random(256);
    const body = () => rewriteArchive(damaged, readArchive(damaged), new Map([[0, index]]));
    if (onlyTextpokeErrors(() => void body(), `round ${round}`)) refused++;
  }
  assert.ok(refused > 1000, `${refused} refused`);
});

interface Damage {
  readonly what: string;
  readonly code: string;
  readonly message: RegExp;
  /** Changes a 64-bit little-endian object; `shoff` is its section header table. */
  readonly change: (view: ByteView, shoff: number) => void;
}
const damages: readonly Damage[] = [
  {
    what: '2^60 sections',
    code: 'elf-truncated',
    message: /section header table needs/,
    change: (v, s) => {
      v.setU16(60, 0);
      v.setU64(s + 32, 1n << 52n);
    },
  },
  {
    what: '2^64-1 sections',
    code: 'elf-malformed',
    message: /the largest supported value is 2\^53-1/,
    change: (v, s) => {
      v.setU16(60, 0);
      v.setU64(s + 32, ~0n);
    },
  },
  {
    what: '2^32-1 segments',
    code: 'elf-truncated',
    message: /program header table needs 4294967295/,
    change: (v, s) => {
      v.setU64(32, 64n);
      v.setU16(54, 56);
      v.setU16(56, 0xffff);
      v.setU32(s + 44, 0xffffffff);
    },
  },
  {
    what: 'a section of 2^50 bytes',
    code: 'elf-truncated',
    message: /file ends at byte/,
    change: (v, s) => v.setU64(s + 64 + 32, 1n << 50n),
  },
  {
    what: 'a section whose end wraps around',
    code: 'elf-malformed',
    message: /the largest supported value is 2\^53-1/,
    change: (v, s) => v.setU64(s + 64 + 24, ~0xfn),
  },
  {
    what: 'section headers of another size',
    code: 'elf-malformed',
    message: /e_shentsize is 65/,
    change: (v) => v.setU16(58, 65),
  },
  {
    what: 'program headers of another size',
    code: 'elf-malformed',
    message: /e_phentsize is 32/,
    change: (v) => {
      v.setU64(32, 64n);
      v.setU16(54, 32);
      v.setU16(56, 1);
    },
  },
  {
    what: 'a name table that does not exist',
    code: 'elf-malformed',
    message: /e_shstrndx names section 500/,
    change: (v) => v.setU16(62, 500),
  },
  {
    what: 'a name table beside no sections',
    code: 'elf-malformed',
    message: /0 sections|no string table|e_shstrndx/,
    change: (v) => {
      v.setU16(62, 0xfff0);
    },
  },
  {
    what: 'a name table that is code',
    code: 'elf-malformed',
    message: /not a string table \(its type is SHT_PROGBITS\)/,
    change: (v) => v.setU16(62, 1),
  },
  {
    what: 'a name outside the name table',
    code: 'elf-malformed',
    message: /no zero-terminated name/,
    change: (v, s) => v.setU32(s + 64, 0x7fffffff),
  },
  {
    what: 'an alignment that is no power of two',
    code: 'elf-malformed',
    message: /sh_addralign is 3/,
    change: (v, s) => v.setU64(s + 64 + 48, 3n),
  },
  {
    what: 'an alignment next to a large power of two',
    code: 'elf-malformed',
    message: /sh_addralign is/,
    change: (v, s) => v.setU64(s + 64 + 48, (1n << 49n) + 1n),
  },
  {
    what: 'a section header table past the end',
    code: 'elf-truncated',
    message: /section header table needs/,
    change: (v) => v.setU64(40, 1n << 40n),
  },
  {
    what: 'class 3',
    code: 'elf-malformed',
    message: /EI_CLASS is 0x3; ELFCLASS32 or ELFCLASS64 is required/,
    change: (v) => v.setU8(4, 3),
  },
  {
    what: 'byte order 0',
    code: 'elf-malformed',
    message: /EI_DATA is ELFDATANONE; ELFDATA2LSB or ELFDATA2MSB is required/,
    change: (v) => v.setU8(5, 0),
  },
  {
    what: 'version 2',
    code: 'elf-malformed',
    message: /EI_VERSION is 0x2; EV_CURRENT is required/,
    change: (v) => v.setU8(6, 2),
  },
];
for (const { what, code, message, change } of damages) {
  test(`${what}: refused before anything is allocated`, () => {
    const bytes = made(64, true);
    const view = new ByteView(bytes, true);
    change(view, Number(view.u64(40)));
    assert.throws(
      () => readElf('x.o', bytes),
      (error: unknown) => {
        assert.ok(error instanceof TextpokeError, String(error));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        assert.equal(error.place.file, 'x.o');
        return true;
      },
    );
  });
}

test('a header that says it has a name table but no sections reads as a file without sections', () => {
  const bytes = made(64, true);
  const view = new ByteView(bytes, true);
  view.setU64(40, 0n);
  assert.deepEqual(readElf('x.o', bytes).sections, []);
});

test('a SHT_NULL section of 2^50 bytes has none', () => {
  const bytes = made(64, true);
  const view = new ByteView(bytes, true);
  const shoff = Number(view.u64(40));
  view.setU32(shoff + 64 + 4, 0);
  view.setU64(shoff + 64 + 32, 1n << 50n);
  const file = readElf('x.o', bytes);
  assert.equal(file.data(file.sections[1] as never).length, 0);
});

test('an open file refuses what lies outside of it before it allocates', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'textpoke-read-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'a.o');
  writeFileSync(path, made(32, false));
  const source = fileSource(path);
  assert.equal(readElfFrom(path, source).named('.text')?.size, 64);
  for (const [offset, length] of [
    [0, 2 ** 50],
    [source.size, 1],
    [-1, 1],
    [Number.NaN, 1],
    [0, -1],
  ] as const) {
    assert.throws(
      () => source.read(offset, length),
      (e: unknown) => e instanceof TextpokeError && e.code === 'elf-truncated',
    );
  }
});

test('what is no ELF file is said to be what it is', () => {
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ['', 'not-elf', /empty/],
    ['#!/bin/sh', 'not-elf', /script/],
    ['BC\xc0\xde....', 'lto-object', /bitcode/],
    ['\xde\xc0\x17\x0b....', 'lto-object', /bitcode/],
    ['\x7fELG', 'not-elf', /7f 45 4c 47/],
    ['\x7fELF\x02\x01\x01', 'elf-truncated', /fewer than 16 bytes/],
  ];
  for (const [bytes, code, message] of rows) {
    assert.throws(
      () => readElf('x', new Uint8Array(Buffer.from(bytes, 'latin1'))),
      (e: unknown) => e instanceof TextpokeError && e.code === code && message.test(e.message),
      JSON.stringify(bytes),
    );
  }
});
