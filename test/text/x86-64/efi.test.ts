// The address space in which a kernel calls the firmware: what is executable there besides the kernel's own.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { EfiRegion } from '../../../src/memory/kernel/efi.ts';
import type { Memory, TableRoot } from '../../../src/memory/memory.ts';
import { executableMemory } from '../../../src/memory/page-tables/executable.ts';
import type { PageTables } from '../../../src/memory/page-tables/format.ts';
import { x86Tables } from '../../../src/memory/page-tables/x86-64.ts';
import { efiPages } from '../../../src/text/x86-64/efi.ts';
import { pageSize } from '../../memory/dumps.ts';
import { TableMaker } from '../../memory/forms.ts';

const noExecute = 1n << 63n;
const writable = 2n;
const kernelText = -0x7f00_0000;
const textAt = 0x100_0000;
/** EFI_VA_START less some. */
const firmware = -0x1_1000_0000;
const firmwareAt = 0xf65_a000;
const [form] = x86Tables(0) as [PageTables];

/** Tables at a root of their own, with what `map` puts there. */
function tablesOf(map: (put: (virtual: number, physical: number, bits?: bigint) => void) => void): TableRoot {
  const pages = new Map<number, Uint8Array>();
  // An encoding is of a maker, so each page's bits are given by a variable that the encoding reads.
  let bits = 0n;
  const encoding = {
    table: (at: number) => BigInt(at) | 0x63n,
    page: (at: number) => BigInt(at) | 0x161n | bits,
  };
  const maker = new TableMaker(form, encoding, 0x1_0000, 0x10_0000);
  map((virtual, physical, with_ = 0n) => {
    bits = with_;
    maker.map(virtual, physical);
  });
  for (const [at, page] of maker.pages) pages.set(at, page);
  const physical: Memory = {
    format: 'pages',
    addresses: 'physical',
    fileSize: 1 << 20,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      const page = pages.get(address - (address % pageSize));
      if (page) into.set(page.subarray(address % pageSize, (address % pageSize) + into.length));
      return page !== undefined;
    },
  };
  return { physical, tables: form, root: 0x1_0000, little: true };
}

const kernel = executableMemory(
  tablesOf((put) => {
    for (const i of [0, 1, 2]) put(kernelText + i * pageSize, textAt + i * pageSize);
  }),
  form.start,
  form.end,
  true,
).stretches;
const region = (pages: number, physical = firmwareAt, virtual = firmware): EfiRegion => ({
  ...{ physical, virtual, size: pages * pageSize },
});
const text = { physical: textAt, size: 3 * pageSize };

/** What is found of these mappings: kind, start, pages, and `w` where it can be written to. */
function found(
  regions: readonly EfiRegion[],
  map: Parameters<typeof tablesOf>[0],
): (readonly [kind: string, start: number, pages: string])[] {
  const { pages, walked } = efiPages({ tables: tablesOf(map), regions, broken: undefined }, kernel, text);
  assert.equal(walked.cut, undefined);
  return pages.map(({ kind, start, end, isWritable }) => [
    kind ?? 'nobody',
    start,
    `${(end - start) / pageSize}${isWritable ? 'w' : ''}`,
  ]);
}

test("what the kernel's own tables have is told there, and here only where it is other memory or can be written to", () => {
  const own = (put: (virtual: number, physical: number, bits?: bigint) => void) => {
    for (const i of [0, 1, 2]) put(kernelText + i * pageSize, textAt + i * pageSize);
  };
  assert.deepEqual(found([], own), []);
  const changed = found([], (put) => {
    own(put);
    put(kernelText + pageSize, 0x7000);
  });
  assert.deepEqual(changed, [['nobody', kernelText + pageSize, '1']]);
  const open = found([], (put) => {
    own(put);
    put(kernelText, textAt, writable);
  });
  assert.deepEqual(open, [['nobody', kernelText, '1w']]);
});

test("the firmware's code is known at both of its places, and nowhere else", () => {
  const pages = found([region(2)], (put) => {
    for (const start of [firmware, firmwareAt]) {
      put(start, firmwareAt);
      put(start + pageSize, firmwareAt + pageSize);
    }
    // Behind the region, the two pages the other way round, and its data.
    put(firmware + 2 * pageSize, firmwareAt + 2 * pageSize);
    put(0x9000, firmwareAt);
    put(firmware + 8 * pageSize, firmwareAt + 8 * pageSize, noExecute | writable);
  });
  assert.deepEqual(pages, [
    ['efi', firmware, '2'],
    ['nobody', firmware + 2 * pageSize, '1'],
    ['nobody', 0x9000, '1'],
    ['efi', firmwareAt, '2'],
  ]);
});

test('regions that lie side by side are one, what is between them is nobody’s, and rights are told', () => {
  const regions = [
    region(1),
    region(1, firmwareAt + pageSize, firmware + pageSize),
    region(1, firmwareAt + 3 * pageSize, firmware + 3 * pageSize),
  ];
  const pages = found(regions, (put) => {
    for (const i of [0, 1, 2, 3, 4])
      put(firmwareAt + i * pageSize, firmwareAt + i * pageSize, i === 0 ? writable : 0n);
  });
  assert.deepEqual(pages, [
    ['efi', firmwareAt, '1w'],
    ['efi', firmwareAt + pageSize, '1'],
    ['nobody', firmwareAt + 2 * pageSize, '1'],
    ['efi', firmwareAt + 3 * pageSize, '1'],
    ['nobody', firmwareAt + 4 * pageSize, '1'],
  ]);
});

test("the image's text may be mapped once more, where it lies in physical memory (firmware of 32 bits)", () => {
  const pages = found([], (put) => {
    for (const i of [-1, 0, 1, 2, 3]) put(textAt + i * pageSize, textAt + i * pageSize);
    put(0x9000, textAt);
  });
  assert.deepEqual(pages, [
    ['nobody', 0x9000, '1'],
    ['nobody', textAt - pageSize, '1'],
    ['image', textAt, '3'],
    ['nobody', textAt + 3 * pageSize, '1'],
  ]);
});
