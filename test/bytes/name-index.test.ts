// Things by name, and the sums that names are found by.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Named, NameIndex } from '../../src/bytes/name-index.ts';
import { sumOfBytes, sumOfName } from '../../src/bytes/name-sums.ts';

/** Things with these names from number 1 on. */
function namedBy(...names: readonly string[]): Named {
  const all = ['', ...names];
  return {
    count: all.length,
    name: (i) => all[i] as string,
    nameSum: (i) => sumOfName(all[i] as string),
  };
}

test('all things of a name are found, in order, and no others', () => {
  const many = Array.from({ length: 5000 }, (_, i) => `name_${i % 2500}`);
  const index = new NameIndex(namedBy(...many), () => true);
  for (let i = 0; i < 2500; i++) assert.deepEqual(index.of(`name_${i}`), [i + 1, i + 2501]);
  for (const other of ['name_2500', 'name_', 'ame_1', '']) assert.deepEqual(index.of(other), []);
});

test('what is no member is not found', () => {
  const index = new NameIndex(namedBy('a', 'b', 'a', 'b'), (i) => i !== 3);
  assert.deepEqual(index.of('a'), [1]);
  assert.deepEqual(index.of('b'), [2, 4]);
});

test('names of all lengths and characters are told apart', () => {
  const names = ['', 'a', 'aa', 'ab', 'ba', 'é', 'e', '名前', 'x'.repeat(600), `${'x'.repeat(599)}y`];
  const index = new NameIndex(namedBy(...names), () => true);
  for (const [i, name] of names.entries()) assert.deepEqual(index.of(name), [i + 1]);
});

test('an index of nothing has nothing', () => {
  assert.deepEqual(new NameIndex(namedBy(), () => true).of('a'), []);
});

test('bytes up to a NUL have the sum of their name, unless they are long, without end or not of ASCII', () => {
  const bytes = Buffer.from('skipped\0start_kernel\0é\0last', 'utf8');
  assert.equal(sumOfBytes(bytes, 8, 512), sumOfName('start_kernel'));
  assert.equal(sumOfBytes(bytes, 8, 12), sumOfName('start_kernel'));
  assert.equal(sumOfBytes(bytes, 8, 11), undefined);
  assert.equal(sumOfBytes(bytes, 7, 512), sumOfName(''));
  assert.equal(sumOfBytes(bytes, 21, 512), undefined);
  assert.equal(sumOfBytes(bytes, 24, 512), undefined);
  assert.equal(sumOfBytes(bytes, bytes.length, 512), undefined);
});
