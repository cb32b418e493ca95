// Functions whose address nobody takes lose their endbr.
import assert from 'node:assert/strict';
import test from 'node:test';
import { endbrSeal } from '../../../src/text/x86-64/endbr.ts';
import { expectedAt, type MadeMachine, madeKernel, madeSubject, textStart } from './made.ts';

const endbr = 'f30f1efa';
const sites = [0x100, 0x110, 0x120];
const code = { 256: endbr, 272: endbr, 288: 'f30f1efb' };
const kernel = madeKernel({ code, tables: { '.ibt_endbr_seal': sites } });

function written(machine: MadeMachine): readonly string[] {
  const subject = madeSubject(kernel, machine);
  const result = endbrSeal.run(subject);
  assert.deepEqual([result?.sites, result?.notes], [3, []]);
  return sites.map((site) => expectedAt(subject, site, 4));
}

test('endbr64 and endbr32 become the NOP of the version, whether the processor has IBT or not', () => {
  for (const [version, poison] of [
    [[5, 18], '660f1f00'],
    [[6, 17], '660f1f00'],
    [[6, 18], '0f1f40d6'],
    [[7, 3], '0f1f40d6'],
  ] as const)
    assert.deepEqual(written({ version }), [poison, poison, poison], `${version}`);
});

test('what most places in memory have tells the NOP', () => {
  const memory = [
    [textStart + 0x100, '660f1f00'],
    [textStart + 0x110, '660f1f00'],
    [textStart + 0x120, '0f1f40d6'],
  ] as const;
  assert.equal(written({ version: [6, 18], memory })[2], '660f1f00');
  assert.equal(written({ version: [6, 12], memory: memory.slice(2) })[0], '0f1f40d6');
});

test('a place without endbr is told and stays; one that is a NOP already is none', () => {
  const image = madeKernel({
    code: { 256: '554889e5', 272: '660f1f00' },
    tables: { '.ibt_endbr_seal': [0x100, 0x110] },
  });
  const subject = madeSubject(image);
  assert.deepEqual(
    endbrSeal.run(subject)?.notes.map(({ address = 0, severity }) => [address - textStart, severity]),
    [[0x100, 'wrong']],
  );
  assert.deepEqual([expectedAt(subject, 0x100, 4), expectedAt(subject, 0x110, 4)], ['554889e5', '660f1f00']);
});
