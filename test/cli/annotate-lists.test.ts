// annotate in builds: response files, lists of files, dependency files.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { startSync } from '../starter.ts';
import { rowsOf, run, scratch, toolTest } from '../tools.ts';

process.env.TEXTPOKE_THREAD_COST = '1'; // -j starts its threads for a few files too

const root = fileURLToPath(new URL('../..', import.meta.url));
const sample = join(root, 'samples', 'objects', 'gcc-O2', 'call.o');

function annotate(directory: string, args: readonly string[], input = '') {
  const words = [builtProgram(), 'annotate', ...args];
  return startSync(process.execPath, words, { cwd: directory, input });
}

/** A directory with copies of an object by these names. */
function withObjects(t: TestContext, names: readonly string[]): string {
  const directory = scratch(t);
  for (const name of names) copyFileSync(sample, join(directory, name));
  return directory;
}

/** Names of the objects that --stats mentions. */
function annotated(said: { stdout: string; stderr: string; status: number | null }): string[] {
  assert.deepEqual([said.stderr, said.status], ['', 0]);
  return said.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace(/: \d+ static calls.*/, ''));
}

test('@FILE stands for the words that it holds', (t) => {
  const directory = withObjects(t, ['a.o', 'b c.o', 'd.o', '@e.o']);
  writeFileSync(join(directory, 'list'), 'a.o "b c.o"\n@more\n');
  writeFileSync(join(directory, 'more'), "'d.o'\n");
  assert.deepEqual(annotated(annotate(directory, ['--stats', '@list', '@e.o'])), [
    'a.o',
    'b c.o',
    'd.o',
    '@e.o',
  ]);
});

test('--files-from reads a name from each line, or names that end in NUL, also from standard input', (t) => {
  const names = ['a.o', 'b c.o', '"d".o', '@e.o', 'line\nbreak.o'];
  const directory = withObjects(t, names);
  const lines = `${names.slice(0, 4).join('\n')}\n`;
  writeFileSync(join(directory, 'list'), lines.replaceAll('\n', '\r\n'));
  assert.deepEqual(annotated(annotate(directory, ['--stats', '--files-from', 'list'])), names.slice(0, 4));
  assert.deepEqual(
    annotated(annotate(directory, ['--stats', '--files-from', '-'], lines)),
    names.slice(0, 4),
  );
  const ended = annotate(
    directory,
    ['--json', '--files-from', '-'],
    names.map((name) => `${name}\0`).join(''),
  );
  const found = JSON.parse(ended.stdout).files.map(({ file }: { file: string }) => file);
  assert.deepEqual(found, names);
});

test('an empty list is nothing to do, and no input at all is an error', (t) => {
  const directory = withObjects(t, []);
  writeFileSync(join(directory, 'list'), '');
  for (const args of [['@list'], ['--files-from', 'list'], ['--files-from', '-']]) {
    const said = annotate(directory, args);
    assert.deepEqual([said.stdout, said.stderr, said.status], ['', '', 0]);
  }
  assert.equal(annotate(directory, []).status, 2);
  const missing = annotate(directory, ['--files-from', 'missing']);
  assert.equal(missing.status, 4);
  assert.match(missing.stderr, /^textpoke: error: missing: cannot read: ENOENT.* \[read-failed\]\n$/);
});

test('-j takes long lists in turns, with the same result and in the same order', (t) => {
  const names = Array.from({ length: 40 }, (_, i) => `${i}.o`);
  const directory = withObjects(t, names);
  const list = names.map((name) => `${name}\n`).join('');
  assert.deepEqual(annotated(annotate(directory, ['-j', '3', '--stats', '--files-from', '-'], list)), names);
  const contents = names.map((name) => readFileSync(join(directory, name), 'base64'));
  assert.equal(new Set(contents).size, 1);
  assert.notEqual(contents[0], readFileSync(sample, 'base64'));
  assert.deepEqual(readdirSync(directory).length, names.length);
});

test('--depfile says what an output was made of, lists too', (t) => {
  const directory = withObjects(t, ['a.o']);
  mkdirSync(join(directory, 'out'));
  writeFileSync(join(directory, 'list'), 'a.o');
  const args = ['@list', '-o', 'out/a.o', '--depfile', 'out/a.d'];
  assert.deepEqual(annotated(annotate(directory, args)), []);
  assert.equal(readFileSync(join(directory, 'out', 'a.d'), 'utf8'), 'out/a.o: a.o list\n');
  for (const wrong of [
    ['a.o', '--depfile', 'x.d'],
    ['a.o', 'out/a.o', '-o', 'x.o'],
  ]) {
    assert.equal(annotate(directory, wrong).status, 2);
  }
  annotate(directory, ['a.o', '-o', 'b.o', '--depfile', 'b.d', '--dry-run']);
  assert.equal(existsSync(join(directory, 'b.d')), false);
});

toolTest('names in a dependency file are escaped as gcc escapes them', ['gcc'], (t) => {
  const names = ['a b.o', 'a$b.o', 'a#b.o', 'a\\ b.o', 'a\\b.o', 'a\tb.o', '$$ #.o', 'a\\\\#.o'];
  const directory = withObjects(t, names);
  writeFileSync(join(directory, 'x.c'), '');
  for (const name of rowsOf(names, 3)) {
    assert.equal(annotate(directory, [name, '-o', `${name}.new`, '--depfile', 'd']).status, 0);
    const escaped = (target: string) => run('gcc', ['-M', '-MQ', target, 'x.c'], directory).split(': x.c')[0];
    assert.equal(readFileSync(join(directory, 'd'), 'utf8'), `${escaped(`${name}.new`)}: ${escaped(name)}\n`);
  }
});
