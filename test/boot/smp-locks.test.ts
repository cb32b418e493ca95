import assert from 'node:assert/strict';
import test from 'node:test';
import { Runtime } from '../../src/boot/runtime.ts';
import { setLocks } from '../../src/boot/smp-locks.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { MismatchError, TextpokeError } from '../../src/errors.ts';
import { imageOf, linkedBytes } from '../samples.ts';

const lockImage = linkedBytes('gcc-O2', ['lock']);
const handImage = linkedBytes('gcc-O2', ['hand']);

function bytesAtLocks(runtime: Runtime): string[] {
  return runtime.locks.map(({ address }) => hexBytes(runtime.image.read(address, 1)));
}

test('one CPU turns every listed lock into a DS prefix, two bring them back', () => {
  const runtime = new Runtime(imageOf(lockImage));
  assert.equal(runtime.locks.length, 6);
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
  setLocks(runtime, 1, 'ds');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['3e']));
  setLocks(runtime, 2, 'ds');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
});

test('a NOP may stand for a lock that comes first', () => {
  const runtime = new Runtime(imageOf(linkedBytes('demo', ['main', 'work'])));
  setLocks(runtime, 1, 'nop');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['90']));
});

test('a NOP is refused where the lock follows another prefix, because 66 90 0f b1 is another instruction', () => {
  const runtime = new Runtime(imageOf(handImage));
  assert.throws(
    () => setLocks(runtime, 1, 'nop'),
    (e) => e instanceof TextpokeError && e.code === 'site-unpatchable',
  );
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
});

test('a listed byte that is no lock is refused, and nothing is written', () => {
  const runtime = new Runtime(imageOf(lockImage));
  runtime.image.read(runtime.locks[3]!.address, 1)[0] = 0x66;
  assert.throws(() => setLocks(runtime, 1, 'ds'), MismatchError);
  assert.equal(bytesAtLocks(runtime).filter((b) => b === 'f0').length, 5);
});

test('a zero entry, as kernels pad their table with, is no lock', () => {
  const image = imageOf(lockImage);
  const { entry } = new Runtime(image).locks[2]!;
  image.read(entry.address, 4).fill(0);
  const runtime = new Runtime(image);
  assert.equal(runtime.locks.length, 5);
  setLocks(runtime, 1, 'ds');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['3e']));
});
