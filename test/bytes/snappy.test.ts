// Snappy: what another implementation makes of bytes, each element by itself, and blocks that lie.
import assert from 'node:assert/strict';
import test from 'node:test';
import { snappySize, unsnappy } from '../../src/bytes/snappy.ts';
import { TextpokeError } from '../../src/errors.ts';
import { flipped, seeded } from '../seeded.ts';
import { content } from './compressed-content.ts';

/** What snappyjs 0.7.0 makes of the content. */
const block = new Uint8Array(
  Buffer.from(
    [
      '7K0C9E8BsMU4nxWXuHXnOse9qQN3TOVJwblABMs1RR94/T4U2VFo/EViN9644ILOpiOik1DHnALuV1nfPyzVR/8DWcJQqRMUvIZA',
      '7gy89EmI29iU9LOKHEuHJ0DEIxRTzqRpGEr0U7O+GsjumxxcZw1r6k/EDdEZg9M1mBldqUGuPUD8pHO+CZ6nBCVVVaTyl97FSBAr',
      'CjrkcwrGlknkxvguRc5GS8QBqIdFPqrPkJqrbZEzG19+EJt0d2KAW0BvhqlbPsoRXbAhIv4UhGQiNftkB5yvxIQ5MN31ghuufk8b',
      'fPyELjv0NMm5mAFu6wDDf45xUajcRFwAR9B/2vqBpRQbgIKIomoBj/wbJlze7+F2BcJV37EPl9v2chGxkso1mF+djWEnZGMyU2LG',
      'djg8sUrNc3RhdGljX2tleSBzdGF0aWNfa2V5IHN0YXRpY19jYWxsIHN0BRcgY2FsbF9zaXRlER0Ea2X+MwByMwAAAP4BAP4BAP4B',
      'AP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BAP4BALoBAP5hBo5hBhh0HpTkJGFi/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA/gIA',
      '/gIA/gIA/gIAxgIAJNlRaLmOIjX7ZJD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+',
      'AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQD+AQB6AQD+e5Vme5X0FgG7gmTb',
      'fjMYAUrRa6cI0iKXi2Y9TLZhoFVTPmbiwXGg3kFgkwSSAAzZ7mF/3jw2n0S2Ww/3p8nHhYJdVsXp9SjEDxvU962De2OK9xAmm+Iw',
      'rbDFOOKfFZcLzLh158XXcDrHvUapA3cleUzlSUt+v8G5QDUEyzXTLUUfeNjUcP0+FD7ZUWgvBPxFYtHoEDfeuPHggs5ZZqYjoll5',
      'aZNQxwicAu4DC1dZ30psNT8s1WtH/wOI81nCUGDk2KkTFN+8hkB/iu4MvJn8NvRJiPvb2JQpSPSzijQ0nhxLhwknQMSShSMUU7pA',
      'l86kaWsYSvRguVOzvrWExBrI7rabHFwCjmcNa0WK6epPxPUN0Rk/roPTNcZ1bJgZXbY=',
    ].join(''),
    'base64',
  ),
);
const letters = (word: string) => [...Buffer.from(word)];
const made = (bytes: readonly number[]) =>
  Buffer.from(unsnappy(Uint8Array.from(bytes), 1000)).toString('latin1');

test('the content of a block is what it was made of', () => {
  assert.deepEqual(unsnappy(block, content().length), content());
});

for (const [what, bytes, expected] of [
  ['nothing', [0], ''],
  ['a literal', [3, 2 << 2, ...letters('abc')], 'abc'],
  ['a literal with its length in a byte', [61, 60 << 2, 60, ...letters('x'.repeat(61))], 'x'.repeat(61)],
  ['a literal with its length in four bytes', [3, 63 << 2, 2, 0, 0, 0, ...letters('abc')], 'abc'],
  ['a copy of a byte of distance', [7, 2 << 2, ...letters('abc'), 1, 2], 'abcbcbc'],
  ['a copy of two bytes of distance', [5, 2 << 2, ...letters('abc'), (1 << 2) | 2, 3, 0], 'abcab'],
  ['a copy of four bytes of distance', [4, 2 << 2, ...letters('abc'), 3, 1, 0, 0, 0], 'abcc'],
] as const) {
  test(`${what}: ${JSON.stringify(expected.slice(0, 20))}`, () => assert.equal(made(bytes), expected));
}

for (const [what, bytes, words] of [
  ['no length', [], /its length is no number/],
  ['a length of six bytes', [0x80, 0x80, 0x80, 0x80, 0x80, 1], /its length is no number/],
  ['a length of more than 32 bits', [0xff, 0xff, 0xff, 0xff, 0x7f], /its length is no number/],
  ['a length past what it may have', [0xe9, 7], /it has 1001 bytes; 1000 are the most/],
  ['a literal that is not there', [3, 2 << 2, 97], /ends too early/],
  // A reader that takes this length for a negative number goes back, and never ends.
  ['a literal of 2^32 - 5 bytes', [3, 63 << 2, 0xfa, 0xff, 0xff, 0xff], /ends too early/],
  ['a copy of what is not there', [3, 0, 97, 1, 2], /a copy begins 2 bytes back, where it has 1/],
  ['a copy from 0 bytes back', [3, 0, 97, 1, 0], /a copy begins 0 bytes back/],
  ['a copy from 2^31 bytes back', [3, 0, 97, 3, 0, 0, 0, 0x80], /a copy begins 2147483648 bytes back/],
  ['a distance that is cut off', [3, 0, 97, 2, 1], /ends too early/],
  ['less than it says', [3, 0, 97], /it says that it has 3 bytes, and has 1/],
  ['more than it says', [3, 3 << 2, ...letters('abcd')], /it says that it has 3 bytes, and has more/],
  ['a copy of more than it says', [3, 0, 97, 1, 1], /it says that it has 3 bytes, and has more/],
] as const) {
  test(`a block with ${what} is refused`, () => {
    assert.throws(
      () => made(bytes),
      (error: unknown) =>
        error instanceof TextpokeError && error.code === 'compressed-malformed' && words.test(error.message),
    );
  });
}

test('the size that a block says is read without its content', () => {
  assert.deepEqual(snappySize(Uint8Array.of(0x80, 0x80, 4)), { size: 65536, length: 3 });
});

test('damaged blocks end, in an error or in as many bytes as they say', () => {
  const random = seeded(12);
  for (let i = 0; i < 2000; i++) {
    const bad = i % 4 === 0 ? block.subarray(0, Math.floor(random() * block.length)) : flipped(block, random);
    try {
      assert.equal(unsnappy(bad, 40_000).length, snappySize(bad)?.size);
    } catch (error) {
      assert.ok(error instanceof TextpokeError && error.code === 'compressed-malformed', String(error));
    }
  }
});
