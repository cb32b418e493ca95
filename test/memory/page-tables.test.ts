// Page tables of each machine, made here as the manuals have them, and walked.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Memory } from '../../src/memory/memory.ts';
import { armTables } from '../../src/memory/page-tables/arm.ts';
import { arm64Tables } from '../../src/memory/page-tables/arm64.ts';
import type { Level, PageTables } from '../../src/memory/page-tables/format.ts';
import { walkedMemory } from '../../src/memory/page-tables/walk.ts';
import { x86Tables } from '../../src/memory/page-tables/x86-64.ts';
import { pageSize } from './dumps.ts';
import { type Encoding, TableMaker } from './forms.ts';

const x86: Encoding = {
  table: (at) => BigInt(at) | 0x8000_0000_0000_0063n, // NX, and flags
  page: (at, _, isLast) => BigInt(at) | 0x8000_0000_0000_0163n | (isLast ? 0n : 0x80n),
};
/** UXN, contiguous and the like above bit 50, AF and attributes below bit 12; `high` places what is above bit 47. */
const arm64 = (high: (upper: bigint) => bigint, low: bigint): Encoding => {
  const address = (at: number) => (BigInt(at) & 0xffff_ffff_ffffn) | high(BigInt(at) >> 48n);
  return {
    table: (at) => address(at) | 3n,
    page: (at, _, isLast) => address(at) | 0x0070_0000_0000_0400n | low | (isLast ? 3n : 1n),
  };
};
const narrow = arm64(() => 0n, 0x300n); // shareability in bits 8 and 9
const lpa2 = arm64((upper) => ((upper & 3n) << 48n) | ((upper >> 2n) << 8n), 0n);
const large = arm64((upper) => upper << 12n, 0x300n);
const short: Encoding = {
  table: (at) => BigInt(at) | 1n,
  page: (at, _, isLast) => BigInt(at) | (isLast ? 0x12n : 0x1_140en),
};
const long: Encoding = {
  table: (at) => BigInt(at) | 3n,
  page: (at, _, isLast) => BigInt(at) | 0x0040_0000_0000_0701n | (isLast ? 2n : 0n),
};

const isLarge = ({ name }: PageTables) => / 64 KiB/.test(name);
const encodingOf = (form: PageTables): Encoding =>
  isLarge(form) ? large : /52 bits/.test(form.name) ? lpa2 : narrow;
/** As far as the addresses of a form reach. */
const highest = (form: PageTables) =>
  isLarge(form) ? 2 ** 51 : /52 bits/.test(form.name) ? 2 ** 50 * 3 : 2 ** 47;

const rows: readonly (readonly [form: PageTables, encoding: Encoding, virtual: number, physical: number])[] =
  [
    [x86Tables(0)[0] as PageTables, x86, -0x7f00_0000, 2 ** 51],
    [x86Tables(0)[0] as PageTables, x86, -0x7700_0000_0000, 0x4000_0000],
    [x86Tables(0)[1] as PageTables, x86, -0x7f00_0000, 0x4000_0000],
    [x86Tables(0)[1] as PageTables, x86, -0xef_0000_0000_0000, 2 ** 51],
    ...arm64Tables.map(
      (form) => [form, encodingOf(form), form.start + 0x8_4000_0000, highest(form)] as const,
    ),
    ...arm64Tables.map((form) => [form, encodingOf(form), -0x4000_0000, 0x8000_0000] as const),
    [armTables[0] as PageTables, short, 0xc000_0000, 0x8000_0000],
    [armTables[0] as PageTables, short, 0xbf00_0000, 0x4000_0000],
    [armTables[1] as PageTables, long, 0xc000_0000, 0x8_8000_0000],
  ];

function memoryOf(pages: ReadonlyMap<number, Uint8Array>, count?: () => void): Memory {
  return {
    format: 'pages',
    addresses: 'physical',
    fileSize: 1,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      count?.();
      for (let i = 0; i < into.length; i++) {
        const page = pages.get(address + i - ((address + i) % pageSize));
        if (!page) return false;
        into[i] = page[(address + i) % pageSize] as number;
      }
      return true;
    },
  };
}

for (const [form, encoding, virtual, physical] of rows) {
  const { levels } = form;
  // The root of AArch64 is smaller than a page, and need not begin one.
  const root = 0x1_0000;
  const place = `${form.name}, ${virtual < 0 ? '-' : ''}0x${Math.abs(virtual).toString(16)}`;
  test(`${place}: pages and blocks lie where entries say, and nothing else is mapped`, () => {
    const maker = new TableMaker(form, encoding, root, 0x10_0000);
    const last = levels.length - 1;
    const { shift } = levels[last] as Level;
    maker.map(virtual, physical, last);
    const walked = walkedMemory(
      { physical: memoryOf(maker.pages), tables: form, root, little: true },
      'walked',
    );
    assert.equal(walked.translate(virtual), physical);
    assert.equal(walked.translate(virtual + 2 ** shift - 8), physical + 2 ** shift - 8);
    assert.equal(walked.translate(virtual + 2 ** shift), undefined);
    assert.equal(walked.translate(virtual - 8), undefined);
    for (const level of levels.keys()) {
      const size = 2 ** (levels[level] as Level).shift;
      if (level === last || size > 2 ** 30) continue;
      // 4 KiB are in a block of ARM's short descriptors, too.
      const [from, to] = [virtual - (((virtual % size) + size) % size) + size, physical - (physical % size)];
      if (from >= form.end) continue;
      const blocks = new TableMaker(form, encoding, root, 0x10_0000);
      blocks.map(from, to, level);
      const through = walkedMemory(
        { physical: memoryOf(blocks.pages), tables: form, root, little: true },
        '',
      );
      assert.equal(through.translate(from), to);
      assert.equal(through.translate(from + size - 8), to + size - 8);
      assert.equal(through.translate(from - 8), undefined);
    }
  });
}

test('a read that crosses pages collects them, and says what is not mapped', () => {
  const [form] = x86Tables(0) as [PageTables];
  const maker = new TableMaker(form, x86, 0x1000, 0x10_0000);
  maker.map(-0x2000, 0x5000);
  maker.map(-0x1000, 0x3000);
  const [first, second] = [0x5000, 0x3000].map((at, i) => {
    maker.pages.set(at, new Uint8Array(pageSize).fill(i + 1));
    return i + 1;
  });
  const memory = memoryOf(maker.pages);
  const walked = walkedMemory({ physical: memory, tables: form, root: 0x1000, little: true }, '');
  const bytes = new Uint8Array(4);
  assert.equal(walked.read(-0x1002, bytes), true);
  assert.deepEqual([...bytes], [first, first, second, second]);
  assert.equal(walked.read(-2, bytes), false);
  assert.deepEqual([...bytes.subarray(0, 2)], [second, second]);
});

test('the bit of memory encryption is no part of an address', () => {
  const bit = 2 ** 47;
  const [form] = x86Tables(bit) as [PageTables];
  const encrypted: Encoding = {
    table: (at) => x86.table(at + bit),
    page: (at, level, isLast) => x86.page(at + bit, level, isLast),
  };
  const maker = new TableMaker(form, encrypted, 0x1000, 0x10_0000);
  maker.map(-0x1000, 0x5000);
  const walked = walkedMemory(
    { physical: memoryOf(maker.pages), tables: form, root: 0x1000, little: true },
    '',
  );
  assert.equal(walked.translate(-0x1000), 0x5000);
});

test('a supersection of ARM has 16 MiB and an address of 40 bits; a large page has 64 KiB', () => {
  const [form] = armTables as [PageTables];
  const maker = new TableMaker(form, short, 0x4000, 0x10_0000);
  // Bits 24 to 31, 32 to 35 in bits 20 to 23, 36 to 39 in bits 5 to 8.
  for (let i = 0; i < 16; i++)
    maker.write(0x4000 + (0xc00 + i) * 4, 0x8150_0000n | (1n << 18n) | (6n << 5n) | 2n);
  maker.write(0x4000 + 0xd00 * 4, 0x10_0000n | 1n);
  for (let i = 0; i < 16; i++) maker.write(0x10_0000 + i * 4, 0x9_0000n | 1n);
  const walked = walkedMemory(
    { physical: memoryOf(maker.pages), tables: form, root: 0x4000, little: true },
    '',
  );
  assert.equal(walked.translate(0xc0f1_2345), 0x65_81f1_2345);
  assert.equal(walked.translate(0xd000_f123), 0x9_f123);
});

test('tables that lead to themselves are walked no further than there are levels', () => {
  for (const form of [...x86Tables(0), ...arm64Tables, ...armTables]) {
    let reads = 0;
    const maker = new TableMaker(form, x86, 0x1_0000, 0x10_0000);
    const encoding = form.entrySize === 4 ? 0x1_0001n : 0x1_0003n;
    for (let at = 0; at < 65536; at += form.entrySize) maker.write(0x1_0000 + at, encoding);
    const counted = memoryOf(maker.pages, () => reads++);
    const walked = walkedMemory({ physical: counted, tables: form, root: 0x1_0000, little: true }, '');
    const virtual = form.end === 0 ? -0x1000 : 0x7000_0000;
    const found = walked.translate(virtual + 0x123);
    assert.ok(found === undefined || found < 0x2_0000, `${form.name}: ${found}`);
    assert.ok(reads <= form.levels.length, `${form.name}: ${reads} reads`);
    reads = 0;
    walked.translate(virtual + 0x456);
    assert.equal(reads, 0, 'a page is looked up once');
  }
});

test('addresses outside of what tables are for are not mapped', () => {
  const [form] = x86Tables(0) as [PageTables];
  const maker = new TableMaker(form, x86, 0x1000, 0x10_0000);
  maker.map(-0x1000, 0x5000);
  const walked = walkedMemory(
    { physical: memoryOf(maker.pages), tables: form, root: 0x1000, little: true },
    '',
  );
  for (const address of [2 ** 47, -(2 ** 47) - 0x1000, 2 ** 48 - 0x1000, Number.NaN])
    assert.equal(walked.translate(address), undefined);
});
