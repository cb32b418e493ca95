// boot --raw: keys of a kernel get what start-up stores in them besides counts and functions.
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot } from '../../src/boot/passes.ts';
import { splitKey } from '../../src/bytes/table.ts';
import { TextpokeError } from '../../src/errors.ts';
import { readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { readCallSites } from '../../src/kinds/static-call/table.ts';
import { boot } from '../../src/library/boot.ts';
import { verify } from '../../src/library/verify.ts';
import { kernelBytes, programWithId } from '../memory/dumps.ts';
import { imageOf } from '../samples.ts';

for (const set of ['gcc-O2', 'aarch64-gcc-O2', 'arm-gcc-O2']) {
  test(`${set}: each key leads to its first entry, and static keys keep what they were built as`, () => {
    const image = imageOf(kernelBytes(set));
    const before = imageOf(kernelBytes(set));
    replayBoot(image, { cpus: 2, raw: true });
    const { wordSize } = image.arch;
    for (const [sites, isCall] of [
      [readBranchSites(image), false],
      [readCallSites(image), true],
    ] as const) {
      const first = new Map<number, number>();
      for (const { key, entry } of sites) if (!first.has(key)) first.set(key, entry.address);
      assert.ok(first.size >= 3, `${first.size} keys`);
      for (const [key, entry] of first) {
        const { flags } = splitKey(before.readWord(key + wordSize));
        assert.equal(image.readWord(key + wordSize), entry + (isCall ? 1 : flags), image.describe(key));
      }
    }
  });
}

test('without --raw the words stay as they were linked', () => {
  const image = imageOf(kernelBytes('gcc-O2'));
  const words = (of: typeof image) => readBranchSites(of).map(({ key }) => of.readWord(key + 8));
  const before = new Set(words(image));
  replayBoot(image, { cpus: 2 });
  assert.deepEqual(new Set(words(image)), before);
});

test('verify --original accepts the pointers, and finds one that leads elsewhere', async () => {
  const bytes = kernelBytes('gcc-O2');
  const original = { name: 'kernel', bytes };
  const booted = await boot(original, { cpus: 2, raw: true });
  const good = await verify({ name: 'booted', bytes: booted.bytes }, { original, cpus: 2, locks: 'listed' });
  assert.deepEqual(good.document.findings, []);
  const changed = booted.bytes.slice();
  const image = imageOf(changed);
  const { key } = readBranchSites(image)[0] as { key: number };
  const at = (image.fileOffset(key, 16) as number) + 8;
  changed[at] = (changed[at] as number) ^ 0x10;
  const bad = await verify({ name: 'changed', bytes: changed }, { original, cpus: 2, locks: 'listed' });
  assert.deepEqual(
    bad.document.findings.map(({ rule }) => rule),
    ['TP013'],
  );
});

test('a program that a loader moves is refused: its pointers have no relocations', () => {
  assert.throws(
    () => replayBoot(imageOf(programWithId('00')), { raw: true }),
    (error) =>
      error instanceof TextpokeError && error.code === 'store-refused' && /--raw/.test(error.message),
  );
});
