// Whether dist/ is what the sources are now.
import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { requireFresh } from './built.ts';
import { scratch } from './tools.ts';

const sources = ['src/cli.ts', 'src/elf/read.ts', 'build.js', 'package.json'];

/** A checkout with a bundle from second 1000, and files from the seconds given. */
function checkout(t: TestContext, times: Readonly<Record<string, number>>): string {
  const root = scratch(t);
  const all = {
    'dist/textpoke.cjs': 1000,
    ...Object.fromEntries(sources.map((name) => [name, 900])),
    ...times,
  };
  for (const [name, time] of Object.entries(all)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), '');
    utimesSync(join(root, name), time, time);
  }
  return root;
}

test('a bundle that is newer than all sources is good, whatever else is there', (t) => {
  requireFresh(checkout(t, { 'README.md': 1100, 'src/note.txt': 1100 }));
});

for (const name of sources) {
  test(`a bundle that is older than ${name} is refused, with the command that mends it`, (t) => {
    const root = checkout(t, { [name]: 1001 });
    assert.throws(
      () => requireFresh(root),
      new Error(`dist/ is older than ${name}; build it anew with: npm run build`),
    );
  });
}

test('of several newer files one is named, and the others counted', (t) => {
  const root = checkout(t, { 'src/cli.ts': 1001, 'build.js': 1001, 'package.json': 1001 });
  assert.throws(() => requireFresh(root), /^Error: dist\/ is older than src\/cli\.ts and 2 more; /);
});

test('a checkout that was never built is refused likewise', (t) => {
  assert.throws(() => requireFresh(scratch(t)), /^Error: dist\/ is missing; build it with: npm run build$/);
});
