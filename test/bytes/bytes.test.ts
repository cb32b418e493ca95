// Integers, views and records: one row on each side of every limit, in both byte orders.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  addressBits,
  alignUp,
  hex,
  hexBytes,
  requireS32,
  requireSafe,
  sameBytes,
  toAddress,
} from '../../src/bytes/integer.ts';
import { record } from '../../src/bytes/record.ts';
import { ByteView } from '../../src/bytes/view.ts';
import { TextpokeError } from '../../src/errors.ts';

const throws = (body: () => unknown, code: string, offset?: number) =>
  assert.throws(
    body,
    (e: unknown) =>
      e instanceof TextpokeError && e.code === code && (offset === undefined || e.place.offset === offset),
  );

test('a signed 32-bit field takes its two ends and nothing past them', () => {
  for (const value of [-0x80000000, -1, 0, 0x7fffffff]) assert.equal(requireS32(value, 'x'), value);
  for (const value of [-0x80000001, 0x80000000, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    throws(() => requireS32(value, 'x'), 'field-range');
  }
});

test('a 64-bit value is a number up to 2^53-1', () => {
  assert.equal(requireSafe((1n << 53n) - 1n, 'x'), Number.MAX_SAFE_INTEGER);
  throws(() => requireSafe(1n << 53n, 'x'), 'elf-malformed');
  throws(() => requireSafe(~0n & 0xffffffffffffffffn, 'x'), 'elf-malformed');
});

test('addresses of both canonical halves are exact, others are not a number', () => {
  for (const [bits, address] of [
    [0n, 0],
    [0x7fffffffffffn, 0x7fffffffffff],
    [0xffffffff81000005n, -0x7efffffb],
    [0xffff800000000000n, -0x800000000000],
  ] as const) {
    assert.equal(toAddress(bits), address);
    assert.equal(addressBits(address), bits);
    assert.equal(hex(address), `0x${bits.toString(16)}`);
  }
  assert.equal(toAddress(0x8000000000000000n), Number.NaN);
  assert.equal(toAddress(0x0020000000000000n), Number.NaN);
  assert.equal(hex(Number.NaN), '0x?');
});

test('alignment 0 and 1 move nothing, others go up to the next multiple', () => {
  const rows = [
    [5, 0, 5],
    [5, 1, 5],
    [0, 16, 0],
    [1, 16, 16],
    [16, 16, 16],
    [17, 16, 32],
    [2 ** 40 + 1, 64, 2 ** 40 + 64],
  ] as const;
  for (const [value, alignment, result] of rows) assert.equal(alignUp(value, alignment), result);
});

test('bytes are compared by content and shown with both digits', () => {
  assert.equal(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(0, 1, 2).subarray(1)), true);
  assert.equal(sameBytes(Uint8Array.of(1), Uint8Array.of(1, 2)), false);
  assert.equal(sameBytes(Uint8Array.of(1), Uint8Array.of(2)), false);
  assert.equal(hexBytes(Uint8Array.of(0, 0x0f, 0xff)), '000fff');
});

for (const little of [true, false]) {
  const order = little ? 'little-endian' : 'big-endian';

  test(`every width is written and read back, ${order}`, () => {
    const view = new ByteView(new Uint8Array(8), little);
    view.setU32(0, 0x81020304);
    assert.equal(view.u32(0), 0x81020304);
    assert.equal(view.s32(0), 0x81020304 | 0);
    assert.equal(view.u8(0), little ? 4 : 0x81);
    view.setU16(0, 0xfffe);
    assert.equal(view.u16(0), 0xfffe);
    for (const value of [0, 1, -1, 2 ** 32, -(2 ** 32), -(2 ** 32) - 1, 2 ** 53 - 1, -(2 ** 53) + 1]) {
      view.setS64(0, value);
      assert.equal(view.s64(0), value);
      assert.equal(BigInt.asIntN(64, view.u64(0)), BigInt(value));
      assert.equal(view.table(0, 8).getBigInt64(0, little), BigInt(value));
    }
    view.setU64(0, 1n << 63n);
    assert.equal(view.s64(0), Number.NaN);
    for (const value of [2 ** 53, Number.NaN, 0.5]) throws(() => view.setS64(0, value), 'field-range', 0);
  });

  test(`records have the offsets of their fields, and 64 bits take numbers and bigints, ${order}`, () => {
    const format = record({ a: 'u8', b: 'u16', c: 'u32', d: 's32', e: 'u64' });
    assert.equal(format.size, 19);
    assert.deepEqual(format.offsets, { a: 0, b: 1, c: 3, d: 7, e: 11 });
    const view = new ByteView(new Uint8Array(20), little);
    const value = { a: 1, b: 2, c: 0xffffffff, d: -3, e: 0xfffffffffffffffen };
    format.write(view, 1, value);
    assert.deepEqual(format.read(view, 1), value);
    format.write(view, 1, { ...value, e: -2 });
    assert.deepEqual(format.read(view, 1), value);
    throws(() => format.read(view, 2), 'elf-truncated', 2);
    throws(() => format.write(view, 2, value), 'elf-truncated', 2);
  });
}

test('nothing is read or written outside of a view, which says where in its file it is', () => {
  const view = new ByteView(new Uint8Array(8), true, { file: 'f', section: 's', offset: 0x100 });
  throws(() => view.u32(5), 'elf-truncated', 0x105);
  throws(() => view.u8(-1), 'elf-truncated', 0xff);
  throws(() => view.u8(Number.NaN), 'elf-truncated');
  throws(() => view.u64(1), 'elf-truncated', 0x101);
  throws(() => view.setU16(7, 0), 'elf-truncated', 0x107);
  throws(() => view.setS64(1, 0), 'elf-truncated', 0x101);
  throws(() => view.table(4, 5), 'elf-truncated', 0x104);
  assert.equal(view.table(4, 4).byteLength, 4);
});
