// Objects that were left out and entries that are gone, in programs that are linked in memory from the samples.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { annotate, boot, link, type NamedBytes, TextpokeError, verify } from '../../src/index.ts';

const samples = new URL('../../samples/objects/', import.meta.url);
const units = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use'];

function objectOf(set: string, unit: string): NamedBytes {
  return { name: `${unit}.o`, bytes: readFileSync(new URL(`${set}/${unit}.o`, samples)) };
}

function program(set: string, isAnnotated: (unit: string) => boolean): NamedBytes {
  const objects = units.map((unit) => {
    const object = objectOf(set, unit);
    return isAnnotated(unit) ? { ...object, bytes: annotate(object).bytes } : object;
  });
  return { name: 'program', bytes: link(objects).bytes };
}

const rulesOf = async (image: NamedBytes) => {
  const { document } = await verify(image, { linked: true });
  return [...new Set(document.findings.map(({ rule }) => rule))];
};

for (const set of ['gcc-O2', 'clang-O2', 'aarch64-gcc-O2', 'arm-clang-O2', 'thumb-gcc-O2']) {
  test(`${set}: an object that was left out is named, and boot changes no key`, async () => {
    const whole = program(set, () => true);
    assert.deepEqual(await rulesOf(whole), []);
    const image = program(set, (unit) => unit !== 'key-use');
    const { document } = await verify(image, { linked: true });
    const told = document.findings.filter(({ rule }) => rule === 'TP030');
    assert.deepEqual(
      told.map(({ place }) => place),
      ['key-use.c'],
    );
    await boot(image, { cpus: 1 });
    await assert.rejects(
      boot(image, { steps: [{ do: 'enable', key: 'off_key' }] }),
      (error) =>
        error instanceof TextpokeError && error.code === 'step-refused' && /key-use\.c/.test(error.message),
    );
  });

  test(`${set}: each record that has lost its entry is found, and none besides`, async () => {
    const { name, bytes } = program(set, () => true);
    const { document } = await verify({ name, bytes }, { linked: true });
    assert.deepEqual(document.findings, []);
    // The table of branches under another name is what a linker leaves that dropped it.
    const at = Buffer.from(bytes).indexOf('\0__jump_table\0', 0, 'latin1');
    const renamed = Uint8Array.from(bytes);
    renamed.set(Buffer.from('__jump_tabl_'), at + 1);
    assert.ok(at > 0, 'the table has a name');
    const without = Buffer.from(renamed);
    for (const bound of ['__start___jump_table', '__stop___jump_table']) {
      const from = without.indexOf(`\0${bound}\0`, 0, 'latin1');
      if (from > 0) without.write('__gone', from + 1, 'latin1');
    }
    const lost = await verify({ name, bytes: Uint8Array.from(without) }, { linked: true });
    const rules = lost.document.findings.map(({ rule }) => rule);
    assert.equal(rules.filter((rule) => rule === 'TP032').length, document.counts.branches, rules.join(' '));
  });
}

test('a second run of annotate adds no note', () => {
  for (const unit of units) {
    const { bytes } = annotate(objectOf('gcc-O2', unit), { mark: true });
    assert.equal(annotate({ name: unit, bytes }, { mark: true }).changed, false, unit);
  }
});
