// Keys are called by the structures that hold them only where nothing else can be meant.
import assert from 'node:assert/strict';
import test from 'node:test';
import { KeyOwners } from '../../src/dump/key-owners.ts';
import type { TableView } from '../../src/dump/view.ts';
import type { DumpedPlace } from '../../src/kinds/shown.ts';

/** Objects by their names: where they begin, and how long they are; 0 where no symbol says. */
const objects = {
  __tracepoint_sched_switch: [0x1000, 72],
  __tracepoint_of_another_object: [0x2000, 0],
  descriptor: [0x3000, 56],
  both: [0x4000, 56],
  keys: [0x5000, 48],
  unsized: [0x6000, 0],
} as const;
type Name = keyof typeof objects;

const view = {
  arch: { wordSize: 8 },
  identify: (place: number) => place,
  startOf: (place: number, { symbolOffset = 0 }: DumpedPlace) => place - symbolOffset,
  sizeAround: (place: number) =>
    Object.values(objects).find(([start]) => Math.floor(place / 0x1000) * 0x1000 === start)?.[1] ?? 0,
} as unknown as TableView<number>;

const rows: readonly (readonly [key: Name, offset: number, owner: Name | undefined])[] = [
  ['__tracepoint_sched_switch', 8, '__tracepoint_sched_switch'],
  ['__tracepoint_of_another_object', 8, '__tracepoint_of_another_object'],
  ['descriptor', 40, 'descriptor'],
  ['descriptor', 40, 'descriptor'],
  ['both', 8, undefined],
  ['both', 24, undefined],
  ['keys', 16, undefined],
  ['unsized', 8, undefined],
  ['descriptor', 0, undefined],
];

test('a key has the name of a structure that holds no other key and is no array', () => {
  const owners = new KeyOwners(view);
  const placed = rows.map(([symbol, symbolOffset, owner]) => {
    const named: DumpedPlace = { symbol, symbolOffset };
    return { key: objects[symbol][0] + symbolOffset, named, owner };
  });
  for (const { key, named } of placed) owners.note(key, named);
  for (const { key, named, owner } of placed)
    assert.equal(owners.withOwner(key, named).owner, owner, `${named.symbol}+${named.symbolOffset}`);
  assert.equal(owners.withOwner(0x7000, { address: '0x7000' }).owner, undefined);
});
