// LZO1X: what lzop makes of bytes, each instruction by itself, and streams that lie.
import assert from 'node:assert/strict';
import test from 'node:test';
import { unlzo } from '../../src/bytes/lzo.ts';
import { TextpokeError } from '../../src/errors.ts';
import { flipped, seeded } from '../seeded.ts';
import { content } from './compressed-content.ts';

/** The block that lzop 1.04 writes of the content with -3 (lzo1x_1_15) and with -9 (lzo1x_999). */
const streams = {
  'lzop -3': [
    'AABYsMU4nxWXuHXnOse9qQN3TOVJwblABMs1RR94/T4U2VFo/EViN9644ILOpiOik1DHnALuV1nfPyzVR/8DWcJQqRMUvIZA7gy8',
    '9EmI29iU9LOKHEuHJ0DEIxRTzqRpGEr0U7O+GsjumxxcZw1r6k/EDdEZg9M1mBldqUGuPUD8pHO+CZ6nBCVVVaTyl97FSBArCjrk',
    'cwrGlknkxvguRc5GS8QBqIdFPqrPkJqrbZEzG19+EJt0d2KAW0BvhqlbPsoRXbAhIv4UhGQiNftkB5yvxIQ5MN31ghuufk8bfPyE',
    'Ljv0NMm5mAFu6wDDf45xUajcRFwAR9B/2vqBpRQbgIKIomoBj/wbJlze7+F2BcJV37EPl9v2chGxkso1mF+djWEnZGMyU2LGdjg8',
    'sUrNc3RhdGljX2tleSBzdGF0aWNfa2V5IHN0YXRpY19jYWxsIHN0YXRpY19jYWxsX3NpdGUgc3RhdGljX2tleTEoAAFjYWxs+AJs',
    'AQJfc2l0ZeACKWgBKSgAeATkBGwBqQYAIAAAAACSAAAgQ4AZBHQelOQkYWIgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJEEAAfZUWi5jiI1+2SQIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEwAABhR7FUAAAa7gmTbfjMYAUrRa6cI',
    '0iKXi2Y9TLZhoFVTPmbiwXGg3kFgkwSSAAzZ7mF/3jw2n0S2Ww/3p8nHhYJdVsXp9SjEDxvU962De2OK9xAmm+IwrbDFOOKfFZcL',
    'zLh158XXcDrHvUapA3cleUzlSUt+v8G5QDUEyzXTLUUfeNjUcP0+FD7ZUWgvBPxFYtHoEDfeuPHggs5ZZqYjoll5aZNQxwicAu4D',
    'C1dZ30psNT8s1WtH/wOI81nCUGDk2KkTFN+8hkB/iu4MvJn8NvRJiPvb2JQpSPSzijQ0nhxLhwknQMSShSMUU7pAl86kaWsYSvRg',
    'uVOzvrWExBrI7rabHFwCjmcNa0WK6epPxPUN0Rk/roPTNcZ1bJgZXbYRAAA=',
  ],
  'lzop -9': [
    'AAAmsMU4nxWXuHXnOse9qQN3TOVJwblABMs1RR94/T4U2VFo/EViN9644ILOpiOik1DHnALuV1nfPyzVR/8DWcJQqRMUvIZA7gy8',
    '9EmI29iU9LOKHEuHJ0DEIxRTzqRpGEr0U7O+GsjumxxcZw1r6k/EDdEZg9M1mBldqUGuPUD8pHO+CZ6nBCVVVaTyl97FSBArCjrk',
    'cwrGlknkxvguRc5GS8QBqIdFPqrPkJqrbZEzG19+EJt0d2KAW0BvhqlbPsoRXbAhIv4UhGQiNftkB5yvxIQ5MN31ghuufk8bfPyE',
    'Ljv0NMm5mAFu6wDDf45xUajcRFwAR9B/2vqBpRQbgIKIomoBj/wbJlze7+F2BcJV37EPl9v2chGxkso1mF+djWEnZGMyU2LGdjg8',
    'sUrNc3RhdGljX2tleSAwKAABY2FsbCosAANfc2l0ZSAgRckAACAAAAAAkgAAIEOAGQR0HpTkJGFiIAAAAAAAAADmBAAgAAAAAAAA',
    'AOYEACAAAAAAAAAA5gQAIAAAAAAAAADmBAAgAAAAAAAAAOYEACAAAAAAAAAA5gQAIAAAAAAAAADmBAAgAAAAAAAAAOYEACBRBAAR',
    'TgO5jhI9GpAgAAAAAAAAAOYAACAAAAAAAAAA5gAAIAAAAAAAAADmAAAgAAAAAAAAAOYAACAAAAAAAAAA5gAAIAAAAAAAAADmAAAg',
    'AAAAAAAAAOYAACAAAAAAAAAA5gAAIAAAAAAAAADmAAAgAAAAAAAABAAAGFHsVQA+u4Jk234zGAFK0WunCNIil4tmPUy2YaBVUz5m',
    '4sFxoN5BYJMEkgAM2e5hf948Np9EtlsP96fJx4WCXVbF6fUoxA8b1Petg3tjivcQJpviMK1FFeJKFQvMUxXF13BdFUZCFiV5SxZL',
    'fr9VFjVaFtMtQxfY1HBNFz5SFy8EWxfR6BBFGPFKGFlmUxhZeWldGAhCGQMLSxlKbDVVGWtaGYjzQxpg5NhNGt9SGn+KWxqZ/DZF',
    'G/tKGylIUxs0NJ5dGwlCHJKFSxy6QJcZAUBrGQZAYLkZD0C1hMQZGUC2GR5AAo4ZJ0BFiukZMUD1GTZAP64ZP0DGdWwZSUC2EQAA',
  ],
};
const bytesOf = (lines: readonly string[]) => new Uint8Array(Buffer.from(lines.join(''), 'base64'));
const end = [0x11, 0, 0];
const text = (stream: readonly number[], size = 1000) =>
  Buffer.from(unlzo(Uint8Array.from(stream), size)).toString('latin1');
const letters = (word: string) => [...Buffer.from(word)];

for (const [what, lines] of Object.entries(streams)) {
  test(`the content of a stream of ${what} is what it was made of`, () => {
    assert.deepEqual(unlzo(bytesOf(lines), content().length), content());
  });
}

for (const [what, stream, expected] of [
  ['nothing', end, ''],
  ['one literal in front', [18, ...letters('a'), ...end], 'a'],
  ['four literals in front', [21, ...letters('abcd'), ...end], 'abcd'],
  ['238 literals in front', [255, ...letters('x'.repeat(238)), ...end], 'x'.repeat(238)],
  ['a run of four literals', [1, ...letters('abcd'), ...end], 'abcd'],
  [
    'a run of 274 literals, whose length has bytes of its own',
    [0, 0x00, 1, ...letters('x'.repeat(274)), ...end],
    'x'.repeat(274),
  ],
  ['two bytes from nearby, behind literals of a match', [19, ...letters('ab'), 0, 0, ...end], 'abbb'],
  ['three bytes from one byte back', [21, ...letters('abcd'), 64, 0, ...end], 'abcdddd'],
  [
    'eight bytes from four back, and one literal',
    [21, ...letters('abcd'), 0xed, 0, ...letters('!'), ...end],
    'abcdabcdabcd!',
  ],
  ['35 bytes from two back', [21, ...letters('abcd'), 0x20, 2, 4, 0, ...end], `abcd${'cd'.repeat(17)}c`],
] as const) {
  test(`${what}: ${JSON.stringify(expected.slice(0, 20))}`, () => assert.equal(text(stream), expected));
}

test('three bytes from 2049 back, behind a run of literals', () => {
  const run = letters('0123456789'.repeat(210)); // 2100 bytes: 3 + 15 + 255 * 8 + 42
  const stream = [0, ...Array(8).fill(0), 42, ...run, 0, 0, ...end];
  const made = text(stream, 3000);
  assert.equal(made.length, 2103);
  assert.equal(made.slice(2100), made.slice(2100 - 2049, 2103 - 2049));
});

for (const [what, stream, words] of [
  ['nothing at all', [], /ends too early/],
  ['no end', [18, 97], /ends too early/],
  ['literals that are not there', [30, 97], /ends too early/],
  ['a length that does not end', [0, 0, 0, 0], /ends too early/],
  ['a copy of what is not there', [18, 97, 0x40, 1, ...end], /a copy begins 9 bytes back, where it has 1/],
  ['bytes behind the end', [18, 97, ...end, 0], /1 bytes follow its end/],
  ['an end with a length', [18, 97, 0x12, 0, 0], /its end is another one/],
  [
    'more than it may have',
    [21, ...letters('abcd'), 0x20, 0, 0, 0, 0, 0, 1, 0, 0, ...end],
    /it has more than 1000 bytes/,
  ],
] as const) {
  test(`a stream with ${what} is refused`, () => {
    assert.throws(
      () => text(stream),
      (error: unknown) =>
        error instanceof TextpokeError && error.code === 'compressed-malformed' && words.test(error.message),
    );
  });
}

test('damaged streams end, in an error or in at most what they may have', () => {
  const random = seeded(11);
  const whole = bytesOf(streams['lzop -9']);
  for (let i = 0; i < 2000; i++) {
    const bad = i % 4 === 0 ? whole.subarray(0, Math.floor(random() * whole.length)) : flipped(whole, random);
    try {
      assert.ok(unlzo(bad, 40_000).length <= 40_000, 'more than it may have');
    } catch (error) {
      assert.ok(error instanceof TextpokeError && error.code === 'compressed-malformed', String(error));
    }
  }
});
