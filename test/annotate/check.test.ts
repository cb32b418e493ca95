// What annotate holds its own result against: the places of each table, not how many there are.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkResult } from '../../src/annotate/check.ts';
import { archOf } from '../../src/arch/registry.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import type { Before } from '../../src/elf/recheck.ts';
import { TextpokeError } from '../../src/errors.ts';
import { kinds } from '../../src/kinds/registry.ts';
import { type Found, Search } from '../../src/object/found.ts';
import { ObjectCode } from '../../src/object/object-code.ts';
import { annotated, sampleBytes } from '../samples.ts';

const sets = ['gcc-O2', 'clang-O2-ffunction-sections', 'aarch64-gcc-O2', 'thumb-clang-O2'];

/** What every finder finds in a sample object. */
function foundIn(set: string, name: string): Found[] {
  const file = readElf(name, sampleBytes(set, name));
  const search = new Search(new ObjectCode(file, archOf(file.header)), {});
  return kinds.flatMap(({ annotate }) => (annotate && !annotate.optIn ? [annotate.find(search)] : []));
}

/** The sample object, and how many section groups it has less than when it is annotated. */
function before(set: string, name: string): Before {
  const groups = (file: ElfFile) => file.ofType(17).length; // SHT_GROUP
  const file = readElf(name, sampleBytes(set, name));
  return { file, inFront: groups(readElf(name, annotated(set, name))) - groups(file) };
}

for (const set of sets) {
  test(`${set}: the result lists the places that were planned`, () => {
    for (const name of ['main', 'branch', 'call', 'lock']) {
      checkResult(name, annotated(set, name), foundIn(set, name), before(set, name));
    }
  });

  test(`${set}: one place that moved is a defect, though the numbers agree`, () => {
    const found = foundIn(set, 'branch');
    const moved = found.map((of) => ({
      ...of,
      entries: of.entries.map((entry, i) =>
        i === 0 ? { ...entry, site: { ...entry.site, offset: entry.site.offset + 1 } } : entry,
      ),
    }));
    assert.throws(
      () => checkResult('branch', annotated(set, 'branch'), moved, before(set, 'branch')),
      (error) => error instanceof TextpokeError && error.code === 'defect' && /planned/.test(error.message),
    );
  });

  test(`${set}: a place in the wrong table is a defect, though the sum agrees`, () => {
    const found = foundIn(set, 'branch');
    const [branches, calls] = found as [Found, Found];
    const [first, ...others] = branches.entries;
    assert.notEqual(first, undefined, 'the sample has static branches');
    const { row } = calls.listed[0] as Found['listed'][number];
    const swapped = [
      { ...branches, entries: others },
      { ...calls, entries: [...calls.entries, { ...(first as (typeof others)[number]), row }] },
      ...found.slice(2),
    ];
    assert.throws(
      () => checkResult('branch', annotated(set, 'branch'), swapped, before(set, 'branch')),
      (error) => error instanceof TextpokeError && error.code === 'defect',
    );
  });
}
