// What dump is asked to list: orders, limits and formats, and what is refused.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { main } from '../../src/main.ts';
import { archiveOf } from '../elf/archives.ts';
import { runMain } from '../in-process.ts';
import { annotated, linkedBytes, sampleBytes } from '../samples.ts';
import { scratch } from '../tools.ts';

function program(t: TestContext): string {
  const path = join(scratch(t), 'program');
  writeFileSync(path, linkedBytes('gcc-O2', ['branch', 'call', 'lock']));
  return path;
}

test('--limit shows the first entries of each table, in text and JSON', async (t) => {
  const path = program(t);
  const whole = JSON.parse((await runMain(t, main, ['dump', '--json', path])).text).files[0];
  const first = JSON.parse((await runMain(t, main, ['dump', '--json', '--limit', '2', path])).text).files[0];
  for (const table of ['jumpTable', 'staticCallSites', 'smpLocks'])
    assert.deepEqual(first[table], whole[table].slice(0, 2), table);
  const { text } = await runMain(t, main, ['dump', '--limit', '2', path]);
  assert.match(text, new RegExp(`__jump_table: 2 of ${whole.jumpTable.length} entries `));
});

test('--limit and --sort choose among the groups of JSON, whose counts stay', async (t) => {
  const path = program(t);
  const ask = async (...args: string[]) =>
    JSON.parse((await runMain(t, main, ['dump', '--json', ...args, path])).text).files[0];
  const all = await ask('--summary');
  const some = await ask('--by', 'function', '--sort', 'name', '--limit', '3');
  const names = all.functions.map(({ name }: { name: string }) => name).sort();
  assert.deepEqual(
    some.functions.map(({ name }: { name: string }) => name),
    names.slice(0, 3),
  );
  assert.deepEqual(some.counts, all.counts);
  assert.equal(some.keys, undefined);
});

test('an order without a list, and one that does not exist, are refused', async (t) => {
  const path = program(t);
  const sorted = await runMain(t, main, ['dump', '--sort', 'name', path]);
  assert.deepEqual([sorted.status, sorted.text], [2, '']);
  assert.match(sorted.errors, /--sort is about --summary and --by/);
  for (const args of [
    ['--by', 'colour'],
    ['--by', 'key', '--sort', 'size'],
    ['--limit', '0'],
    ['--format', 'xml'],
  ])
    assert.equal((await runMain(t, main, ['dump', ...args, path])).status, 2, args.join(' '));
});

test('an archive leaves members without tables out, and has totals; each archive its own', async (t) => {
  const path = join(scratch(t), 'lib.a');
  const [branch, plain] = [annotated('gcc-O2', 'branch'), sampleBytes('gcc-O2', 'lock')];
  writeFileSync(
    path,
    archiveOf([
      ['a.o', plain],
      ['b.o', branch],
      ['c.o', branch],
      ['d.o', plain],
    ]),
  );
  const { text } = await runMain(t, main, ['dump', path, path]);
  assert.doesNotMatch(text, /\((a|d)\.o\)|no tables/);
  const entries = Number(/__jump_table: (\d+) entries/.exec(text)?.[1]);
  const totals = `lib.a: 4 members, 2 with tables\n  ${2 * entries} entries in __jump_table\n`;
  assert.equal(text.split(totals).length, 3, text);
  const { files } = JSON.parse((await runMain(t, main, ['dump', '--json', path])).text);
  assert.equal(files.length, 4, 'JSON has every member');
  const summary = await runMain(t, main, ['dump', '--summary', path]);
  assert.match(summary.text, /4 members of an archive, 2 with tables\n/);
});

test('a file that cannot be read does not stop the summaries of the others', async (t) => {
  const path = program(t);
  const { status, text, errors } = await runMain(t, main, ['dump', '--summary', `${path}.missing`, path]);
  assert.equal(status, 4);
  assert.match(errors, /\[read-failed\]/);
  assert.match(text, /^\S*program: ELF64 x86-64, executable\n/);
});
