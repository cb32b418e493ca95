// textpoke runtime: words that a compiler takes.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { runBuilt } from '../e2e/warm.ts';

test('textpoke runtime says where the headers and the source are, in the order of a compiler', () => {
  const said = (...options: string[]) => runBuilt(['runtime', ...options]).stdout;
  const [include, source, ...libs] = said().trimEnd().split(' ') as [string, string, string];
  assert.ok(existsSync(`${include.replace(/^-I/, '')}/textpoke/runtime.h`), include);
  assert.ok(existsSync(source), source);
  assert.deepEqual(libs, ['-pthread']);
  assert.equal(said('--cflags'), `${include}\n`);
  assert.equal(said('--source'), `${source}\n`);
  assert.equal(said('--libs', '--cflags'), `${include} -pthread\n`);
});
