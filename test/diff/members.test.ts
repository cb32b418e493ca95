// Members of archives are told apart by their names, whatever these are.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { main } from '../../src/main.ts';
import { archiveOf } from '../elf/archives.ts';
import { runMain } from '../in-process.ts';
import { annotated } from '../samples.ts';

const call = annotated('gcc-O2', 'call');
const branch = annotated('gcc-O2', 'branch');

for (const [gone, left] of [
  ['a.o', 'b.o'],
  ['a(b).o', 'c(d).o'],
  ['a(b)(c.o', 'c.o'],
  ['x).o', '(x.o'],
] as const) {
  test(`a member ${gone} that is gone from beside ${left} is a loss`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const [old, now] = [join(directory, 'old.a'), join(directory, 'new.a')];
    writeFileSync(
      old,
      archiveOf([
        [gone, call],
        [left, branch],
      ]),
    );
    writeFileSync(now, archiveOf([[left, branch]]));
    const { status, text } = await runMain(t, main, ['diff', old, now, '--format', 'json']);
    assert.equal(status, 1, text);
    const { removed, files } = JSON.parse(text);
    assert.equal(removed, 9);
    assert.deepEqual(
      files.map(({ member }: { member: string }) => member),
      [gone, left],
    );
  });
}
