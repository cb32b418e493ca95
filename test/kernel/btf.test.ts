// BTF of a kernel is read back as it was written; damaged BTF is refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import { TextpokeError } from '../../src/errors.ts';
import { kinds } from '../../src/kernel/btf/kinds.ts';
import { readBtf } from '../../src/kernel/btf.ts';
import { flipped, seeded } from '../seeded.ts';
import { array, int, type MadeType, makeBtf, pointerTo, struct } from './made-btf.ts';

/** Numbers of the types are their places here, from 1 on. */
const kernel: readonly MadeType[] = [
  int('int', 4), // 1
  int('long unsigned int', 8), // 2
  pointerTo(7), // 3
  array(1, 5), // 4
  { name: 'u32', kind: kinds.typedef, sizeOrType: 1 }, // 5
  { name: '', kind: kinds.union, members: 2, sizeOrType: 8, extra: ['a', 1, 0, 'b', 2, 0] }, // 6
  struct('outer', 96, [
    ['first', 3, 0],
    ['', 6, 64],
    ['list', 4, 128],
    ['inner', 8, 320],
    ['typed', 9, 512],
    ['table', 10, 576],
  ]), // 7
  struct(
    'inner',
    24,
    [
      ['x', 2, 0],
      ['flags', 1, (3 << 24) | 69],
    ],
    true,
  ), // 8
  { kind: kinds.const, sizeOrType: 5 }, // 9
  array(11, 2), // 10
  array(1, 3), // 11
  { name: 'colour', kind: kinds.enum, members: 2, sizeOrType: 4, extra: ['red', 0, 'last', 0xffff_ffff] }, // 12
  { name: 'signed_colour', kind: kinds.enum, flag: true, members: 1, sizeOrType: 4, extra: ['none', -1] }, // 13
  { name: 'wide', kind: kinds.enum64, members: 1, sizeOrType: 8, extra: ['top', 5, 0x10] }, // 14
  { name: 'inner_t', kind: kinds.typedef, sizeOrType: 8 }, // 15
  { kind: kinds.typeTag, name: 'rcu', sizeOrType: 15 }, // 16
  pointerTo(16), // 17
  struct('user', 16, [
    ['link', 17, 0],
    ['nothing', 18, 64],
  ]), // 18: holds itself by value, which nobody asks for
  { name: 'f', kind: kinds.function, sizeOrType: 20 }, // 19
  { kind: kinds.prototype, members: 1, sizeOrType: 0, extra: ['arg', 1] }, // 20
  { name: 'var', kind: kinds.variable, sizeOrType: 1, extra: [1] }, // 21
  { name: '.data', kind: kinds.section, members: 1, sizeOrType: 4, extra: [21, 0, 4] }, // 22
  { name: 'tag', kind: kinds.declarationTag, sizeOrType: 7, extra: [0xffff_ffff] }, // 23
  { name: 'double', kind: kinds.float, sizeOrType: 8 }, // 24
  { name: 'later', kind: kinds.forward, sizeOrType: 0 }, // 25
  { kind: kinds.volatile, sizeOrType: 1 }, // 26
  { kind: kinds.restrict, sizeOrType: 3 }, // 27
];

for (const little of [true, false]) {
  test(`members, sizes and enumerators are read (${little ? 'little' : 'big'}-endian)`, () => {
    const btf = readBtf(makeBtf(kernel, little), little);
    assert.equal(btf.structSize('outer'), 96);
    assert.equal(btf.structSize('inner_t'), 24, 'a typedef leads to its structure');
    assert.equal(btf.structSize('int'), undefined);
    assert.equal(btf.pointerSize, 8);
    const rows = {
      first: { offset: 0, size: 8, typeName: 'outer *' },
      b: { offset: 8, size: 8, typeName: 'long unsigned int' },
      list: { offset: 16, size: 20, typeName: 'int', elements: 5 },
      inner: { offset: 40, size: 24, typeName: 'inner' },
      'inner.x': { offset: 40, size: 8, typeName: 'long unsigned int' },
      'inner.flags': { offset: 48, size: 4, typeName: 'int', bitOffset: 5, bitSize: 3 },
      typed: { offset: 64, size: 4, typeName: 'u32' },
      table: { offset: 72, size: 24, typeName: 'int', elements: 2 },
      absent: undefined,
      'first.x': undefined,
      '': undefined,
    };
    for (const [path, member] of Object.entries(rows))
      assert.deepEqual(btf.member('outer', path), member, path);
    assert.deepEqual(btf.member('user', 'link'), { offset: 0, size: 8, typeName: 'inner_t *' });
    assert.equal(btf.member('absent', 'x'), undefined);
    assert.equal(btf.enumValue('colour', 'last'), 0xffff_ffff);
    assert.equal(btf.enumValue('colour', 'blue'), undefined);
    assert.equal(btf.enumValue('signed_colour', 'none'), -1);
    assert.equal(btf.enumValue('wide', 'top'), 0x10_0000_0005);
    assert.equal(btf.hasType('u32') && btf.hasType('wide') && btf.hasType('double'), true);
    assert.equal(btf.hasType('later'), false, 'it is only declared');
    assert.equal(btf.hasType('nner'), false, 'the end of a name is another name');
  });
}

test('a bit field without the flag has the size of its number', () => {
  const btf = readBtf(
    makeBtf([
      { name: 'bits', kind: kinds.int, sizeOrType: 4, extra: [(2 << 16) | 3] },
      struct('s', 4, [['b', 1, 8]]),
    ]),
    true,
  );
  assert.deepEqual(btf.member('s', 'b'), { offset: 1, size: 4, typeName: 'bits', bitOffset: 2, bitSize: 3 });
});

test('two structures of one name do no harm while they agree on what is asked for', () => {
  const btf = readBtf(
    makeBtf([
      int('int', 4),
      struct('s', 8, [
        ['x', 1, 0],
        ['y', 1, 32],
      ]),
      struct('s', 8, [
        ['x', 1, 0],
        ['z', 1, 32],
      ]),
    ]),
    true,
  );
  assert.equal(btf.member('s', 'x')?.offset, 0);
  assert.throws(() => btf.member('s', 'y'), { code: 'elf-unsupported' });
});

const damaged: Record<
  string,
  readonly [bytes: () => Uint8Array, ask: (btf: ReturnType<typeof readBtf>) => unknown]
> = {
  'a typedef of itself': [
    () => makeBtf([{ name: 't', kind: kinds.typedef, sizeOrType: 1 }]),
    (b) => b.structSize('t'),
  ],
  'two types that are const of each other': [
    () =>
      makeBtf([
        { kind: kinds.const, sizeOrType: 2 },
        { kind: kinds.const, sizeOrType: 1 },
        struct('s', 4, [['x', 1, 0]]),
      ]),
    (b) => b.member('s', 'x'),
  ],
  'an array of itself': [
    () => makeBtf([array(1, 2), struct('s', 4, [['x', 1, 0]])]),
    (b) => b.member('s', 'x'),
  ],
  'a pointer to itself': [
    () => makeBtf([pointerTo(1), struct('s', 8, [['x', 1, 0]])]),
    (b) => b.member('s', 'x'),
  ],
  'a type that is not there': [() => makeBtf([struct('s', 8, [['x', 99, 0]])]), (b) => b.member('s', 'x')],
  'an unknown kind': [() => makeBtf([{ kind: 20, sizeOrType: 0 }]), () => undefined],
  'the kind 0': [() => makeBtf([{ kind: 0, sizeOrType: 0 }]), () => undefined],
  'members behind the end': [
    () => makeBtf([{ kind: kinds.struct, members: 9, sizeOrType: 8 }]),
    () => undefined,
  ],
  'the other byte order': [() => makeBtf(kernel, false), () => undefined],
  'half of it': [() => makeBtf(kernel).subarray(0, 200), () => undefined],
  'only a header': [() => makeBtf(kernel).subarray(0, 20), () => undefined],
  nothing: [() => new Uint8Array(0), () => undefined],
};
for (const [name, [bytes, ask]] of Object.entries(damaged)) {
  test(`${name} is refused`, () => {
    assert.throws(() => ask(readBtf(bytes(), true)), TextpokeError);
  });
}

test('a structure without a name that holds itself ends a search', () => {
  const btf = readBtf(
    makeBtf([
      struct('s', 8, [['', 2, 0]]),
      struct('', 8, [
        ['', 2, 0],
        ['', 1, 0],
      ]),
    ]),
    true,
  );
  assert.equal(btf.member('s', 'x'), undefined);
});

test('structures without names that hold each other twice cost no power of their number', () => {
  const types: MadeType[] = [
    struct('s', 8, [
      ['', 2, 0],
      ['', 2, 0],
    ]),
  ];
  for (let i = 2; i < 60; i++)
    types.push(
      struct('', 8, [
        ['', i + 1, 0],
        ['', i + 1, 0],
      ]),
    );
  types.push(struct('', 8, []));
  assert.equal(readBtf(makeBtf(types), true).member('s', 'x'), undefined);
});

test('whatever bytes are changed, BTF is read or refused with a code', () => {
  const whole = makeBtf(kernel);
  const random = seeded(14);
  for (let i = 0; i < 2000; i++) {
    try {
      const btf = readBtf(flipped(whole, random), true);
      for (const path of ['first', 'b', 'list', 'inner.flags', 'typed', 'table']) btf.member('outer', path);
      btf.enumValue('wide', 'top');
    } catch (error) {
      assert.equal(error instanceof TextpokeError, true, String(error));
    }
  }
});
