// Which symbol names a place.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SymbolOrder } from '../../src/arch/symbol-order.ts';
import {
  STB_GLOBAL,
  STB_LOCAL,
  STB_WEAK,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
} from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { type MadeSymbol, makeObject } from '../elf/objects.ts';

const arch = { mappingSymbol: undefined, thumbBit: false };
type Row = readonly [
  name: string,
  value: number,
  size: number,
  type: number,
  binding: number,
  section?: number,
];

function orderOf(rows: readonly Row[]): (place: number, section?: number) => string | undefined {
  const symbols = rows.map(
    ([name, value, size, type, binding, section = 1]): MadeSymbol => ({
      ...{ name, value, size, section },
      info: (binding << 4) | type,
    }),
  );
  const sections = [{ name: '.a' }, { name: '.b' }];
  const file = readElf('a.o', makeObject({ sections, symbols, firstGlobal: 1 }));
  const table = file.symbols(file.symtab ?? assert.fail('no symbols'));
  const order = new SymbolOrder(
    arch,
    table,
    rows.map((_, i) => i + 1),
  );
  return (place, section) => {
    const found = order.nameOf(place, section);
    return found === undefined ? undefined : table.name(found);
  };
}

const label = (name: string, value: number, section = 1): Row => [
  name,
  value,
  0,
  STT_NOTYPE,
  STB_LOCAL,
  section,
];
const object = (name: string, value: number, size: number, section = 1): Row => [
  ...([name, value, size, STT_OBJECT, STB_LOCAL] as const),
  section,
];

const rules: readonly [
  what: string,
  rows: readonly Row[],
  place: number,
  name: string | undefined,
  section?: number,
][] = [
  ['the one in front of the place', [label('a', 0), label('b', 8)], 7, 'a'],
  ['none in front of the first', [label('a', 8)], 7, undefined],
  ['one whose size holds the place before a label nearer to it', [object('a', 0, 16), label('b', 8)], 9, 'a'],
  ['the nearer one of two that hold the place', [object('a', 0, 32), object('b', 8, 16)], 9, 'b'],
  ['the outer one behind the end of the inner', [object('a', 0, 32), object('b', 8, 8)], 16, 'a'],
  ['the last label where no size reaches the place', [object('a', 0, 8), label('b', 4)], 8, 'b'],
  [
    'an object that begins there before an empty one of another section',
    [object('end', 8, 0, 1), object('k', 8, 16, 2)],
    8,
    'k',
    2,
  ],
  [
    'one that holds the place, though it is of another section',
    [object('k', 8, 16, 1), object('end', 8, 0, 2)],
    8,
    'k',
    2,
  ],
  [
    'a label of the section of the place before one that is not',
    [label('end', 8, 1), label('start', 8, 2)],
    8,
    'start',
    2,
  ],
  ['an object before a label', [label('a', 8), object('b', 8, 0)], 8, 'b'],
  [
    'a global before a weak one',
    [
      ['w', 8, 4, STT_FUNC, STB_WEAK],
      ['g', 8, 4, STT_FUNC, STB_GLOBAL],
    ],
    8,
    'g',
  ],
  [
    'a weak one before a local one',
    [
      ['l', 8, 4, STT_FUNC, STB_LOCAL],
      ['w', 8, 4, STT_FUNC, STB_WEAK],
    ],
    8,
    'w',
  ],
];
for (const [what, rows, place, name, section] of rules) {
  test(`a place is named by ${what}`, () => {
    assert.equal(orderOf(rows)(place, section), name);
    assert.equal(orderOf([...rows].reverse())(place, section), name, 'in whatever order they stand');
  });
}

test('of two that are alike in all this, the first in the table names a place', () => {
  assert.equal(orderOf([object('a', 8, 4), object('b', 8, 4)])(8), 'a');
  assert.equal(orderOf([object('b', 8, 4), object('a', 8, 4)])(8), 'b');
});

test('very many symbols around one place are looked at up to a limit', () => {
  const rows = Array.from({ length: 5000 }, (_, i) => object(`o${i}`, i, 10_000 - 2 * i));
  assert.equal(orderOf(rows)(4999), 'o4999');
  assert.equal(orderOf(rows)(9000), 'o4999', 'the limit is reached: the nearest');
});
