// A text against a memory.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Memory } from '../../src/memory/memory.ts';
import { compareText } from '../../src/text/compare.ts';
import { ExpectedText } from '../../src/text/expected.ts';

const start = -0x7f00_0000;
const offset = 0x100_0000;

function memoryOf(bytes: Uint8Array, absent: readonly (readonly [from: number, to: number])[] = []): Memory {
  return {
    format: 'made',
    addresses: 'physical',
    fileSize: bytes.length,
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      const from = address - offset - start;
      const isThere = !absent.some(([a, b]) => from < b && a < from + into.length);
      if (isThere) into.set(bytes.subarray(from, from + into.length));
      return isThere;
    },
  };
}

const file = Uint8Array.from({ length: 5 * 4096 }, (_, i) => i & 0x7f);
const textOf = () => new ExpectedText('.text', start, file);

test('bytes that a pass wrote are its own; those that it wrote as they were are the file’s', () => {
  const text = textOf();
  text.write(start + 16, Uint8Array.of(16, 0xc3, 0xcc), 'return');
  const found = compareText(text, file.length, memoryOf(text.bytes.slice()), offset);
  assert.deepEqual([found.bytes, found.differ, found.unexplained, found.runs], [file.length, 2, 0, []]);
  assert.deepEqual(found.kinds, [{ kind: 'return', bytes: 2, others: 0 }]);
});

test('a loader adds to numbers of 4 and 8 bytes, which wrap round; bytes that stay as they are keep their kind', () => {
  const rows = [
    [4, 0xffff_fff0n, 0x1234_5678],
    [4, 0x8100_0000n, -0x2500_0000],
    [8, 0xffff_ffff_8100_0000n, 0x2500_0000],
    [8, 0xffff_ffff_8100_0000n, 0x8000_0000],
    [8, 0x0000_0001_0000_0000n, -1],
    [8, 0xffff_ffff_ffff_ffffn, 2],
    [8, 0x7fff_0000_0000_0001n, -0x0012_3456_789a_bcde],
  ] as const;
  for (const [size, value, distance] of rows) {
    const old = Buffer.alloc(8);
    old.writeBigUInt64LE(value);
    const text = new ExpectedText('.text', start, new Uint8Array(old));
    text.add(start, distance, size);
    const wanted = Buffer.from(old);
    if (size === 8) wanted.writeBigUInt64LE(BigInt.asUintN(64, value + BigInt(distance)));
    else wanted.writeUInt32LE(Number(BigInt.asUintN(32, value + BigInt(distance))));
    assert.deepEqual([...text.bytes], [...wanted], `${value.toString(16)} + ${distance}`);
    for (let i = 0; i < 8; i++)
      assert.equal(text.kindAt(start + i), wanted[i] === old[i] ? undefined : 'relocation');
  }
});

test('what differs is told in stretches; bytes that a pass should have written count as well', () => {
  const text = textOf();
  text.write(start + 100, Uint8Array.of(0xcc), 'kprobe');
  const memory = file.slice();
  for (const at of [0, 1, 7, 8, 4095, 4096, file.length - 1]) memory[at] = 0xff;
  const { runs, unexplained, differ } = compareText(text, file.length, memoryOf(memory), offset);
  assert.deepEqual(
    runs.map(({ address, length }) => [address - start, length]),
    [
      [0, 2],
      [7, 2],
      [100, 1],
      [4095, 2],
      [file.length - 1, 1],
    ],
  );
  assert.deepEqual([unexplained, differ], [8, 7]);
});

test('another form is right as a whole only, and is counted apart', () => {
  for (const [held, others, unexplained] of [
    ['c3cccccccc', 5, 0],
    ['c3cccccc00', 0, 5],
  ] as const) {
    const text = textOf();
    text.write(start + 200, Uint8Array.of(0xe9, 1, 2, 3, 4), 'trampoline');
    text.accept({
      ...{ address: start + 200, bytes: Uint8Array.of(0xc3, 0xcc, 0xcc, 0xcc, 0xcc) },
      ...{ kind: 'trampoline', why: 'NULL' },
    });
    const memory = text.bytes.slice();
    memory.set(Buffer.from(held, 'hex'), 200);
    const found = compareText(text, file.length, memoryOf(memory), offset);
    assert.deepEqual([found.unexplained, found.kinds[0]?.others ?? 0], [unexplained, others], held);
  }
});

test('pages that the dump lacks are counted and say nothing', () => {
  const memory = file.slice().fill(0xff, 4096, 3 * 4096);
  const found = compareText(textOf(), file.length, memoryOf(memory, [[4096, 2 * 4096]]), offset);
  assert.deepEqual([found.missing, found.bytes, found.unexplained], [4096, file.length - 4096, 4096]);
  assert.deepEqual(found.runs, [{ address: start + 2 * 4096, length: 4096 }]);
});

test('what lies behind the length is not compared', () => {
  const memory = file.slice().fill(0xff, 4000);
  const found = compareText(textOf(), 4000, memoryOf(memory), offset);
  assert.deepEqual([found.bytes, found.unexplained], [4000, 0]);
});
