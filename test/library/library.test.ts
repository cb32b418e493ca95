// The library over sample objects of each machine: what comes back is plain data, the same as the command line prints,
// and the same for a path and for its bytes, which stay as they are.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, type TestContext } from 'node:test';
import {
  annotate,
  boot,
  diff,
  diffFormats,
  dump,
  type Input,
  link,
  linkerScript,
  type NamedBytes,
  verify,
  verifyFormats,
  verifyMemory,
} from '../../src/index.ts';
import { main } from '../../src/main.ts';
import { runMain } from '../in-process.ts';
import { core, kernelBytes, run } from '../memory/dumps.ts';
import { programUnits, samplePath } from '../samples.ts';

const sets = [
  'gcc-O2-g',
  'clang-O2',
  'aarch64-gcc-O2',
  'aarch64_be-gcc-O2',
  'arm-gcc-O2',
  'armeb-gcc-O2',
  'thumb-gcc-O2',
  'thumbeb-gcc-O2',
];

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

const write = (name: string, bytes: Uint8Array): string => {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
};

/** Every input that was given as bytes, and the bytes as they were. */
const given: { readonly input: NamedBytes; readonly before: Uint8Array }[] = [];

/** A file's bytes under its own path, in a Buffer that shares its memory with others. */
function bytesOf(path: string): NamedBytes {
  const input = { name: path, bytes: readFileSync(path) };
  given.push({ input, before: Uint8Array.from(input.bytes) });
  return input;
}

/** What two calls return, which has to be the same; it has to be plain data too, and its document JSON. */
async function same<T extends object>(fromPath: T | Promise<T>, fromBytes: T | Promise<T>): Promise<T> {
  const result = await fromPath;
  assert.deepEqual(await fromBytes, result, 'a path and its bytes give the same');
  assert.deepEqual(structuredClone(result), result, 'it can be cloned');
  for (const [name, value] of Object.entries(result)) {
    if (value instanceof Uint8Array || value === undefined) continue;
    assert.deepEqual(JSON.parse(JSON.stringify(value)), value, `${name} is JSON`);
  }
  return result;
}

const textpoke = (t: TestContext, ...argv: string[]) => runMain(t, main, argv);

/** Standard error of a command for notes of the library. */
const asErrors = (notes: readonly string[]) => notes.map((note) => `textpoke: ${note}\n`).join('');

/** The program of a set: its objects, annotated, on the disk. */
function objectsOf(set: string): string[] {
  const units = programUnits.filter((unit) => existsSync(samplePath(set, unit)));
  return units.map((unit) => {
    const path = samplePath(set, unit);
    return write(`${set}-${unit}.o`, annotate(path).bytes);
  });
}

for (const set of sets) {
  test(`annotate: objects of ${set}`, async (t) => {
    for (const unit of ['call', 'branch', 'lock']) {
      const path = samplePath(set, unit);
      const result = await same(annotate(path), annotate(bytesOf(path)));
      const out = join(directory, 'out.o');
      const { text } = await textpoke(t, 'annotate', path, '-o', out, '--json');
      assert.deepEqual(result.document, JSON.parse(text));
      assert.deepEqual(Buffer.from(result.bytes), readFileSync(out));
      assert.equal(result.changed, !readFileSync(path).equals(result.bytes));
      assert.equal(annotate(out).changed, false, 'an annotated object stays as it is');
    }
  });

  test(`link and boot: the program of ${set}`, async (t) => {
    const objects = objectsOf(set);
    const { bytes, undefinedSymbols } = await same(link(objects), link(objects.map(bytesOf)));
    const image = write(`${set}.image`, bytes);
    const calls: [Input | readonly Input[], Input | readonly Input[], string[]][] = [
      [objects, objects.map(bytesOf), objects],
      [image, bytesOf(image), [image]],
    ];
    for (const [i, [fromPath, fromBytes, words]] of calls.entries()) {
      // A file of its own for each: one that is replaced keeps rights, which needs cp where the clock has gone on.
      const out = join(directory, `${set}.out${i}`);
      const result = await same(boot(fromPath), boot(fromBytes));
      const { text, errors } = await textpoke(t, 'boot', ...words, '-o', out, '--json');
      assert.deepEqual(result.document, JSON.parse(text));
      assert.deepEqual(Buffer.from(result.bytes), readFileSync(out));
      assert.equal(asErrors(result.notes), errors);
      assert.equal('states' in result, false);
    }
    assert.deepEqual((await boot(objects)).document.undefinedSymbols, undefinedSymbols);

    const options = { cpus: 1, upFill: 'ds', states: true, steps: [{ do: 'enable', key: '*' }] } as const;
    const result = await same(boot(image, options), boot(bytesOf(image), options));
    const words = ['boot', image, '--cpus', '1', '--up-fill', 'ds', '--enable', '*'];
    assert.deepEqual(result.document, JSON.parse((await textpoke(t, ...words, '--json')).text));
    assert.deepEqual(result.states, JSON.parse((await textpoke(t, ...words, '--states')).text));
  });

  test(`dump: an object, a linked program and a booted one of ${set}`, async (t) => {
    const objects = objectsOf(set);
    const [object] = objects as [string];
    const image = write(`${set}.image`, link(objects).bytes);
    for (const path of [object, image, write('booted', (await boot(image)).bytes)]) {
      const { document } = await same(dump(path), dump(bytesOf(path)));
      assert.deepEqual(document, JSON.parse((await textpoke(t, 'dump', path, '--json')).text));
      const options = { table: 'jump', key: '*key*', disassemble: true };
      const some = await same(dump(path, options), dump(bytesOf(path), options));
      const words = ['dump', path, '--table', 'jump', '--key', '*key*', '--disassemble', '--json'];
      assert.deepEqual(some.document, JSON.parse((await textpoke(t, ...words)).text));
    }
  });

  test(`verify: what is linked, and what is booted, of ${set}`, async (t) => {
    const image = write(`${set}.image`, link(objectsOf(set)).bytes);
    const booted = write('booted', (await boot(image, { cpus: 2 })).bytes);
    const cases = [
      [image, {}, []],
      [image, { linked: true, locks: 'all' }, ['--linked', '--locks', 'all']],
      [booted, { original: image, cpus: 1 }, ['--original', image, '--cpus', '1']],
      [booted, { baseline: image, failOn: 'warning' }, ['--baseline', image, '--fail-on', 'warning']],
    ] as const;
    for (const [path, options, words] of cases) {
      const all = { ...options, formats: verifyFormats };
      const others = Object.fromEntries(
        Object.entries(all).map(([name, value]) => [name, value === image ? bytesOf(image) : value]),
      );
      const result = await same(verify(path, all), verify(bytesOf(path), others));
      for (const format of verifyFormats) {
        const { status, text, errors } = await textpoke(t, 'verify', path, ...words, '--format', format);
        assert.equal(result.reports[format], text);
        assert.equal(asErrors(result.notes), errors);
        assert.equal(result.passed, status === 0);
      }
      assert.deepEqual(result.document, JSON.parse(result.reports.json ?? ''));
    }
    assert.equal((await verify(image)).passed, false);
    assert.equal((await verify(booted, { original: image, cpus: 2 })).passed, true);
  });

  test(`diff: builds of ${set}`, async (t) => {
    const [first, second] = objectsOf(set) as [string, string];
    const pairs: [old: string, now: string][] = [
      [first, samplePath(set, 'branch')],
      [first, second],
      [first, first],
    ];
    for (const [old, now] of pairs) {
      const options = { formats: diffFormats };
      const result = await same(diff(old, now, options), diff(bytesOf(old), bytesOf(now), options));
      for (const format of diffFormats) {
        const { status, text } = await textpoke(t, 'diff', old, now, '--format', format);
        assert.equal(result.reports[format], text);
        assert.equal(result.document.removed > 0, status === 1);
      }
      assert.deepEqual(result.document, JSON.parse(result.reports.json ?? ''));
    }
  });
}

for (const [set, machine, bits] of [
  ['gcc-O2', 62, 64],
  ['aarch64-gcc-O2', 183, 64],
  ['arm-gcc-O2', 40, 32],
] as const) {
  test(`verifyMemory: a core and raw bytes of ${set}`, async (t) => {
    const bytes = kernelBytes(set);
    const image = write('kernel', bytes);
    const slide = 0x200000;
    const pages = run(bytes, slide);
    const snapshot = write('core', core(pages, { class: bits, machine, addresses: ['virtual'] }));
    const [page] = pages as [(typeof pages)[0]];
    const raw = Buffer.alloc(Math.max(...pages.map(({ virtual }) => virtual)) + 0x1000 - page.virtual);
    for (const { virtual, bytes: content } of pages) raw.set(content, virtual - page.virtual);
    raw[raw.length - 0x1800] = 0xcc;
    const cases = [
      [snapshot, {}, []],
      [snapshot, { cpus: 1, slide }, ['--cpus', '1', '--slide', `${slide}`]],
      [
        write('raw', raw),
        { base: BigInt(page.virtual), slide },
        ['--base', `${page.virtual}`, '--slide', `${slide}`],
      ],
    ] as const;
    for (const [dumped, options, words] of cases) {
      const all = { ...options, formats: verifyFormats };
      const result = await same(
        verifyMemory(image, dumped, all),
        verifyMemory(bytesOf(image), bytesOf(dumped), all),
      );
      for (const format of verifyFormats) {
        const ran = await textpoke(t, 'verify', image, '--memory', dumped, ...words, '--format', format);
        assert.equal(result.reports[format], ran.text);
        assert.equal(asErrors(result.notes), ran.errors);
        assert.equal(result.passed, ran.status === 0);
      }
      assert.deepEqual(result.document, JSON.parse(result.reports.json ?? ''));
    }
  });
}

for (const machine of ['x86-64', 'AArch64', 'ARM']) {
  test(`linkerScript: ${machine}`, async (t) => {
    assert.equal(linkerScript(machine), (await textpoke(t, 'ldscript', '--machine', machine)).text);
    const words = ['ldscript', '--machine', machine, '--gc-sections'];
    assert.equal(linkerScript(machine, false), (await textpoke(t, ...words)).text);
  });
}

test('no bytes that were given have changed', () => {
  assert.equal(given.length > 200, true);
  for (const { input, before } of given) assert.deepEqual(Uint8Array.from(input.bytes), before, input.name);
});
