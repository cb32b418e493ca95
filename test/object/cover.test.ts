import assert from 'node:assert/strict';
import test from 'node:test';
import { coverOf } from '../../src/object/cover.ts';

const extent = (name: string, start: number, size: number, rank = 0) => ({ name, start, size, rank });

test('a place is held by the innermost extent, else by the label in front of it', () => {
  const extents = [
    extent('outer', 10, 30),
    extent('inner', 20, 5),
    extent('alias', 20, 5, 1),
    extent('inside', 22, 0),
    extent('label', 50, 0),
    extent('behind', 60, 4),
  ];
  const rows: readonly (readonly [number, string | undefined])[] = [
    [9, undefined],
    [10, 'outer'],
    [20, 'alias'],
    [24, 'alias'],
    [25, 'outer'],
    [39, 'outer'],
    [40, undefined],
    [50, 'label'],
    [59, 'label'],
    [60, 'behind'],
    [63, 'behind'],
    [64, undefined],
  ];
  const found = coverOf(
    extents,
    rows.map(([place]) => place),
  );
  assert.deepEqual(
    found.map((one) => one?.name),
    rows.map(([, name]) => name),
  );
});

test('the extents of overlapping symbols each hold their own end', () => {
  const found = coverOf([extent('first', 0, 10), extent('second', 5, 10)], [4, 7, 12, 15]);
  assert.deepEqual(
    found.map((one) => one?.name),
    ['first', 'second', 'second', undefined],
  );
});
