// The committed sample objects are what the sources give: remade by the same compilers, they have the same bytes. To make
// 600 objects takes minutes, so remake.sh leaves a sum of what went in and what came out, and they are made anew only
// where one of these files is another than then.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { hasTool, isAll, isUnit, leftForAll, leftOut, run, scratch } from '../tools.ts';
import { everyCompiler, root } from './compilers.ts';

const objects = join(root, 'samples', 'objects');
const versions = readFileSync(join(objects, 'VERSIONS'), 'utf8');

function sameCompilers(): boolean {
  const cross = (tools: readonly string[]) =>
    ['aarch64-linux-gnu', 'arm-linux-gnueabihf'].flatMap((triple) =>
      tools.map((tool) => `${triple}-${tool}`),
    );
  if (![...everyCompiler, 'as', 'bash', ...cross(['gcc', 'g++', 'as'])].every(hasTool)) return false;
  const asked = ['gcc', 'clang', 'as', ...cross(['gcc', 'as'])];
  const here = asked.map((tool) => run(tool, ['--version']).split('\n')[0]);
  return `${here.join('\n')}\n` === versions;
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();
}

/** What remake.sh writes to samples/MADE. */
function sumOfAll(): string {
  const below = (directory: string) => files(join(root, directory)).map((name) => `${directory}/${name}`);
  const paths = [
    ...[...below('include'), ...below('samples/src'), ...below('samples/objects'), 'samples/remake.sh'],
    ...below('samples/demo').filter((name) => /\.[cho]$/.test(name)),
  ];
  const sum = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex');
  const lines = paths.map((path) => Buffer.from(path)).sort(Buffer.compare);
  return sum(lines.map((path) => `${sum(readFileSync(join(root, `${path}`)))}  ${path}\n`).join(''));
}

const isMade = readFileSync(join(root, 'samples', 'MADE'), 'utf8') === `${sumOfAll()}\n`;
const left =
  isMade || ((isAll || isUnit) && sameCompilers())
    ? {}
    : { skip: isAll || isUnit ? `${leftOut}the compilers of samples/objects/VERSIONS` : leftForAll };

test('the committed sample objects are what their sources give', left, (t) => {
  if (isMade) return;
  const remade = scratch(t);
  run('bash', [join(root, 'samples', 'remake.sh'), remade]);
  const demo = ['.', 'aarch64', 'arm'].flatMap((d) => [join(d, 'main.o'), join(d, 'work.o')]);
  assert.deepEqual(files(remade), [...files(objects), ...demo.map((name) => join('demo', name))].sort());
  for (const name of files(objects)) {
    assert.ok(
      readFileSync(join(remade, name)).equals(readFileSync(join(objects, name))),
      `${name}: run npm run samples`,
    );
  }
  for (const name of demo) {
    const committed = readFileSync(join(root, 'samples', 'demo', name));
    assert.ok(readFileSync(join(remade, 'demo', name)).equals(committed), `${name}: run npm run samples`);
  }
});
