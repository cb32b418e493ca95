// Barriers between CPUs on ARM, in textpoke's own table: there and back, and which ones annotate finds.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { annotate } from '../../src/annotate/passes.ts';
import { fitPart } from '../../src/boot/cpus.ts';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import { Runtime } from '../../src/boot/runtime.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { readElf } from '../../src/elf/read.ts';
import { MismatchError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { barrier } from '../../src/kinds/barrier/kind.ts';
import { programOf } from '../../src/kinds/registry.ts';
import { linkObjects } from '../../src/link/link.ts';
import { checkImage as verifyImage } from '../../src/verify/passes.ts';
import { annotated, everything, imageOf, sampleBytes } from '../samples.ts';
import { rowsOf, run, scratch, toolTest } from '../tools.ts';

const withBarriers = (set: string, names: readonly string[]) =>
  linkObjects(names.map((name) => readElf(name, annotated(set, name, { smpBarriers: true })))).bytes;
const barriersOf = ({ program }: Runtime) => program.sites.of(barrier);
const bytesAt = (runtime: Runtime) =>
  barriersOf(runtime).map(({ address }) => hexBytes(runtime.image.read(address, 4)));
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
    const runtime = new Runtime(programOf(imageOf(bytes)));
    assert.ok(barriersOf(runtime).length > 4, `${barriersOf(runtime).length} barriers`);
    assert.deepEqual(new Set(bytesAt(runtime)), new Set([barrier]));
    fitPart(runtime, runtime.program, 1, 'ds');
    assert.deepEqual(new Set(bytesAt(runtime)), new Set([nop]));
    fitPart(runtime, runtime.program, 2, 'ds');
    assert.deepEqual(runtime.image.file.source.read(0, bytes.length), bytes);
  });

  test(`${set}: verify wants all barriers in the state that the number of CPUs demands`, () => {
    const image = imageOf(withBarriers(set, ['lock']));
    const runtime = boot(image, { cpus: 1, upFill: 'ds', steps: [] });
    const count = barriersOf(runtime).length;
    assert.deepEqual(findings(image, 1), []);
    assert.deepEqual(findings(image, undefined), []);
    assert.deepEqual(new Set(findings(image, 2).map((f) => f.rule)), new Set(['TP017']));
    assert.equal(findings(image, 2).length, count);
    const [first] = barriersOf(runtime);
    image.read(first!.address, 4).set(Buffer.from(barrier, 'hex'));
    const mixed = findings(image, undefined);
    assert.deepEqual(
      mixed.map((f) => f.rule),
      ['TP017'],
    );
    assert.match(mixed[0]!.message, /one state/);
    image.read(first!.address, 4).fill(0);
    assert.match(findings(image, undefined)[0]!.message, /neither a barrier nor the NOP of a barrier/);
  });
}

test('a listed place that holds another instruction is refused, and nothing is written', () => {
  const bytes = withBarriers('arm-gcc-O2', ['lock']);
  const runtime = new Runtime(programOf(imageOf(bytes)));
  runtime.image.read(barriersOf(runtime)[2]!.address, 4).set([0x1e, 0xff, 0x2f, 0xe1]);
  const before = runtime.image.file.source.read(0, bytes.length).slice();
  assert.throws(() => fitPart(runtime, runtime.program, 1, 'ds'), MismatchError);
  assert.deepEqual(runtime.image.file.source.read(0, bytes.length), before);
});

test('without --smp-barriers no barrier is listed, and with it a second time changes nothing', () => {
  const plain = sampleBytes('arm-gcc-O2', 'lock');
  assert.equal(annotate('lock.o', plain, everything).stats[0]?.barriers, 0);
  const options = { ...everything, smpBarriers: true };
  const once = annotate('lock.o', plain, options).bytes as Uint8Array;
  assert.equal(annotate('lock.o', once, options).bytes, undefined);
});

const archives = [
  { triple: 'arm-linux-gnueabihf', least: 1000 },
  { triple: 'aarch64-linux-gnu', least: 50 },
];
for (const { triple, least } of rowsOf(archives, 2)) {
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
