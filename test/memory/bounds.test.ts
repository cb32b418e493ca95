// Dumps whose headers claim what is not there: an answer or an error with a code, after work in proportion to the file.
import assert from 'node:assert/strict';
import test from 'node:test';
import { deflateSync } from 'node:zlib';
import { TextpokeError } from '../../src/errors.ts';
import { memorySource } from '../../src/files/source.ts';
import { unflatten } from '../../src/memory/flat.ts';
import { MemoryImage } from '../../src/memory/image.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { readSnapshot } from '../../src/memory/open.ts';
import { layOut } from '../../src/memory/stretches.ts';
import { imageOf } from '../samples.ts';
import { seeded } from '../seeded.ts';
import { workOf } from '../work.ts';
import { core, kdump, kernelBytes, pageSize, run } from './dumps.ts';

const kernel = kernelBytes('gcc-O2');
const image = imageOf(kernel);
const pages = run(kernel, 0);
const good = core(pages, { addresses: ['virtual'] });

function locate(dump: Uint8Array, base?: number): MemoryImage {
  const snapshot = readSnapshot('dump', memorySource(dump), image, base === undefined ? undefined : { base });
  return new MemoryImage(image, locateImage(image, snapshot, undefined));
}

/** A core of the kernel's pages and of segments whose fields are given: type, offset, vaddr, paddr, filesz. */
function coreWith(
  segments: readonly (readonly [number, bigint, bigint, bigint, bigint])[],
  more = 0,
): Uint8Array {
  const bytes = Buffer.concat([
    core(pages, { addresses: ['virtual'], padding: segments.length }),
    new Uint8Array(more),
  ]);
  segments.forEach(([type, ...fields], i) => {
    const at = 64 + (1 + i) * 56;
    bytes.writeUInt32LE(type, at);
    fields.forEach((field, k) => {
      bytes.writeBigUInt64LE(BigInt.asUintN(64, field), at + 8 + k * 8);
    });
  });
  return bytes;
}

const repeated = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));

/** A kdump of nothing but its frame. */
function kdumpFrame(
  size: number,
  {
    page = pageSize,
    subBlocks = 1,
    bitmapBlocks = 2,
  }: { page?: number; subBlocks?: number; bitmapBlocks?: number } = {},
): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.write('KDUMP   ');
  [page, subBlocks, bitmapBlocks].forEach((value, i) => {
    bytes.writeUInt32LE(value, 428 + i * 4);
  });
  return bytes;
}

/** A kdump whose bitmap is full, and whose descriptors are all the same. */
function kdumpOf(count: number, stored: Uint8Array, flags: number, offset?: bigint): Buffer {
  const descriptorsAt = 4 * pageSize;
  const dataAt = descriptorsAt + 24 * count;
  const bytes = Buffer.concat([kdumpFrame(dataAt), stored]);
  bytes.fill(0xff, 3 * pageSize, 4 * pageSize);
  for (let i = 0; i < count; i++) {
    bytes.writeBigUInt64LE(offset ?? BigInt(dataAt), descriptorsAt + 24 * i);
    bytes.writeUInt32LE(stored.length, descriptorsAt + 24 * i + 8);
    bytes.writeUInt32LE(flags, descriptorsAt + 24 * i + 12);
  }
  return bytes;
}

function flat(pieces: readonly (readonly [offset: bigint, size: bigint, content: Uint8Array])[]): Buffer {
  const head = Buffer.alloc(4096);
  head.write('makedumpfile');
  return Buffer.concat([
    head,
    ...pieces.flatMap(([offset, size, content]) => {
      const block = Buffer.alloc(16);
      block.writeBigUInt64BE(BigInt.asUintN(64, offset));
      block.writeBigUInt64BE(BigInt.asUintN(64, size), 8);
      return [block, content];
    }),
  ]);
}

const whole = (offset: number, content: Uint8Array) =>
  [BigInt(offset), BigInt(content.length), content] as const;

const set32 = (bytes: Uint8Array, ...values: [at: number, value: number][]) => {
  const made = Buffer.from(bytes);
  for (const [at, value] of values) made.writeUInt32LE(value, at);
  return made;
};

/** Notes of twelve bytes behind the core's pages, the size of whose name is all ones. */
function withLongName(): Uint8Array {
  const at = BigInt(coreWith([high(0n)]).length);
  return coreWith([[4, at, 0n, 0n, 12n]], 4096).fill(0xff, Number(at));
}

const high = (vaddr: bigint) => [1, 0n, vaddr, 0n, 4096n] as const;

/** Found all the same, or the error's code. */
const rows: readonly (readonly [what: string, dump: Uint8Array, outcome: 'found' | RegExp])[] = [
  ...[2n ** 53n - 1n, 2n ** 53n - 4096n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, -(2n ** 53n), -1n, -4096n].map(
    (vaddr) => [`a segment at ${vaddr}`, coreWith([high(vaddr)]), 'found'] as const,
  ),
  ['a segment with an absurd offset', coreWith([[1, 2n ** 50n, 0x1000n, 0n, 4096n]]), 'found'],
  ['a segment with an absurd size', coreWith([[1, 0n, 0x1000n, 0n, 2n ** 62n]]), 'found'],
  ['a segment with a negative size', coreWith([[1, 0n, 0x1000n, 0n, -1n]]), 'found'],
  ['notes at an absurd offset', coreWith([[4, 2n ** 50n, 0n, 0n, 4096n]]), 'found'],
  [
    'notes that are the whole file again and again',
    coreWith(repeated(50, () => [4, 0n, 0n, 0n, 2n ** 40n])),
    /memory-malformed/,
  ],
  ['a note whose name has 2^32-1 bytes', withLongName(), 'found'],
  ['more segments than the file has room for', set32(good, [56, 0xffff]), /elf-truncated/],
  ['no segments', set32(good, [56, 0]), /memory-mismatch/],
  [
    'as many segments as section 0 says, which is none',
    Buffer.concat([set32(good, [40, good.length], [56, 0x40ffff], [60, 1]), new Uint8Array(64)]),
    /memory-mismatch/,
  ],
  [
    'as many segments as section 0 says, which is 2^32-1',
    Buffer.concat([
      set32(good, [40, good.length], [56, 0x40ffff], [60, 1]),
      Buffer.alloc(44),
      Buffer.alloc(20, 0xff),
    ]),
    /elf-truncated/,
  ],
  ['a kdump of three bytes', Buffer.from('KDUMP   '), /elf-truncated/],
  ...[0, 1, 4095, 8192, 2 ** 20, 2 ** 31].map(
    (page) =>
      [`a kdump with pages of ${page} bytes`, kdumpFrame(2 ** 16, { page }), /memory-malformed/] as const,
  ),
  [
    'a kdump with 2^32-1 blocks in front of its bitmap',
    kdumpFrame(2 ** 16, { subBlocks: 2 ** 32 - 1 }),
    /memory-malformed/,
  ],
  [
    'a kdump with a bitmap of 2^32-1 blocks',
    kdumpFrame(2 ** 16, { bitmapBlocks: 2 ** 32 - 1 }),
    /memory-malformed/,
  ],
  ['a kdump with half a bitmap', kdumpFrame(2 ** 16, { bitmapBlocks: 1 }), /memory-mismatch/],
  [
    'a kdump whose bitmap claims pages that are not there',
    kdumpFrame(4 * 65536, { page: 65536 }).fill(0xff, 3 * 65536),
    /memory-mismatch/,
  ],
  [
    'a kdump whose pages are all one',
    kdumpOf(32_000, deflateSync(new Uint8Array(pageSize)), 1),
    /memory-mismatch/,
  ],
  [
    'a kdump whose pages expand to more than a page',
    kdumpOf(10, deflateSync(new Uint8Array(2 ** 24)).subarray(0, 8000), 1),
    /memory-mismatch/,
  ],
  [
    'a kdump whose pages lie at -1',
    kdumpOf(10, new Uint8Array(pageSize), 0, 2n ** 64n - 1n),
    /memory-mismatch/,
  ],
  [
    'a kdump that is one part of a split one',
    set32(kdumpOf(10, new Uint8Array(pageSize), 0), [pageSize + 12, 1]),
    /memory-unsupported/,
  ],
  [
    'a kdump whose note is of absurd length',
    set32(kdump(pages), [pageSize + 32, 4096], [pageSize + 44, 2 ** 30]),
    'found',
  ],
  ['a flattened dump of nothing', flat([]), /memory-unsupported/],
  ...[2n ** 50n, 2n ** 63n - 8n, -2n].map(
    (offset) =>
      [
        `a flattened dump with a block at ${offset}`,
        flat([whole(0, good), [offset, 16n, new Uint8Array(16)]]),
        /memory-malformed/,
      ] as const,
  ),
  [
    'a flattened dump with a block of absurd size',
    flat([whole(0, good), [0n, 2n ** 62n, new Uint8Array(16)]]),
    /memory-malformed/,
  ],
  [
    'a flattened kdump whose bitmap lies in a hole',
    flat([whole(0, kdumpFrame(pageSize, { bitmapBlocks: 2 ** 17 })), whole(2 ** 40, new Uint8Array(1))]),
    /memory-malformed/,
  ],
  [
    'a flattened dump with blocks of no bytes',
    flat([...repeated(50_000, () => whole(7, new Uint8Array(0))), whole(0, good)]),
    'found',
  ],
  [
    'a flattened dump whose blocks are each written over',
    flat([...repeated(20_000, (i) => whole(20_000 - i, Uint8Array.of(1, 2, 3))), whole(0, good)]),
    'found',
  ],
];

for (const [what, dump, outcome] of rows) {
  test(`${what}: ${outcome === 'found' ? 'the kernel is found' : `refused as ${outcome.source}`}`, () => {
    const work = workOf(() => {
      try {
        locate(dump);
        assert.equal(outcome, 'found');
      } catch (error) {
        assert.ok(error instanceof TextpokeError && outcome instanceof RegExp, String(error));
        assert.match(error.code, outcome);
      }
    });
    assert.ok(work < 2_000_000 + 100 * dump.length, `${work} steps for ${dump.length} bytes`);
  });
}

test('a search is refused where a dump says that its bytes stand in more places than it has', () => {
  const size = 2n ** 17n;
  const everywhere = repeated(3000, (i) => [1, 0n, BigInt(i) * size + 2n ** 40n, 0n, size] as const);
  const bytes = Buffer.from(coreWith(everywhere, Number(size)));
  bytes.write('x', bytes.indexOf('Linux version')); // so that it is searched for
  assert.throws(
    () => locate(bytes),
    (error: unknown) =>
      error instanceof TextpokeError &&
      error.code === 'memory-malformed' &&
      /are the most that are searched/.test(error.message),
  );
});

test('a raw dump at an address that no machine has is refused', () => {
  assert.throws(
    () => locate(good, 2 ** 53 - 1),
    (error: unknown) => error instanceof TextpokeError && error.code === 'usage',
  );
});

test('where stretches overlap, the last one given counts, as if they were written one after the other', () => {
  const random = seeded(3);
  for (let round = 0; round < 50; round++) {
    const count = Math.floor(random() * 30);
    const pick = (limit: number) => Array.from({ length: count }, () => Math.floor(random() * limit));
    const [starts, sizes, offsets] = [pick(100), pick(40), pick(1000)];
    const expected = new Array<number | undefined>(140).fill(undefined);
    starts.forEach((start, i) => {
      for (let k = 0; k < (sizes[i] as number); k++) expected[start + k] = (offsets[i] as number) + k;
    });
    const made = layOut({ starts, sizes, offsets });
    const found = new Array<number | undefined>(140).fill(undefined);
    made.starts.forEach((start, i) => {
      assert.ok(
        i === 0 || start >= (made.starts[i - 1] as number) + (made.sizes[i - 1] as number),
        'no overlap',
      );
      for (let k = 0; k < (made.sizes[i] as number); k++) found[start + k] = (made.offsets[i] as number) + k;
    });
    assert.deepEqual(found, expected);
  }
});

test('stretches that all overlap are laid out in proportion to their number', () => {
  const workFor = (count: number) => {
    const starts = Float64Array.from({ length: count }, (_, i) => i);
    return workOf(() => layOut({ starts, sizes: starts.map(() => count), offsets: starts }));
  };
  workFor(100);
  assert.ok(workFor(20_000) < 15 * workFor(2000), 'ten times as many cost about ten times as much');
});

test('a flattened file has holes where it has no block', () => {
  const source = unflatten(
    memorySource(flat([whole(4, Uint8Array.of(1, 2)), whole(5, Uint8Array.of(3, 4))])),
  );
  assert.deepEqual([source.size, [...source.read(0, 7)]], [7, [0, 0, 0, 0, 1, 3, 4]]);
});
