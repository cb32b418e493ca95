// Big-endian programs: objects, BE8 and BE32 images and AArch64's, through annotate, link, boot, verify, and run by
// qemu. There is no big-endian C library here, so it is the freestanding demo that runs.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { linkObjects } from '../../src/link/link.ts';
import { linkerScript } from '../../src/output/ldscript.ts';
import { checkImage as verifyImage } from '../../src/verify/passes.ts';
import { annotated, imageOf } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';

const units = ['demo-main', 'demo-work'];
const there: BootStep[] = [
  { do: 'enable', key: 'tracing' },
  { do: 'update', call: 'greet', value: 'greet_loud' },
];
const back: BootStep[] = [
  { do: 'disable', key: 'tracing' },
  { do: 'update', call: 'greet', value: 'greet_plain' },
];
const quiet = 'call: hello\ncounter: 3\nbranch: off\n';
const loud = `call: HELLO!\n${'trace: counting\n'.repeat(3)}counter: 3\nbranch: on\n`;

const bytesOf = (image: Image) => image.file.source.read(0, image.file.source.size);

/** Boots an image there and back, and verifies each stage against what the linker made. */
function thereAndBack(linked: Uint8Array, runs: (bytes: Uint8Array) => string): void {
  const original = imageOf(linked);
  const image = imageOf(linked);
  const step = (steps: readonly BootStep[]) => {
    boot(image, { cpus: undefined, upFill: 'ds', steps });
    const options = { state: 'booted', cpus: undefined, locks: undefined, original } as const;
    assert.deepEqual(verifyImage(image, options).findings, []);
    return bytesOf(image).slice();
  };
  const first = step([]);
  assert.equal(runs(first), quiet);
  assert.equal(runs(step(there)), loud);
  assert.deepEqual(step(back), first);
}

const machines = [
  {
    set: 'armeb-gcc-O2',
    name: 'ARM BE8',
    ld: 'arm-linux-gnueabihf-ld',
    flags: ['-EB', '--be8'],
    qemu: 'qemu-armeb',
  },
  { set: 'armeb-gcc-O2', name: 'ARM BE32', ld: 'arm-linux-gnueabihf-ld', flags: ['-EB'], qemu: 'qemu-armeb' },
  {
    set: 'thumbeb-gcc-O2',
    name: 'Thumb BE8',
    ld: 'arm-linux-gnueabihf-ld',
    flags: ['-EB', '--be8'],
    qemu: 'qemu-armeb',
  },
  {
    set: 'thumbeb-gcc-O2',
    name: 'Thumb BE32',
    ld: 'arm-linux-gnueabihf-ld',
    flags: ['-EB'],
    qemu: 'qemu-armeb',
  },
  {
    set: 'aarch64_be-gcc-O2',
    name: 'AArch64',
    ld: 'aarch64-linux-gnu-ld',
    flags: ['-EB'],
    qemu: 'qemu-aarch64_be',
  },
  {
    set: 'aarch64_be-gcc-O2',
    name: 'AArch64, PIE',
    ld: 'aarch64-linux-gnu-ld',
    flags: ['-EB', '-pie', '--no-dynamic-linker'],
    qemu: 'qemu-aarch64_be',
  },
];

for (const { set, name, ld, flags, qemu } of machines) {
  toolTest(
    `${name}: GNU ld's image boots, changes, runs, and goes back to the same bytes`,
    [ld, qemu],
    (t) => {
      const directory = scratch(t);
      for (const unit of units) writeFileSync(join(directory, `${unit}.o`), annotated(set, unit));
      const arch = new Image(
        readElf('image', linkObjects(units.map((u) => readElf(u, annotated(set, u)))).bytes),
      ).arch;
      writeFileSync(join(directory, 'tables.ld'), linkerScript(arch, true));
      run(ld, [...flags, ...units.map((unit) => `${unit}.o`), '-T', 'tables.ld', '-o', 'linked'], directory);
      const linked = new Uint8Array(readFileSync(join(directory, 'linked')));
      thereAndBack(linked, (bytes) => {
        const file = join(directory, 'program');
        writeFileSync(file, bytes, { mode: 0o755 });
        return run(qemu, [file], directory);
      });
    },
  );
}

for (const set of ['armeb-gcc-O2', 'thumbeb-gcc-O2', 'aarch64_be-gcc-O2']) {
  test(`${set}: every unit is annotated, links in memory, boots, and verifies`, () => {
    const names = ['branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use'];
    const { bytes } = linkObjects(names.map((name) => readElf(name, annotated(set, name))));
    const image = imageOf(bytes);
    const { sites } = boot(image, { cpus: undefined, upFill: 'ds', steps: [] }).program;
    assert.ok(sites.of(staticBranch).length > 20, `${sites.of(staticBranch).length} branches`);
    assert.ok(sites.of(staticCall).length > 10, `${sites.of(staticCall).length} calls`);
    const options = { state: 'booted', cpus: undefined, locks: undefined, original: imageOf(bytes) } as const;
    assert.deepEqual(verifyImage(image, options).findings, []);
  });
}
