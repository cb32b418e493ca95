// Section symbols whose value is not 0: what names a place by one counts from there.
import assert from 'node:assert/strict';
import test from 'node:test';
import { annotate } from '../../src/annotate/passes.ts';
import { archOf } from '../../src/arch/registry.ts';
import { ByteView } from '../../src/bytes/view.ts';
import { describeSite, sitesByFunction } from '../../src/diff/sites.ts';
import { dumpFile } from '../../src/dump/passes.ts';
import { readElf } from '../../src/elf/read.ts';
import { Rela, Sym } from '../../src/elf/records.ts';
import { TextpokeError } from '../../src/errors.ts';
import { dump } from '../../src/library/dump.ts';
import { linkObjects } from '../../src/link/link.ts';
import { everything, sampleBytes } from '../samples.ts';

/** The object with `shift` in every section symbol, and taken off whatever is named by one, if `mend` says so. */
function shifted(bytes: Uint8Array, shift: number, mend: boolean): Uint8Array {
  const file = readElf('a.o', bytes);
  const result = bytes.slice();
  const bits = file.header.class;
  const view = new ByteView(result, file.header.little);
  const symtab = file.symtab ?? assert.fail('no symbols');
  const symbols = file.symbols(symtab);
  const put = (at: number, value: number) =>
    bits === 64 ? view.setS64(at, value) : view.setU32(at, value >>> 0);
  for (let i = 1; i < symbols.count; i++) {
    if (symbols.isSectionSymbol(i))
      put(symtab.offset + i * Sym[bits].size + Sym[bits].offsets.value, (symbols.value[i] as number) + shift);
  }
  if (!mend) return result;
  const { none } = archOf(file.header).relocations;
  for (const section of file.sections) {
    for (const table of file.relocationSections(section.index)) {
      const rows = file.relocations(table);
      for (let i = 0; i < rows.count; i++) {
        if (!symbols.isSectionSymbol(rows.symbol[i] as number)) continue;
        const addend = table.offset + i * Rela[bits].size + Rela[bits].offsets.addend;
        const field = section.offset + (rows.offset[i] as number);
        if (rows.rela) put(addend, (rows.addend[i] as number) - shift);
        // On ARM only words are named by section symbols in the samples; calls of functions have their own.
        else if (rows.type[i] !== none) view.setU32(field, (view.u32(field) - shift) >>> 0);
      }
    }
  }
  return result;
}

async function dumped(bytes: Uint8Array): Promise<unknown> {
  return (await dump({ name: 'a.o', bytes })).document;
}

/** What every entry says, by name: a link may put it elsewhere. */
async function placesOf(bytes: Uint8Array): Promise<string[]> {
  for await (const file of dumpFile('image', bytes)) {
    const sites = [...sitesByFunction(file).values()].flat();
    assert.ok(sites.length > 0, 'the image has sites');
    return sites.map((site) => `${describeSite(site)} ${site.place}`);
  }
  return [];
}

const units: readonly [set: string, unit: string][] = [
  ['gcc-O2', 'branch'],
  ['gcc-O2', 'key-use'],
  ['gcc-O2', 'local'],
  ['clang-O2', 'branch'],
  ['aarch64-gcc-O2', 'branch'],
  ['arm-gcc-O2', 'key-use'],
];
for (const [set, unit] of units) {
  test(`the sites of ${unit} of ${set} do not depend on the values of section symbols`, async () => {
    const plain = sampleBytes(set, unit);
    const moved = shifted(plain, 0x40, true);
    assert.notDeepEqual(moved, plain);
    const [a, b] = [plain, moved].map(
      (bytes) => annotate('a.o', bytes, everything).bytes ?? assert.fail('no sites'),
    );
    assert.deepEqual(await dumped(b as Uint8Array), await dumped(a as Uint8Array));
    assert.equal(
      annotate('a.o', b as Uint8Array, everything).bytes,
      undefined,
      'a second run changes nothing',
    );
    if (unit === 'key-use') return; // its keys are in another object
    const linked = (bytes: Uint8Array | undefined) =>
      placesOf(linkObjects([readElf('a.o', bytes as Uint8Array)]).bytes);
    assert.deepEqual(await linked(b), await linked(a));
  });
}

test('a marker that leads out of its section is refused', () => {
  const bytes = shifted(sampleBytes('gcc-O2', 'key-use'), 0x10_0000, false);
  assert.throws(
    () => annotate('a.o', bytes, everything),
    (error) =>
      error instanceof TextpokeError &&
      error.code === 'elf-malformed' &&
      /leads to \.text\+0x1000/.test(error.message),
  );
});
