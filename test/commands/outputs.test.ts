// An output that is an input by another name: refused, or done in place where that is meant.
import assert from 'node:assert/strict';
import { copyFileSync, linkSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { main } from '../../src/main.ts';
import { runMain } from '../in-process.ts';
import { samplePath } from '../samples.ts';
import { scratch } from '../tools.ts';

const textpoke = (t: TestContext, ...args: string[]) => runMain(t, main, args);

/** A directory with an annotated object and an image of it, and what leads to the image. */
async function fixture(t: TestContext) {
  const directory = scratch(t);
  const at = (name: string) => join(directory, name);
  copyFileSync(samplePath('gcc-O2', 'lock'), at('x.o'));
  assert.equal((await textpoke(t, 'annotate', at('x.o'))).status, 0);
  assert.equal((await textpoke(t, 'boot', at('x.o'), '-o', at('image'))).status, 0);
  linkSync(at('image'), at('hard'));
  symlinkSync('image', at('soft'));
  symlinkSync(directory, at('here'));
  return { directory, at };
}

const contents = (directory: string) =>
  readdirSync(directory)
    .filter((name) => name !== 'here')
    .map((name) => [name, readFileSync(join(directory, name)).toString('base64')]);

test('boot refuses an output that is one of its inputs, by whatever name', async (t) => {
  const { directory, at } = await fixture(t);
  const scenario = at('scenario.json');
  writeFileSync(scenario, JSON.stringify({ schema: 'textpoke.scenario/1', steps: [] }));
  const before = contents(directory);
  for (const [input, output] of [
    ['image', 'image'],
    ['image', 'hard'],
    ['image', 'soft'],
    ['soft', 'image'],
    ['image', 'here/image'],
    ['x.o', 'x.o'],
    ['image', 'scenario.json'],
  ] as const) {
    const ran = await textpoke(t, 'boot', at(input), '--scenario', scenario, '--cpus', '1', '-o', at(output));
    assert.deepEqual([ran.status, ran.text], [2, ''], `${input} ${output}`);
    assert.match(ran.errors, /^textpoke: error: -o names .*: an input, which would be lost; .* \[usage\]\n$/);
  }
  const module = await textpoke(t, 'boot', at('image'), '--module', at('x.o'), '-o', at('x.o'));
  assert.equal(module.status, 2);
  assert.deepEqual(contents(directory), before);
});

test('annotate refuses to write a list, a dependency file or a backup over what it reads', async (t) => {
  const { directory, at } = await fixture(t);
  writeFileSync(at('list'), `${at('x.o')}\n`);
  copyFileSync(at('x.o'), at('x.o.orig'));
  const before = contents(directory);
  for (const args of [
    ['--files-from', at('list'), '-o', at('list')],
    [`@${at('list')}`, '-o', at('list')],
    [at('x.o'), '-o', at('y.o'), '--depfile', at('x.o')],
    [at('x.o'), '-o', at('y.o'), '--depfile', at('y.o')],
    [at('x.o'), at('x.o.orig'), '--backup'],
  ]) {
    const ran = await textpoke(t, 'annotate', ...args);
    assert.deepEqual([ran.status, ran.text], [2, ''], args.join(' '));
    assert.match(ran.errors, /an input, which would be lost; .* \[usage\]\n$/);
  }
  assert.deepEqual(contents(directory), before);
});

test('a dependency file takes no name in which a line ends', async (t) => {
  const { directory, at } = await fixture(t);
  const before = contents(directory);
  const args = [at('x.o'), '-o', at('y\nall: x.o'), '--depfile', at('y.d')];
  const ran = await textpoke(t, 'annotate', ...args);
  assert.equal(ran.status, 2);
  assert.match(
    ran.errors,
    /--depfile cannot name .*y\\x0aall: x\.o: a line ends in the name; .* \[usage\]\n$/,
  );
  assert.deepEqual(contents(directory), before);
});

test('annotate to the object itself by another name is annotate in place, with its backup', async (t) => {
  const { at } = await fixture(t);
  const plain = readFileSync(samplePath('gcc-O2', 'lock'));
  writeFileSync(at('plain.o'), plain);
  symlinkSync('plain.o', at('link.o'));
  const ran = await textpoke(t, 'annotate', at('plain.o'), '-o', at('link.o'), '--backup');
  assert.deepEqual([ran.status, ran.errors], [0, '']);
  assert.deepEqual(readFileSync(at('plain.o.orig')), plain);
  assert.deepEqual(readFileSync(at('link.o')), readFileSync(at('x.o')));
});
