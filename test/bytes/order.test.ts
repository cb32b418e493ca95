// The order of numbers that are sorted in part.
import assert from 'node:assert/strict';
import test from 'node:test';
import { inOrder, orderOf } from '../../src/bytes/order.ts';

const rows: readonly (readonly [what: string, keys: readonly number[]])[] = [
  ['nothing', []],
  ['one number', [7]],
  ['numbers in order', [-3, 0, 1, 1, 2]],
  ['two runs', [1, 4, 6, 9, 0, 2, 4, 10]],
  ['three runs', [5, 6, 1, 2, 3, 0, 9]],
  ['numbers from the last to the first', [9, 8, 7, 6, 5, 4, 3, 2, 1]],
  ['equal numbers', [2, 2, 2, 1, 1, 2, 1]],
  ['numbers at random', Array.from({ length: 1000 }, (_, i) => (i * 7919) % 613)],
];

for (const [what, keys] of rows) {
  test(`${what}: the order is that of a stable sort`, () => {
    const wanted = keys.map((_, i) => i).sort((a, b) => (keys[a] as number) - (keys[b] as number) || a - b);
    const order = orderOf(Float64Array.from(keys));
    assert.deepEqual([...order], wanted);
    assert.deepEqual(
      [...inOrder(Float64Array.from(keys), order)],
      wanted.map((i) => keys[i]),
    );
  });
}
