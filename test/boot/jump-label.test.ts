import assert from 'node:assert/strict';
import test from 'node:test';
import { jumpLabelInit } from '../../src/boot/jump-label.ts';
import { Runtime } from '../../src/boot/runtime.ts';
import { disableKey, enableKey } from '../../src/boot/static-key.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { readKey } from '../../src/demand/keys.ts';
import { readElf } from '../../src/elf/read.ts';
import { MismatchError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { resolveStaticKey } from '../../src/image/names.ts';
import { programOf } from '../../src/kinds/registry.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { linkObjects } from '../../src/link/link.ts';
import { imageOf, linkedBytes, programUnits, sampleBytes } from '../samples.ts';

const branchImage = linkedBytes('gcc-O2', programUnits);

/** The kernel's own entries, jumps with bit 1 still in place. */
const kernelEntries = linkObjects([
  readElf('kernel-entries.o', sampleBytes('gcc-O2', 'kernel-entries')),
]).bytes;

function booted(bytes = branchImage): Runtime {
  const runtime = new Runtime(programOf(imageOf(bytes)));
  jumpLabelInit(runtime);
  return runtime;
}

/** All of the image's bytes, as hexadecimal text. */
function contents(image: Image): string {
  return hexBytes(image.file.source.read(0, image.file.source.size));
}

test('jump_label_init leaves the text of a fresh image alone, because the compiler emitted what the keys say', () => {
  const runtime = booted();
  assert.deepEqual(
    runtime.poker.records.filter((r) => r.what === 'text'),
    [],
  );
});

test('jump_label_init sorts entries by key, then by code address', () => {
  const sites = readBranchSites(booted().image);
  assert.ok(sites.length > 10, `${sites.length} sites`);
  for (let i = 1; i < sites.length; i++) {
    const [a, b] = [sites[i - 1]!, sites[i]!];
    assert.ok(a.key < b.key || (a.key === b.key && a.address <= b.address), `entries ${i - 1} and ${i}`);
  }
});

test('sorting keeps every site with its target, key and likelihood', () => {
  const before = readBranchSites(imageOf(branchImage));
  const after = readBranchSites(booted().image);
  const text = (s: (typeof before)[number]) => `${s.address} ${s.target} ${s.key} ${s.branch}`;
  assert.deepEqual(after.map(text).sort(), before.map(text).sort());
});

test('booting twice changes nothing more', () => {
  const once = booted();
  const again = booted(once.image.file.source.read(0, once.image.file.source.size));
  assert.deepEqual(again.poker.records, []);
});

test('enabling a key turns unlikely NOPs into jumps and stores the count', () => {
  const runtime = booted();
  const { image, poker } = runtime;
  const key = resolveStaticKey(image, 'off_key');
  assert.equal(readKey(image, key).enabled, 0);
  const from = poker.records.length;
  enableKey(runtime, key);
  assert.deepEqual(readKey(image, key), { enabled: 1, initial: false });
  const writes = poker.records.slice(from).filter((r) => r.what === 'text');
  const sites = runtime.program.sites.of(staticBranch).filter((s) => s.key === key);
  assert.equal(writes.length, sites.length);
  for (const { after, before, address } of writes) {
    const site = sites.find((s) => s.address === address);
    const [nop, jump] = site?.branch ? [after, before] : [before, after];
    assert.equal(hexBytes(nop), '0f1f440000');
    assert.equal(hexBytes(jump.subarray(0, 1)), 'e9');
  }
});

test('an enabled key that is disabled again leaves the image as it was', () => {
  const runtime = booted();
  const before = contents(runtime.image);
  const key = resolveStaticKey(runtime.image, 'on_keys[1]');
  disableKey(runtime, key);
  assert.notEqual(contents(runtime.image), before);
  enableKey(runtime, key);
  assert.equal(contents(runtime.image), before);
});

test('enabling twice equals enabling once', () => {
  const [once, twice] = [booted(), booted()];
  for (const runtime of [once, twice, twice]) {
    enableKey(runtime, resolveStaticKey(runtime.image, 'off_key'));
  }
  assert.equal(contents(twice.image), contents(once.image));
  assert.match(twice.log.notes.join(), /off_key is already enabled/);
});

test('a live write goes breakpoint, tail, head', () => {
  const runtime = booted();
  const { poker } = runtime;
  poker.live = true;
  const from = poker.records.length;
  const key = resolveStaticKey(runtime.image, 'off_keys[2]');
  enableKey(runtime, key);
  const steps = poker.records.slice(from).filter((r) => r.what === 'text');
  assert.deepEqual(
    steps.map((r) => [r.address - steps[0]!.address, r.after.length, r.after[0] === 0xcc]),
    [
      [0, 1, true],
      [1, 4, false],
      [0, 1, false],
    ],
  );
  assert.equal(hexBytes(steps[2]!.after), 'e9');
});

test('a key with a count that is neither 0 nor 1 is left alone, as the kernel only warns', () => {
  const runtime = booted();
  const { image } = runtime;
  const key = resolveStaticKey(image, 'off_key');
  image.read(key, 4).set([2, 0, 0, 0]);
  const before = contents(image);
  enableKey(runtime, key);
  assert.equal(contents(image), before);
  assert.deepEqual(
    runtime.log.warnings.map((w) => `${w.about}: ${w.warning}`),
    ['off_key has count 2: static_key_enable_cpuslocked: WARN_ON_ONCE(atomic_read(&key->enabled) != 1)'],
  );
});

test('a site that holds something else is refused with both byte strings, and nothing is written', () => {
  const image = imageOf(branchImage);
  const site = readBranchSites(image)[0]!;
  image.read(site.address, 5).set([0x0f, 0x1f, 0x44, 0x00, 0x01]); // another NOP
  const before = contents(image);
  assert.throws(
    () => jumpLabelInit(new Runtime(programOf(image))),
    (error) =>
      error instanceof MismatchError &&
      error.mismatches.some((m) => m.address === site.address && hexBytes(m.found).startsWith('0f1f440001')),
  );
  assert.equal(contents(image), before);
});

test('a jump to another place than the entry says is refused', () => {
  const image = imageOf(branchImage);
  const site = readBranchSites(image).find((s) => image.read(s.address, 1)[0] === 0xe9)!;
  image.read(site.address + 1, 1)[0]! ^= 1;
  assert.throws(() => jumpLabelInit(new Runtime(programOf(image))), MismatchError);
});

test('a jump that the build step did not rewrite (bit 1) becomes a NOP at boot', () => {
  const runtime = booted(kernelEntries);
  const kinds = readBranchSites(runtime.image).map((s) => hexBytes(runtime.image.read(s.address, 1)));
  assert.ok(
    runtime.poker.records.some((r) => r.what === 'text' && /NOP/.test(r.reason)),
    'a jump became a NOP',
  );
  assert.notEqual(kinds.length, 0);
});

test('sites in .init.text get the init bit, and it is all that bit 1 means from then on', () => {
  const sites = readBranchSites(booted(kernelEntries).image);
  const image = imageOf(kernelEntries);
  assert.ok(
    sites.some((s) => s.bit1),
    'a site has the init bit',
  );
  for (const site of sites) assert.equal(site.bit1, image.sectionAt(site.address)?.name === '.init.text');
});
