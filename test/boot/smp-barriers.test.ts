// Barriers between CPUs on ARM: textpoke's own table there and back, and the kernel's .alt.smp.init.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Runtime } from '../../src/boot/runtime.ts';
import { setBarriers } from '../../src/boot/smp-barriers.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { readElf } from '../../src/elf/read.ts';
import { MismatchError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { type AlternativeSite, readAlternatives } from '../../src/image/sites.ts';
import { linkObjects } from '../../src/link/link.ts';
import { annotate, boot } from '../../src/pipeline.ts';
import { verifyImage } from '../../src/verify/verify.ts';
import { annotated, everything, imageOf, sampleBytes } from '../samples.ts';
import { run, scratch, toolTest, tryRun } from '../tools.ts';

const withBarriers = (set: string, names: readonly string[]) =>
  linkObjects(names.map((name) => readElf(name, annotated(set, name, { smpBarriers: true })))).bytes;
const bytesAt = (runtime: Runtime) =>
  runtime.barriers.map(({ address }) => hexBytes(runtime.image.read(address, 4)));
const findings = (image: Image, cpus: number | undefined) =>
  verifyImage(image, { state: 'booted', cpus, locks: undefined, original: undefined }).findings;

const sets: Record<string, { barrier: string; nop: string }> = {
  'arm-gcc-O2': { barrier: '5bf07ff5', nop: '0bb0a0e1' },
  'thumb-clang-O2': { barrier: 'bff35b8f', nop: '4fea0b0b' },
  'armeb-gcc-O2': { barrier: 'f57ff05b', nop: 'e1a0b00b' },
  'thumbeb-gcc-O2': { barrier: 'f3bf8f5b', nop: 'ea4f0b0b' },
};

for (const [set, { barrier, nop }] of Object.entries(sets)) {
  test(`${set}: one CPU turns every listed dmb ish into a NOP of its own, two bring all of them back`, () => {
    const bytes = withBarriers(set, ['lock']);
    const runtime = new Runtime(imageOf(bytes));
    assert.ok(runtime.barriers.length > 4, `${runtime.barriers.length} barriers`);
    assert.deepEqual(new Set(bytesAt(runtime)), new Set([barrier]));
    setBarriers(runtime, 1);
    assert.deepEqual(new Set(bytesAt(runtime)), new Set([nop]));
    setBarriers(runtime, 2);
    assert.deepEqual(runtime.image.file.source.read(0, bytes.length), bytes);
  });

  test(`${set}: verify wants all barriers in the state that the number of CPUs demands`, () => {
    const image = imageOf(withBarriers(set, ['lock']));
    const runtime = boot(image, { cpus: 1, upFill: 'ds', steps: [] });
    const count = runtime.barriers.length;
    assert.deepEqual(findings(image, 1), []);
    assert.deepEqual(findings(image, undefined), []);
    assert.deepEqual(new Set(findings(image, 2).map((f) => f.rule)), new Set(['TP017']));
    assert.equal(findings(image, 2).length, count);
    const [first] = runtime.barriers;
    image.read(first!.address, 4).set(Buffer.from(barrier, 'hex'));
    const mixed = findings(image, undefined);
    assert.deepEqual(
      mixed.map((f) => f.rule),
      ['TP017'],
    );
    assert.match(mixed[0]!.message, /one state/);
    image.read(first!.address, 4).fill(0);
    assert.match(findings(image, undefined)[0]!.message, /neither one nor its NOP/);
  });
}

test('a listed place that holds another instruction is refused, and nothing is written', () => {
  const bytes = withBarriers('arm-gcc-O2', ['lock']);
  const runtime = new Runtime(imageOf(bytes));
  runtime.image.read(runtime.barriers[2]!.address, 4).set([0x1e, 0xff, 0x2f, 0xe1]);
  const before = runtime.image.file.source.read(0, bytes.length).slice();
  assert.throws(() => setBarriers(runtime, 1), MismatchError);
  assert.deepEqual(runtime.image.file.source.read(0, bytes.length), before);
});

test('without --smp-barriers no barrier is listed, and with it a second time changes nothing', () => {
  const plain = sampleBytes('arm-gcc-O2', 'lock');
  assert.equal(annotate('lock.o', plain, everything).stats[0]?.barriers, 0);
  const options = { ...everything, smpBarriers: true };
  const once = annotate('lock.o', plain, options).bytes as Uint8Array;
  assert.equal(annotate('lock.o', once, options).bytes, undefined);
});

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
    assert.equal(runtime.alternatives.length, 4);
    for (const { address, replacement } of runtime.alternatives)
      assert.deepEqual(image.read(address, 4), replacement);
    assert.deepEqual(findings(image, 1), []);
    const again = boot(image, { cpus: 2, upFill: 'ds', steps: [] });
    assert.match(again.notes.join(), /4 of 4 sites .* does not say what stood there before/);
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
  const inData = readAlternatives(image).filter(({ address }) => image.isData(address, 4));
  assert.deepEqual(
    inData.map(({ address }) => image.describe(address)),
    ['alt_on_up', 'alt_word'],
  );
  const { entry } = readAlternatives(image)[0] as AlternativeSite;
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

const archives = [
  { triple: 'arm-linux-gnueabihf', least: 1000 },
  { triple: 'aarch64-linux-gnu', least: 50 },
];
for (const { triple, least } of archives) {
  const objdump = `${triple}-objdump`;
  toolTest(`${triple}: the barriers of all of libc.a are objdump's, no more and no fewer`, [objdump], () => {
    const archive = `/usr/${triple}/lib/libc.a`;
    const options = {
      ...everything,
      staticCall: false,
      staticBranch: false,
      smpLocks: false,
      smpBarriers: true,
    };
    const { stats } = annotate(archive, readFileSync(archive), options);
    const found = stats.reduce((sum, { barriers }) => sum + barriers, 0);
    const theirs = run(objdump, ['-d', archive]).match(/\tdmb\t(ish|ishst|ishld)$/gm)?.length;
    assert.equal(found, theirs);
    assert.ok(found > least, `${found} barriers`);
  });
}

toolTest(
  'dmb sy, osh and nsh, dsb, isb and a barrier marked to be kept are never listed',
  ['arm-linux-gnueabihf-gcc', 'aarch64-linux-gnu-gcc'],
  (t) => {
    const directory = scratch(t);
    writeFileSync(
      join(directory, 'x.c'),
      '#include "textpoke/lock.h"\nvoid f(void) { __asm__ volatile("dmb sy; dmb osh; dmb nsh; dsb ish; isb; dmb oshst"); ' +
        '__asm__ volatile(TEXTPOKE_KEEP_LOCK "dmb ish"); __asm__ volatile("dmb ishst"); }\n',
    );
    const include = join(import.meta.dirname, '..', '..', 'include');
    for (const [compiler, flags] of [
      ['arm-linux-gnueabihf-gcc', ['-marm']],
      ['arm-linux-gnueabihf-gcc', ['-mthumb']],
      ['aarch64-linux-gnu-gcc', []],
    ] as const) {
      run(compiler, [...flags, '-O2', `-I${include}`, '-c', 'x.c', '-o', 'x.o'], directory);
      const bytes = readFileSync(join(directory, 'x.o'));
      const { stats } = annotate('x.o', bytes, { ...everything, smpBarriers: true });
      assert.equal(stats[0]?.barriers, 1);
    }
  },
);
