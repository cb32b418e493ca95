// --cross-check: the machines that are checked are those of the files.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { makeCrossCheck } from '../../src/commands/cross-check.ts';
import { TextpokeError } from '../../src/errors.ts';
import { archiveOf } from '../elf/archives.ts';
import { annotated, objectCode } from '../samples.ts';
import { scratch } from '../tools.ts';

const x86 = annotated('gcc-O2', 'call');
const thumb = annotated('thumb-gcc-O2', 'call');

const notChecked = (error: unknown) =>
  error instanceof TextpokeError && error.code === 'defect' && /was not cross-checked/.test(error.message);

function written(t: TestContext, files: Readonly<Record<string, Uint8Array>>): string[] {
  const directory = scratch(t);
  return Object.entries(files).map(([name, bytes]) => {
    const path = join(directory, name);
    writeFileSync(path, bytes);
    return path;
  });
}

test('objects of the machines at hand are checked, others are a defect', async (t) => {
  const check = await makeCrossCheck(written(t, { 'x86.o': x86 }));
  check(objectCode(x86));
  assert.throws(() => check(objectCode(thumb)), notChecked);
});

test('every member of an archive has its say, whatever stands beside it', async (t) => {
  const library = archiveOf(
    Object.entries({
      'broken.o': x86.slice(0, 100),
      'note.txt': Buffer.from('text'),
      'thumb.o': thumb.slice(0, thumb.length - (thumb.length % 2)),
      'x86.o': x86.slice(0, x86.length - (x86.length % 2)),
    }),
  );
  const check = await makeCrossCheck(written(t, { 'all.a': library }));
  check(objectCode(x86));
  check(objectCode(thumb));
});

test('files that annotate refuses ask for no machine', async (t) => {
  const files = written(t, { 'broken.o': x86.slice(0, 100), 'text.o': Buffer.from('text') });
  const check = await makeCrossCheck([...files, join(scratch(t), 'missing.o')]);
  assert.throws(() => check(objectCode(x86)), notChecked);
});
