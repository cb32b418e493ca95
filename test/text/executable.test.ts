// Executable pages by page tables, and what each of them is.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Memory } from '../../src/memory/memory.ts';
import { arm64Tables } from '../../src/memory/page-tables/arm64.ts';
import { executableMemory } from '../../src/memory/page-tables/executable.ts';
import type { PageTables } from '../../src/memory/page-tables/format.ts';
import { x86Tables } from '../../src/memory/page-tables/x86-64.ts';
import { type KnownCode, namePages, pagesByKind } from '../../src/text/executable.ts';
import { isBpfPage, isThunkPage } from '../../src/text/x86-64/generated-forms.ts';
import { pageSize } from '../memory/dumps.ts';
import { type Encoding, TableMaker } from '../memory/forms.ts';

const noExecute = 1n << 63n;
const writable = 2n;
const root = 0x1_0000;
const start = -0x7f00_0000;

/** Tables whose entries forbid nothing, and pages with these bits. */
const encoding = (bits: bigint, ofTables = 0x63n): Encoding => ({
  table: (at) => BigInt(at) | ofTables,
  page: (at, _, isLast) => BigInt(at) | 0x161n | (isLast ? 0n : 0x80n) | bits,
});

function memoryOf(pages: ReadonlyMap<number, Uint8Array>, fileSize = 1 << 20): Memory {
  return {
    format: 'pages',
    addresses: 'physical',
    fileSize,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      const page = pages.get(address - (address % pageSize));
      if (!page || (address % pageSize) + into.length > pageSize) return false;
      into.set(page.subarray(address % pageSize, (address % pageSize) + into.length));
      return true;
    },
  };
}

const walk = (form: PageTables, pages: ReadonlyMap<number, Uint8Array>, fileSize?: number) =>
  executableMemory(
    { physical: memoryOf(pages, fileSize), tables: form, root, little: true },
    form.start,
    form.end,
  );

for (const form of x86Tables(0)) {
  test(`${form.name}: adjacent pages with the same rights are one stretch, and large pages are pages`, () => {
    const maker = new TableMaker(form, encoding(0n), root, 0x10_0000);
    const last = form.levels.length - 1;
    for (const page of [0, 1, 3]) maker.map(start + page * pageSize, 0x5000_0000, last);
    maker.map(start + 0x20_0000, 0x6000_0000, last - 1);
    const { stretches, missing, cut } = walk(form, maker.pages);
    assert.deepEqual([missing, cut], [0, undefined]);
    assert.deepEqual(
      stretches.map((one) => [one.start - start, one.end - start, one.isWritable, one.isOfUsers]),
      [
        [0, 2 * pageSize, false, false],
        [3 * pageSize, 4 * pageSize, false, false],
        [0x20_0000, 0x40_0000, false, false],
      ],
    );
  });
}

test('a right is one that every level gives', () => {
  const [form] = x86Tables(0) as [PageTables];
  for (const [ofTables, ofPage, expected] of [
    [0x67n, writable | 4n, [true, true]],
    [0x61n, writable, [false, false]],
    [0x67n, 0n, [false, false]],
    [0x63n, 4n, [false, false]],
    [0x67n, noExecute, undefined],
    [0x67n | noExecute, 0n, undefined],
  ] as const) {
    const maker = new TableMaker(form, encoding(ofPage, ofTables), root, 0x10_0000);
    maker.map(start, 0x5000_0000);
    const [stretch] = walk(form, maker.pages).stretches;
    assert.deepEqual(stretch && [stretch.isWritable, stretch.isOfUsers], expected);
  }
});

/** Entries of arm64: a table, and a page that may be read, with these bits. */
const arm64 = (bits: bigint, ofTables = 0n): Encoding => ({
  table: (at) => BigInt(at) | 3n | ofTables,
  page: (at, _, isLast) => BigInt(at) | (isLast ? 3n : 1n) | (1n << 10n) | bits,
});
const bit = (number: bigint) => 1n << number;
/** AP[1], AP[2], DBM, the contiguous hint, PXN and UXN; of tables PXNTable, UXNTable, APTable[1]. */
const [ofUsers, readOnly, dirty, contiguous, pxn, uxn] = [6n, 7n, 51n, 52n, 53n, 54n].map(bit) as [
  ...[bigint, bigint, bigint, bigint, bigint, bigint],
];
const [pxnTable, uxnTable, readOnlyTable] = [59n, 60n, 62n].map(bit) as [bigint, bigint, bigint];

for (const form of arm64Tables.filter(({ name }) => name.includes(' 4 KiB')))
  test(`${form.name}: pages and blocks of the kernel's half, whatever they say of their neighbours`, () => {
    const maker = new TableMaker(form, arm64(readOnly | uxn | contiguous), root, 0x10_0000);
    const last = form.levels.length - 1;
    for (const page of [0, 1, 3]) maker.map(start + page * pageSize, 0x5000_0000, last);
    maker.map(start + 0x20_0000, 0x6000_0000, last - 1);
    maker.map(form.start, 0x5000_0000, last);
    assert.deepEqual(
      walk(form, maker.pages).stretches.map((one) => [one.start, one.end - one.start, one.isWritable]),
      [
        [form.start, pageSize, false],
        [start, 2 * pageSize, false],
        [start + 3 * pageSize, pageSize, false],
        [start + 0x20_0000, 0x20_0000, false],
      ],
    );
  });

for (const [what, ofPage, ofTables, expected] of [
  ['kernel code', readOnly | uxn, 0n, [false, false]],
  ['writable code', uxn, 0n, [true, false]],
  ['code that the processor may make writable', readOnly | dirty | uxn, 0n, [true, false]],
  ['writable code below a table of what is read only', uxn, readOnlyTable, [false, false]],
  ['data', pxn | uxn, 0n, undefined],
  ['code of programs', ofUsers | readOnly | pxn, 0n, [false, true]],
  ['what programs could execute, and may not use', readOnly | pxn, 0n, undefined],
  ['code below a table that forbids it to the kernel', readOnly | uxn, pxnTable | uxnTable, undefined],
] as const)
  test(`arm64: ${what}`, () => {
    const form = arm64Tables[0] as PageTables;
    const maker = new TableMaker(form, arm64(ofPage, ofTables), root, 0x10_0000);
    maker.map(start, 0x5000_0000);
    const [stretch] = walk(form, maker.pages).stretches;
    assert.deepEqual(stretch && [stretch.isWritable, stretch.isOfUsers], expected);
  });

test('tables that lead to themselves end, and it is said', () => {
  for (const form of x86Tables(0)) {
    const page = new Uint8Array(pageSize);
    const view = new DataView(page.buffer);
    for (let i = 0; i < 512; i++) view.setBigUint64(8 * i, BigInt(root) | 0x63n, true);
    const { cut } = walk(form, new Map([[root, page]]));
    assert.match(cut ?? '', /more than \d+ pages are executable|lead in circles/);
  }
});

test('tables that map nothing executable are looked at once, however often they are mapped', () => {
  const [form] = x86Tables(0) as [PageTables];
  const pages = new Map<number, Uint8Array>();
  for (let level = 0; level < 4; level++) {
    const page = new Uint8Array(pageSize);
    const view = new DataView(page.buffer);
    const to =
      level === 3 ? BigInt(0x5000_0000) | 0x163n | noExecute : BigInt(root + (level + 1) * pageSize) | 0x63n;
    for (let i = 0; i < 512; i++) view.setBigUint64(8 * i, to, true);
    pages.set(root + level * pageSize, page);
  }
  const { stretches, cut } = walk(form, pages, 4096);
  assert.deepEqual([stretches, cut], [[], undefined]);
});

test('a table that the dump does not have is counted', () => {
  const [form] = x86Tables(0) as [PageTables];
  const maker = new TableMaker(form, encoding(0n), root, 0x10_0000);
  maker.map(start, 0x5000_0000);
  maker.pages.delete(0x10_0000);
  assert.equal(walk(form, maker.pages).missing, 1);
});

const int3Page = new Uint8Array(pageSize).fill(0xcc);
const stretch = (from: number, pages: number, isWritable = false) => ({
  ...{ start: from * pageSize, end: (from + pages) * pageSize, isWritable, isOfUsers: false },
});
const code = (kind: KnownCode['kind'], name: string, from: number, bytes: number): KnownCode => ({
  ...{ kind, name, start: from * pageSize, size: bytes },
});

test('pages are named by what lies on them, in the smallest stretch, and the rest by their bytes', () => {
  const memory = memoryOf(
    new Map([
      [20 * pageSize, int3Page],
      [21 * pageSize, new Uint8Array(pageSize)],
    ]),
  );
  const known = [
    code('image', 'text', 1, 3 * pageSize - 100),
    code('bpf', 'pack', 10, 4 * pageSize),
    code('bpf', 'a program', 11, 100),
    code('module', 'xfs', 30, pageSize),
  ];
  const stretches = [stretch(1, 3), stretch(10, 4), stretch(20, 2), stretch(29, 2, true)];
  const pages = namePages(
    { stretches, missing: 0, cut: undefined },
    known,
    memory,
    () => undefined,
    (byte) => byte === 0xcc,
  );
  assert.deepEqual(
    pages.map((page) => [page.kind, page.name, page.start / pageSize, page.end / pageSize, page.isWritable]),
    [
      ['image', 'text', 1, 4, false],
      ['bpf', 'pack', 10, 11, false],
      ['bpf', 'a program', 11, 12, false],
      ['bpf', 'pack', 12, 14, false],
      ['filling', '', 20, 21, false],
      [undefined, '', 21, 22, false],
      [undefined, '', 29, 30, true],
      ['module', 'xfs', 30, 31, true],
    ],
  );
  assert.equal(pagesByKind(pages).get(undefined), 2 * pageSize);
});

test('thunks against ITS are told by their form: jumps through registers in upper halves of lines, in int3', () => {
  const page = () => new Uint8Array(pageSize).fill(0xcc);
  const put = (at: number, ...bytes: number[]) => {
    const made = page();
    made.set(bytes, at);
    return made;
  };
  assert.ok(isThunkPage(put(0x20, 0xff, 0xe0)), 'jmp *%rax');
  assert.ok(isThunkPage(put(0x7d, 0x41, 0xff, 0xe7)), 'jmp *%r15 at the end of a line');
  const counted = [0x65, 0x48, 0xc1, 0x3c, 0x25, 1, 2, 3, 4, 5, 0xff, 0xe2];
  assert.ok(isThunkPage(put(0x20, ...counted)), 'a counted call');
  for (const [why, bad] of [
    ['nothing', page()],
    ['a lower half', put(0x00, 0xff, 0xe0)],
    ['the next line', put(0x7f, 0xff, 0xe0)],
    ['another instruction', put(0x20, 0xe9, 1, 2, 3, 4)],
    ['a call', put(0x20, 0xff, 0xd0)],
  ] as const)
    assert.ok(!isThunkPage(bad), why);
});

test('a program of BPF is told by its header, filling and beginning', () => {
  const page = new Uint8Array(pageSize).fill(0xcc);
  page.set([1, 0, 0, 0]);
  assert.ok(!isBpfPage(page), 'filling alone');
  page.set([0x0f, 0x1f, 0x44, 0x00, 0x00, 0x55], 0x80);
  assert.ok(isBpfPage(page), 'a program');
  page.set([0x66, 0x66, 0x66, 0x66, 0x90, 0x55], 0x80);
  assert.ok(isBpfPage(page), 'a program where the kernel has chosen K8 NOPs');
  page[0] = 0;
  assert.ok(!isBpfPage(page), 'no pages');
});
