// Patterns with * and ?: what matches, and how long it may take.
import assert from 'node:assert/strict';
import test from 'node:test';
import { globMatcher, isPattern } from '../../src/bytes/glob.ts';
import { seeded } from '../seeded.ts';

const rows: readonly (readonly [pattern: string, matches: readonly string[], others: readonly string[]])[] = [
  ['', [''], ['a', '\n']],
  ['key', ['key'], ['', 'keys', 'a key', 'KEY']],
  ['*', ['', 'a', 'a\nb', '\n'], []],
  ['**', ['', 'ab'], []],
  ['?', ['a', '*', '\n', '\u2028'], ['', 'ab']],
  ['a*', ['a', 'ab', 'a*'], ['', 'ba']],
  ['*b', ['b', 'ab', 'bb'], ['', 'ba']],
  ['a*b', ['ab', 'a\nb', 'abb', 'aab'], ['a', 'b', 'aba', 'ab\n']],
  ['a*b*c', ['abc', 'abcbc', 'a.b.c'], ['ac', 'acb', 'abcb']],
  ['*ab*ab*', ['abab', 'xabyabz'], ['ab', 'aab', 'abaa']],
  ['*aab', ['aaab', 'aabaab'], ['aaba']],
  ['?*', ['a', 'ab'], ['']],
  ['*??', ['ab', 'abc'], ['a', '']],
  ['f.c:[x]+(1)$^|{2}\\', ['f.c:[x]+(1)$^|{2}\\'], ['fxc:[x]+(1)$^|{2}\\']],
];

for (const [pattern, matches, others] of rows) {
  test(`${JSON.stringify(pattern)} matches what it says`, () => {
    const accepts = globMatcher(pattern);
    for (const text of matches) assert.equal(accepts(text), true, JSON.stringify(text));
    for (const text of others) assert.equal(accepts(text), false, JSON.stringify(text));
  });
}

test('every pattern matches what a regular expression of the same meaning does', () => {
  const random = seeded(20);
  const next = (limit: number) => Math.floor(random() * limit);
  const word = (letters: string, most: number) =>
    Array.from({ length: next(most) }, () => letters[next(letters.length)]).join('');
  for (let i = 0; i < 20_000; i++) {
    const pattern = word('ab*?', 8);
    const text = word('ab', 9);
    const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
    assert.equal(globMatcher(pattern)(text), expression.test(text), `${pattern} and ${text}`);
  }
});

// What tries every way to share characters among the stars would never end.
test('30 stars against 10,000 characters come to an end', { timeout: 60_000 }, () => {
  const text = 'a'.repeat(10_000);
  assert.equal(globMatcher(`${'*a'.repeat(30)}*b`)(text), false);
  assert.equal(globMatcher(`${'*a'.repeat(30)}*`)(text), true);
  assert.equal(globMatcher('*'.repeat(30))(text), true);
});

test('a name without * and ? is no pattern', () => {
  assert.deepEqual(['key', 'a*', 'a?', 'a[1]', ''].map(isPattern), [false, true, true, false, false]);
});
