// What a vmlinux that keeps its relocation sections says of the places that move with the kernel.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ET_EXEC, ET_REL, SHT_PROGBITS, SHT_RELA } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { relocationListsFor, relocationListsOfCode } from '../../src/kernel/relocation-sections.ts';
import { makeObject, symtabAfter } from '../elf/objects.ts';

const base = -0x7f00_0000; // 0xffffffff81000000
const size = 0x100;
/** Types of the psABI. */
const types = {
  none: 0,
  '64': 1,
  pc32: 2,
  plt32: 4,
  '32': 10,
  '32S': 11,
  pc64: 24,
  rexGotpcrelx: 42,
} as const;
type Type = keyof typeof types;
/** Symbols by number; sections: 1 .text, 2 .data, 3 .data..percpu. */
const symbols = [
  { name: 'function', section: 1, value: base, info: 0x10 },
  { name: 'variable', section: 2, value: base + 0x1000, info: 0x10 },
  { name: 'of_cpu', section: 3, value: 0x40, info: 0x10 },
  { name: '__per_cpu_load', section: 3, value: base + 0x2000, info: 0x10 },
  { name: '__kcfi_typeid_f', shndx: 0xfff1, value: 0x9abc_def0, info: 0x10 },
  { name: '_end', shndx: 0xfff1, value: base + 0x3000, info: 0x10 },
  { name: 'weak', info: 0x20 },
] as const;
type Name = (typeof symbols)[number]['name'];

type Row = readonly [offset: number, type: Type | number, symbol: Name];

/** A kernel whose .text has these relocations. */
function kernel(
  rows: readonly Row[],
  { type = ET_EXEC as number, perCpuAt = 0, of = '.text', info = 1 } = {},
): ReturnType<typeof readElf> {
  const records = new Uint8Array(24 * rows.length);
  const view = new DataView(records.buffer);
  for (const [i, [offset, kind, name]] of rows.entries()) {
    view.setBigInt64(24 * i, BigInt(base + offset), true);
    view.setUint32(24 * i + 8, typeof kind === 'number' ? kind : types[kind], true);
    view.setUint32(24 * i + 12, 1 + symbols.findIndex((symbol) => symbol.name === name), true);
  }
  const sections = [
    { name: of, type: SHT_PROGBITS, flags: 6, addr: base, data: new Uint8Array(size), addralign: 16 },
    {
      name: '.data',
      type: SHT_PROGBITS,
      flags: 3,
      addr: base + 0x1000,
      data: new Uint8Array(8),
      addralign: 8,
    },
    {
      name: '.data..percpu',
      type: SHT_PROGBITS,
      flags: 3,
      addr: perCpuAt,
      data: new Uint8Array(8),
      addralign: 8,
    },
    {
      ...{ name: `.rela${of}`, type: SHT_RELA, flags: 0x40, data: records, addralign: 8 },
      ...{ link: symtabAfter(4), info, entsize: 24 },
    },
  ];
  return readElf('vmlinux', makeObject({ type, sections, symbols, firstGlobal: 1 }));
}
const addresses = (...offsets: number[]) => Int32Array.from(offsets, (offset) => base + offset);

const all: readonly Row[] = [
  [0x90, '32', 'function'],
  [0x08, '32S', 'variable'],
  [0x10, '64', 'variable'],
  [0x20, 'pc32', 'function'],
  [0x28, 'plt32', 'function'],
  [0x30, 'pc32', 'of_cpu'],
  [0x38, '32S', 'of_cpu'],
  [0x40, 'pc32', '__per_cpu_load'],
  [0x48, '32S', '__per_cpu_load'],
  [0x50, '32', '__kcfi_typeid_f'],
  [0x58, '32S', '_end'],
  [0x60, '64', 'weak'],
  [0x68, 'none', 'function'],
  [0x70, 'pc64', 'variable'],
  [0x78, 'rexGotpcrelx', 'variable'],
];

test('addresses move, distances do not, and variables of processors that are linked at 0 do the other way round', () => {
  assert.deepEqual(relocationListsOfCode(kernel(all)), {
    relocs64: addresses(0x10),
    inverse32: addresses(0x30),
    relocs32: addresses(0x08, 0x48, 0x58, 0x90),
  });
});

test('where variables of processors are linked as others are, they move as others do (6.15)', () => {
  assert.deepEqual(relocationListsOfCode(kernel(all, { perCpuAt: base + 0x2000 })), {
    relocs64: addresses(0x10),
    inverse32: undefined,
    relocs32: addresses(0x08, 0x38, 0x48, 0x58, 0x90),
  });
});

test('a file that is no linked kernel, or keeps no relocations of .text, says nothing', () => {
  for (const file of [
    kernel(all, { type: ET_REL }),
    kernel(all, { of: '.other' }),
    kernel(all, { info: 2 }),
    readElf('vmlinux', makeObject({ type: ET_EXEC })),
  ])
    assert.equal(relocationListsOfCode(file), undefined);
});

test('lists behind a payload come first', () => {
  const words = new Uint8Array(8);
  assert.equal(relocationListsFor(kernel(all), new Uint8Array(0))?.relocs64.length, 1);
  assert.equal(relocationListsFor(kernel(all), words)?.relocs64.length, 0);
});

for (const [what, rows, message] of [
  ['of a type that no kernel has', [[0x10, 17, 'variable']], /has type 17/],
  ['outside of its section', [[size - 4, '64', 'variable']], /outside of \.text/],
  [
    'of one place, twice',
    [
      [0x10, '32S', 'variable'],
      [0x10, '32S', 'function'],
    ],
    /relocated twice/,
  ],
] as const) {
  test(`relocations ${what} are refused`, () => {
    assert.throws(
      () => relocationListsOfCode(kernel(rows)),
      (error) =>
        error instanceof TextpokeError && error.code === 'elf-malformed' && message.test(error.message),
    );
  });
}
