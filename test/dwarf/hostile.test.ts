// Damaged debug sections: whatever stands in them, the question is answered, soon, and what is missing is said.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import { dumpFile } from '../../src/dump/passes.ts';
import { debugSections, readContent } from '../../src/dwarf/sections.ts';
import { linesOfPlaces } from '../../src/dwarf/source-lines.ts';
import type { Section } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { makeObject } from '../elf/objects.ts';
import { annotated } from '../samples.ts';
import { isAll } from '../tools.ts';

const objects = fileURLToPath(new URL('../../samples/objects/', import.meta.url));
test('a dump goes on without lines when line tables end early, wherever they do', async () => {
  // Every size under npm run test:all, else every tenth.
  const step = isAll ? 1 : 10;
  for (const name of ['gcc-O2-g', 'clang-O2-g', 'arm-gcc-O2-g', 'thumb-clang-O2-g', 'gcc-O2-g-gz']) {
    const bytes = annotated(name, 'branch');
    const whole = readElf('branch.o', bytes);
    const line = whole.sections.find((s) => s.name === '.debug_line') as Section;
    const { class: bits, little, shoff } = whole.header;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const sizeField = shoff + line.index * (bits === 64 ? 64 : 40) + (bits === 64 ? 32 : 20);
    for (let size = 0; size < line.size; size += step) {
      view.setUint32(sizeField, size, little);
      for await (const file of dumpFile('branch.o', bytes)) {
        const { entries = [], problems } = file.tables.jumpTable ?? {};
        assert.ok(entries.length > 5, `${entries.length} entries`);
        assert.deepEqual(problems, []);
        if (size > 0)
          assert.match(file.linesProblem ?? '', /^source lines are missing: /, `${name} cut at ${size}`);
      }
    }
  }
});

test('relocations that cannot be read cost the lines alone', () => {
  const bytes = new Uint8Array(readFileSync(join(objects, 'gcc-O2-g/branch.o')));
  const whole = readElf('branch.o', bytes);
  const table = whole.named('.rela.debug_line') as Section;
  new DataView(bytes.buffer).setUint32(whole.header.shoff + table.index * 64 + 4, 0x40000014, true); // SHT_CREL
  const file = readElf('branch.o', bytes);
  const text = file.named('.text') as Section;
  const { lines, problem } = linesOfPlaces(file, [{ section: text.index, offset: 0 }]);
  assert.deepEqual(lines, [undefined]);
  assert.match(problem ?? '', /SHT_CREL/);
  assert.throws(() => file.relocationSections(table.info), TextpokeError);
});

test('compressed debug sections together expand to no more than a compressed file of their size', () => {
  const chdr = new Uint8Array(24);
  const view = new DataView(chdr.buffer);
  view.setUint32(0, 1, true); // ELFCOMPRESS_ZLIB
  const content = new Uint8Array(40 << 20);
  view.setBigUint64(8, BigInt(content.length), true);
  const data = Buffer.concat([chdr, deflateSync(content)]);
  const debug = (name: string) => ({ name, type: 1, flags: 0x800, data, addralign: 1 });
  const read = (names: readonly string[]) => {
    const file = readElf('a.o', makeObject({ sections: names.map(debug) }));
    return readContent(file, debugSections(file, 'line')[0] as Section).length;
  };
  assert.equal(read(['.debug_line', '.text']), content.length);
  assert.throws(
    () => read(['.debug_line', '.debug_str']),
    /the compressed debug sections say that they have 83886080 bytes; 67108864 are the most/,
  );
});
