// Which functions may stand in the place of which, by the types that a kernel has of itself.
import assert from 'node:assert/strict';
import test from 'node:test';
import { kinds } from '../../src/kernel/btf/kinds.ts';
import { readBtf } from '../../src/kernel/btf.ts';
import { int, type MadeType, makeBtf, pointerTo, struct } from './made-btf.ts';

const takes = (result: number, ...parameters: readonly number[]): MadeType => ({
  kind: kinds.prototype,
  members: parameters.length,
  sizeOrType: result,
  extra: parameters.flatMap((type) => ['x', type]),
});
const named = (name: string, prototype: number): MadeType => ({
  name,
  kind: kinds.function,
  sizeOrType: prototype,
});

/** Numbers of the types are their places here, from 1 on. */
const types: readonly MadeType[] = [
  int('int', 4), // 1
  int('long unsigned int', 8), // 2
  struct('task', 8, [['id', 2, 0]]), // 3
  pointerTo(3), // 4
  struct('task', 8, [['id', 2, 0]]), // 5: the same twice
  { kind: kinds.const, sizeOrType: 5 }, // 6
  pointerTo(6), // 7
  pointerTo(0), // 8
  struct('other', 8, [['id', 2, 0]]), // 9
  pointerTo(9), // 10
  { name: 'pid', kind: kinds.typedef, sizeOrType: 1 }, // 11
  takes(1, 4, 1), // 12
  takes(0, 7, 11), // 13
  takes(1, 4), // 14
  takes(1, 8, 1), // 15
  takes(2, 4, 1), // 16
  takes(1, 10, 1), // 17
  takes(0), // 18
  pointerTo(12), // 19
  pointerTo(18), // 20
  struct('ops', 24, [
    ['first', 19, 0],
    ['inner', 22, 64],
    ['number', 2, 128],
  ]), // 21
  struct('inner', 8, [['second', 20, 0]]), // 22
  named('base', 12),
  named('const_task', 13),
  named('fewer', 14),
  named('any_pointer', 15),
  named('wider_result', 16),
  named('other_task', 17),
  named('nothing', 18),
  named('twice', 18),
  named('twice', 12),
];
const btf = readBtf(makeBtf(types), true);

for (const [name, alike] of [
  ['base', true],
  ['const_task', true],
  ['fewer', false],
  ['any_pointer', true],
  ['wider_result', false],
  ['other_task', false],
  ['nothing', false],
  ['twice', true],
  ['unknown', undefined],
] as const) {
  test(`int base(struct task *, int) and ${name}: ${alike ?? 'nothing tells'}`, () => {
    assert.equal(btf.calls.areAlike('base', name), alike);
    assert.equal(btf.calls.areAlike(name, 'base'), alike);
  });
}

test('what a pointer of a structure calls is known by its offset, through structures inside it', () => {
  const fits = (offset: number, name: string) => {
    const type = btf.typeAt('ops', offset);
    return type === undefined ? 'nothing there' : btf.calls.fits(type, name);
  };
  assert.equal(fits(0, 'base'), true);
  assert.equal(fits(0, 'nothing'), false);
  assert.equal(fits(8, 'nothing'), true);
  assert.equal(fits(8, 'base'), false);
  assert.equal(fits(16, 'base'), undefined);
  assert.equal(fits(4, 'base'), 'nothing there');
  assert.equal(fits(0, 'unknown'), undefined);
  assert.equal(btf.typeAt('no such', 0), undefined);
});
