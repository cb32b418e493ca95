import assert from 'node:assert/strict';
import test from 'node:test';
import { TextpokeError } from '../../../src/errors.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import type { Memory } from '../../../src/memory/memory.ts';
import { imageOf, linkedBytes } from '../../samples.ts';

/** Memory in which the words of a list stand one behind the other, wherever it is read. */
function readerOf(words: readonly bigint[]): KernelReader {
  const view = new DataView(new ArrayBuffer(4096));
  for (const [i, word] of words.entries()) view.setBigUint64(i * 8, word, true);
  const memory = {
    read(address: number, into: Uint8Array) {
      const at = address - Math.floor(address / 4096) * 4096;
      into.set(new Uint8Array(view.buffer, at, Math.min(into.length, 4096 - at)));
      return at + into.length <= 4096;
    },
  } as unknown as Memory;
  return new KernelReader(
    memory,
    imageOf(
      linkedBytes('gcc-O2', ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use']),
    ),
  );
}

for (const [word, flags, pointer, bits] of [
  [0xffffffff81000010n, 0, -0x7efffff0, 0],
  [0xffff888000000013n, 3, -0x7780_0000_0000 + 0x10, 3],
  [0xff11000000000018n, 0, -(2 ** 56) + 0x11 * 2 ** 48 + 0x18, 0],
  [0xff1100000000001bn, 3, -(2 ** 56) + 0x11 * 2 ** 48 + 0x18, 3],
  [0xff11000000000001n, 0, Number.NaN, 0],
  [0x8000000000000000n, 0, Number.NaN, 0],
  [1n, 1, 0, 1],
] as const) {
  test(`the pointer 0x${word.toString(16)} with flags ${flags} is told from them, and exact or none`, () => {
    assert.deepEqual(readerOf([word]).tagged(0, flags), { pointer, bits });
  });
}

test('what is read in all has an end', () => {
  const reader = readerOf([]);
  assert.throws(
    () => {
      for (let i = 0; i < 100; i++) reader.bytes(0, 60 << 20);
    },
    (error) => error instanceof TextpokeError && error.code === 'memory-malformed',
  );
});

test('a text without end is none', () => {
  const reader = readerOf(Array.from({ length: 512 }, () => 0x6161616161616161n));
  assert.equal(reader.text(0, 256), undefined);
  assert.equal(reader.text(0, 100_000), undefined);
});
