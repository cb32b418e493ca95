// What is read whole: files and open streams, up to a limit, and nothing else.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parseJson } from '../../src/bytes/json.ts';
import { TextpokeError } from '../../src/errors.ts';
import { openInput, readInput, readText } from '../../src/files/input.ts';
import { expandWords, readList } from '../../src/files/response-file.ts';
import { scratch } from '../tools.ts';

const fails = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && message.test(error.describe());

test('a device is refused by everything that reads a file, and never read', {
  skip: !existsSync('/dev/zero'),
}, () => {
  const refused = fails('read-failed', /^\/dev\/zero: cannot read: is not a regular file/);
  for (const read of [openInput, readInput, (path: string) => readText(path), readList]) {
    assert.throws(() => read('/dev/zero'), refused);
  }
  assert.deepEqual(expandWords(['@/dev/zero']), ['@/dev/zero']);
});

test('a directory is refused, a file may be empty, and a text has a limit', (t) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'd'));
  assert.throws(() => readInput(join(directory, 'd')), fails('read-failed', /is a directory/));
  writeFileSync(join(directory, 'empty'), '');
  assert.equal(readText(join(directory, 'empty')), '');
  writeFileSync(join(directory, 'ten'), '0123456789');
  assert.equal(readText(join(directory, 'ten'), 10), '0123456789');
  assert.throws(() => readText(join(directory, 'ten'), 9), fails('read-failed', /ten: .*more than 9 bytes/));
});

test('files of the system tell no size and are read to their end', {
  skip: !existsSync('/proc/self/stat'),
}, () => {
  assert.match(readText('/proc/self/stat'), /^\d+ \(.*\n$/s);
});

test('response files that name themselves or each other are refused, and others by their number', (t) => {
  const directory = scratch(t);
  const at = (name: string) => `@${join(directory, name)}`;
  writeFileSync(join(directory, 'a'), `${at('a')} ${at('a')}`);
  writeFileSync(join(directory, 'b'), `${at('c')} x ${at('c')}`);
  writeFileSync(join(directory, 'c'), at('b'));
  for (const name of ['a', 'b']) {
    assert.throws(() => expandWords([at(name)]), fails('usage', /the response file names itself/));
  }
  writeFileSync(join(directory, 'leaf'), 'y "z z"');
  writeFileSync(join(directory, 'top'), `x ${at('leaf')} @missing`);
  assert.deepEqual(expandWords(['w', at('top'), 'v']), ['w', 'x', 'y', 'z z', '@missing', 'v']);
  // However often: what counts is the total.
  assert.equal(expandWords(Array<string>(2000).fill(at('leaf'))).length, 4000);
});

test('a small response file that brings in a large one again and again ends by its bytes', (t) => {
  const directory = scratch(t);
  const large = join(directory, 'large');
  writeFileSync(large, ' '.repeat(8 << 20));
  assert.throws(
    () => expandWords(Array<string>(9).fill(`@${large}`)),
    fails('usage', /more than 67108864 bytes to expand/),
  );
});

test('JSON that is nested too deep is refused before anything walks over it', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  assert.ok(Array.isArray(parseJson(nested(64))), '64 levels are read');
  assert.throws(() => parseJson(nested(65)), /nested more than 64 levels/);
  assert.throws(() => parseJson(`${'{"a":'.repeat(5000)}1`), /nested more than 64 levels/);
  // Neither strings nor siblings are levels.
  assert.deepEqual(parseJson(`{"a\\"[[": "${'['.repeat(100)}\\\\", "b": [${'{},'.repeat(99)}{}]}`), {
    'a"[[': `${'['.repeat(100)}\\`,
    b: Array.from({ length: 100 }, () => ({})),
  });
});
