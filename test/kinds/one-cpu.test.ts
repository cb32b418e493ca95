// The ARM kernel's sites for one CPU, .alt.smp.init.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import { readElf } from '../../src/elf/read.ts';
import type { Image } from '../../src/image/image.ts';
import type { OneCpuSite } from '../../src/kinds/one-cpu/demand.ts';
import { oneCpu } from '../../src/kinds/one-cpu/kind.ts';
import { readOneCpuSites } from '../../src/kinds/one-cpu/table.ts';
import { linkObjects } from '../../src/link/link.ts';
import { checkImage as verifyImage } from '../../src/verify/passes.ts';
import { imageOf, sampleBytes } from '../samples.ts';
import { scratch, toolTest, tryRun } from '../tools.ts';

const findings = (image: Image, cpus: number | undefined) =>
  verifyImage(image, { state: 'booted', cpus, locks: undefined, original: undefined }).findings;

const alternatives = [
  ['arm-gcc-O2', 'alt-smp'],
  ['arm-clang-O2', 'alt-smp-absolute'],
  ['thumb-gcc-O2', 'alt-smp'],
  ['thumb-clang-O2', 'alt-smp-absolute'],
  ['armeb-gcc-O2', 'alt-smp'],
  ['thumbeb-gcc-O2', 'alt-smp'],
] as const;

for (const [set, name] of alternatives) {
  const linked = () => imageOf(linkObjects([readElf(name, sampleBytes(set, name))]).bytes);

  test(`${set}, ${name}: one CPU gets the kernel's replacements, and verify wants them`, () => {
    const image = linked();
    assert.equal(findings(image, 1).length, 4);
    const runtime = boot(image, { cpus: 1, upFill: 'ds', steps: [] });
    assert.equal(runtime.program.sites.of(oneCpu).length, 4);
    for (const { address, replacement } of runtime.program.sites.of(oneCpu))
      assert.deepEqual(image.read(address, 4), replacement);
    assert.deepEqual(findings(image, 1), []);
    const again = boot(image, { cpus: 2, upFill: 'ds', steps: [] });
    assert.match(again.log.notes.join(), /4 of 4 sites .* does not contain the original bytes/);
    assert.equal(again.poker.records.length, 0);
  });

  toolTest(`${set}, ${name}: the running program is the one for one CPU`, ['qemu-arm', 'qemu-armeb'], (t) => {
    const directory = scratch(t);
    const file = join(directory, 'program');
    const qemu = set.includes('eb-') ? 'qemu-armeb' : 'qemu-arm';
    for (const cpus of [2, 1]) {
      const image = linked();
      boot(image, { cpus, upFill: 'ds', steps: [] });
      writeFileSync(file, image.file.source.read(0, image.file.source.size), { mode: 0o755 });
      assert.equal(tryRun(qemu, [file], directory).status, cpus === 1 ? 1 : 4);
    }
  });
}

test('words of data have replacements too, but the middle of an instruction has none', () => {
  const linked = () => imageOf(linkObjects([readElf('a.o', sampleBytes('arm-gcc-O2', 'alt-smp'))]).bytes);
  const image = linked();
  const inData = readOneCpuSites(image).filter(({ address }) => image.isData(address, 4));
  assert.deepEqual(
    inData.map(({ address }) => image.describe(address)),
    ['alt_on_up', 'alt_cpus+0x24'],
  );
  const { entry } = readOneCpuSites(image)[0] as OneCpuSite;
  const field = new DataView(image.read(entry.address, 4).slice().buffer).getInt32(0, true);
  const moved = new Uint8Array(4);
  new DataView(moved.buffer).setInt32(0, field + 2, true);
  image.read(entry.address, 4).set(moved);
  assert.throws(
    () => boot(image, { cpus: 1, upFill: 'ds', steps: [] }),
    /alt_barrier\+0x2 of an entry is neither an instruction nor data/,
  );
  assert.deepEqual(
    findings(image, 2).map((f) => f.rule),
    ['TP002'],
  );
});
