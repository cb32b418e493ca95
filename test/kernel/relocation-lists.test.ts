// The lists behind a payload are written here as arch/x86/tools/relocs.c does, and read back; what is no list is refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readRelocationLists } from '../../src/kernel/relocation-lists.ts';

const base = -0x7f00_0000; // 0xffffffff81000000
const size = 0x1000;
const holds = (address: number, width: number) => address >= base && address + width <= base + size;

/** Lists of offsets in the kernel, each behind a zero, behind 16 bytes of it. */
function payload(...lists: readonly (readonly number[])[]): Uint8Array {
  const words = lists.flatMap((list) => [0, ...list.map((offset) => base + offset)]);
  const bytes = new Uint8Array(16 + 4 * words.length).fill(0xcc, 0, 16);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setInt32(16 + 4 * i, word, true);
  });
  return bytes;
}
const read = (bytes: Uint8Array) => readRelocationLists(bytes, 16, holds);
const addresses = (...offsets: number[]) => Int32Array.from(offsets, (offset) => base + offset);

test('up to 6.14 there are three lists', () => {
  assert.deepEqual(read(payload([8, 0xff8], [0x100], [0, 4, 0xffc])), {
    relocs64: addresses(8, 0xff8),
    inverse32: addresses(0x100),
    relocs32: addresses(0, 4, 0xffc),
  });
});

test('from 6.15 on there are two', () => {
  assert.deepEqual(read(payload([8], [0, 4])), {
    relocs64: addresses(8),
    inverse32: undefined,
    relocs32: addresses(0, 4),
  });
});

test('lists may be empty', () => {
  assert.deepEqual(read(payload([], [], [])), {
    relocs64: addresses(),
    inverse32: addresses(),
    relocs32: addresses(),
  });
});

test('a kernel that is not relocatable has none', () => {
  assert.equal(read(payload()), undefined);
});

const refused: Record<string, Uint8Array> = {
  'one list': payload([8]),
  'four lists': payload([8], [8], [8], [8]),
  'no zero in front': payload([8], [8]).subarray(4),
  'a place in front of the kernel': payload([-8], [8]),
  'a place whose last bytes are behind the kernel': payload([0xffc], [8]),
  'places that fall': payload([16, 8], [8]),
  'a place twice': payload([8, 8], [8]),
  'half a word': payload([8], [8]).subarray(0, 16 + 4 * 4 - 2),
  'nothing up to the start': payload().subarray(0, 8),
};
for (const [name, bytes] of Object.entries(refused)) {
  test(`${name} is refused`, () => {
    assert.throws(() => read(bytes), { code: 'elf-malformed' });
  });
}
