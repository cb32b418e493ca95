// What people call keys and places, split into parts.
import assert from 'node:assert/strict';
import test from 'node:test';
import { splitName, splitScope } from '../../src/image/names.ts';

const names = [
  ['key', 'key', undefined, undefined],
  ['array[2]', 'array', 2, undefined],
  ['symbol+0x10', 'symbol', undefined, 16],
  ['symbol+10', 'symbol', undefined, 10],
  ['symbol+0X1F', 'symbol', undefined, 31],
  ['lib/a.c:array[0]', 'lib/a.c:array', 0, undefined],
  ['module:symbol+4', 'module:symbol', undefined, 4],
  // What is no part of a name belongs to the name.
  ['', '', undefined, undefined],
  ['[2]', '[2]', undefined, undefined],
  ['+4', '+4', undefined, undefined],
  ['array[x]', 'array[x]', undefined, undefined],
  ['array[1][2]', 'array[1]', 2, undefined],
  ['a+b', 'a+b', undefined, undefined],
  ['a+b+4', 'a+b', undefined, 4],
  ['symbol+0x', 'symbol+0x', undefined, undefined],
] as const;

for (const [text, name, index, offset] of names) {
  test(`${JSON.stringify(text)} has its parts`, () => {
    assert.deepEqual(splitName(text), { name, index, offset });
  });
}

test('the last colon ends the scope', () => {
  assert.deepEqual(splitScope('symbol'), { scope: undefined, symbol: 'symbol' });
  assert.deepEqual(splitScope('c:/src/a.c:symbol'), { scope: 'c:/src/a.c', symbol: 'symbol' });
  assert.deepEqual(splitScope(':symbol'), { scope: '', symbol: 'symbol' });
  assert.deepEqual(splitScope('a.c:'), { scope: 'a.c', symbol: '' });
});
