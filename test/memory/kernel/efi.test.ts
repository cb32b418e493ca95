// What a running kernel's memory says of the firmware: the tables through which it is called, and its map of memory.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readEfi } from '../../../src/memory/kernel/efi.ts';
import type { Memory, TableRoot } from '../../../src/memory/memory.ts';
import type { PageTables } from '../../../src/memory/page-tables/format.ts';
import { x86Tables } from '../../../src/memory/page-tables/x86-64.ts';
import { MadeKernel } from '../../text/made-kernel.ts';
import { pageSize } from '../dumps.ts';
import { TableMaker } from '../forms.ts';

const [form] = x86Tables(0) as [PageTables];
const pgd = 0x5000_0000;
const pgdAt = 0x12_3000;

/** The kernel's tables, which map EFI's first table alone. */
function kernelTables(): TableRoot {
  const maker = new TableMaker(
    form,
    { table: (at) => BigInt(at) | 0x63n, page: (at) => BigInt(at) | 0x8000_0000_0000_0163n },
    0x1_0000,
    0x10_0000,
  );
  maker.map(pgd, pgdAt);
  const physical: Memory = {
    format: 'pages',
    addresses: 'physical',
    fileSize: 1 << 20,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      const page = maker.pages.get(address - (address % pageSize));
      if (page) into.set(page.subarray(address % pageSize, (address % pageSize) + into.length));
      return page !== undefined;
    },
  };
  return { physical, tables: form, root: 0x1_0000, little: true };
}

type Row = readonly [type: number, physical: number, virtual: number, pages: number, isRuntime: boolean];

/** A kernel whose map has these rows, each of `size` bytes. */
function made(rows: readonly Row[], { size = 48, count = rows.length, root = pgd } = {}) {
  const kernel = new MadeKernel();
  kernel.word(kernel.at('efi_mm') + 8, root);
  const map = kernel.allocate(Math.max(rows.length, 1) * 48);
  for (const [i, [type, physical, virtual, pages, isRuntime]] of rows.entries()) {
    const at = map + i * size;
    kernel.put(at, [type]);
    kernel.word(at + 8, physical);
    kernel.word(at + 16, virtual);
    kernel.word(at + 24, pages);
    kernel.put(at + 32, [0xf, 0, 0, 0, 0, 0, 0, isRuntime ? 0x80 : 0]);
  }
  const efi = kernel.at('efi');
  kernel.word(efi + 8, map);
  kernel.put(efi + 24, [count, count >> 8, count >> 16, 0]);
  kernel.word(efi + 32, size);
  return readEfi(kernel.freshKernel(), kernelTables());
}

test('regions are what the firmware keeps, and what it needed until start-up if the map still has it', () => {
  const space = made([
    [6, 0xff5_0000, -0x1_0020_0000, 2, true],
    [7, 0x100_0000, 0, 100, false],
    [5, 0xf5e_d000, -0x1_0010_0000, 16, true],
    [3, 0x1000, -0x1_0030_0000, 1, false],
  ]);
  assert.equal(space?.broken, undefined);
  assert.equal(space?.tables.root, pgdAt);
  assert.deepEqual(space?.regions, [
    { physical: 0x1000, virtual: -0x1_0030_0000, size: pageSize },
    { physical: 0xf5e_d000, virtual: -0x1_0010_0000, size: 16 * pageSize },
    { physical: 0xff5_0000, virtual: -0x1_0020_0000, size: 2 * pageSize },
  ]);
});

test('a kernel that does not call firmware has no such space', () => {
  assert.equal(made([], { root: 0 }), undefined);
});

test('tables that the dump does not have are no fault of the kernel’s', () => {
  assert.deepEqual(made([], { root: 0x6000_0000 })?.broken, {
    message: 'the address space of EFI is not in the dump',
    isMissing: true,
  });
});

for (const [what, space, message] of [
  ['descriptors that are too short', made([[5, 0x1000, 0, 1, true]], { size: 32 }), /of 32 bytes/],
  ['more stretches than firmware has', made([], { count: 0xffff }), /has 65535 stretches/],
  ['memory beyond all machines', made([[5, 2 ** 52, 0, 1, true]]), /where no machine has any/],
  [
    'stretches over one another',
    made([
      [5, 0x1000, 0, 2, true],
      [6, 0x2000, 0, 2, true],
    ]),
    /over one another/,
  ],
] as const) {
  test(`a map with ${what} is refused`, () => {
    assert.match(space?.broken?.message ?? '', message);
    assert.equal(space?.broken?.isMissing, false);
    assert.deepEqual(space?.regions, []);
  });
}
