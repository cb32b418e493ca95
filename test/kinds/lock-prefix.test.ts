import assert from 'node:assert/strict';
import test from 'node:test';
import { fitPart } from '../../src/boot/cpus.ts';
import { Runtime } from '../../src/boot/runtime.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { profileNamed } from '../../src/demand/profiles.ts';
import { MismatchError, TextpokeError } from '../../src/errors.ts';
import { lockPrefix } from '../../src/kinds/lock-prefix/kind.ts';
import { programOf } from '../../src/kinds/registry.ts';
import { imageOf, linkedBytes } from '../samples.ts';

const lockImage = linkedBytes('gcc-O2', ['lock']);
const handImage = linkedBytes('gcc-O2', ['hand']);

function bytesAtLocks(runtime: Runtime): string[] {
  return runtime.program.sites.of(lockPrefix).map(({ address }) => hexBytes(runtime.image.read(address, 1)));
}

test('one CPU turns every listed lock into a DS prefix, two bring them back', () => {
  const runtime = new Runtime(programOf(imageOf(lockImage)));
  assert.equal(runtime.program.sites.of(lockPrefix).length, 6);
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
  fitPart(runtime, runtime.program, 1, 'ds');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['3e']));
  fitPart(runtime, runtime.program, 2, 'ds');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
});

test('a NOP may stand for a lock that comes first', () => {
  const runtime = new Runtime(programOf(imageOf(linkedBytes('demo', ['main', 'work']))));
  fitPart(runtime, runtime.program, 1, 'nop');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['90']));
});

test('a NOP is refused where the lock follows another prefix, because 66 90 0f b1 is another instruction', () => {
  const runtime = new Runtime(programOf(imageOf(handImage)));
  assert.throws(
    () => fitPart(runtime, runtime.program, 1, 'nop'),
    (e) => e instanceof TextpokeError && e.code === 'site-unpatchable',
  );
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
});

test('a listed byte that is no lock is refused, and nothing is written', () => {
  const runtime = new Runtime(programOf(imageOf(lockImage)));
  runtime.image.read(runtime.program.sites.of(lockPrefix)[3]!.address, 1)[0] = 0x66;
  assert.throws(() => fitPart(runtime, runtime.program, 1, 'ds'), MismatchError);
  assert.equal(bytesAtLocks(runtime).filter((b) => b === 'f0').length, 5);
});

test('a zero entry, as kernels pad their table with, is no lock', () => {
  const image = imageOf(lockImage);
  const { entry } = new Runtime(programOf(image)).program.sites.of(lockPrefix)[2]!;
  image.read(entry.address, 4).fill(0);
  const runtime = new Runtime(programOf(image));
  assert.equal(runtime.program.sites.of(lockPrefix).length, 5);
  fitPart(runtime, runtime.program, 1, 'ds');
  assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['3e']));
});

test('the lock beside a segment override becomes that override, but DS with the profile of a kernel', () => {
  const rows = [
    ['textpoke', '64'],
    ['6.6', '3e'],
  ] as const;
  for (const [profile, byte] of rows) {
    const runtime = new Runtime(programOf(imageOf(handImage), { profile: profileNamed(profile) }));
    const { image } = runtime;
    const beside = runtime.program.sites
      .of(lockPrefix)
      .filter(({ address }) => image.read(address - 1, 1)[0] === 0x64)
      .map(({ address }) => address);
    assert.equal(beside.length, 1);
    fitPart(runtime, runtime.program, 1, 'ds');
    assert.deepEqual(
      beside.map((address) => hexBytes(image.read(address, 1))),
      [byte],
    );
    fitPart(runtime, runtime.program, 2, 'ds');
    assert.deepEqual(new Set(bytesAtLocks(runtime)), new Set(['f0']));
  }
});
