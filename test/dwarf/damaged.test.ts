// Real programs with damaged .debug_info and what it refers to: each question is answered, the line of an instruction
// stays what its line table says, and what is missing is said or shows as missing.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { linesOfAddresses, linesOfPlaces, type SourceLines } from '../../src/dwarf/source-lines.ts';
import { ET_REL, SHT_NOBITS } from '../../src/elf/constants.ts';
import type { Section } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { debugStructures } from '../fuzz/fields.ts';
import { Random } from '../seeded.ts';
import { casesOf, run, scratch, toolTest } from '../tools.ts';
import { fromInside } from './addr2line.ts';

const source = readFileSync(join(import.meta.dirname, '..', '..', 'samples', 'src', 'inlined.c'));
const include = join(import.meta.dirname, '..', '..', 'include');

function answers(bytes: Uint8Array): SourceLines {
  const file = readElf('program', bytes);
  const { addr, size, index } = file.named('.text') as Section;
  const offsets = Array.from({ length: size }, (_, i) => i);
  if (file.header.type !== ET_REL)
    return linesOfAddresses(
      file,
      offsets.map((offset) => addr + offset),
      undefined,
      { inlines: true },
    );
  const places = offsets.map((offset) => ({ section: index, offset }));
  return linesOfPlaces(file, places, undefined, { inlines: true });
}

/** The same file as if it had no .debug_info. */
function withoutInfo(bytes: Uint8Array): Uint8Array {
  const { header, sections } = readElf('program', bytes);
  const info = sections.find(({ name }) => name === '.debug_info') as Section;
  const made = bytes.slice();
  new DataView(made.buffer).setUint32(header.shoff + 64 * info.index + 4, SHT_NOBITS, true);
  return made;
}

/** Where the lines of instructions stand, without their callers. */
const innermost = ({ lines }: SourceLines) =>
  lines.map((line) => fromInside(line).map(({ file, line }) => `${file}:${line}`)[0]);

for (const compiler of ['gcc', 'clang']) {
  for (const version of [4, 5]) {
    const cases = casesOf(300);
    toolTest(`${compiler}, DWARF ${version}: ${cases} damaged objects and images`, [compiler], (t) => {
      const directory = scratch(t);
      writeFileSync(join(directory, 'inlined.c'), source);
      const flags = ['-O2', `-gdwarf-${version}`, `-I${include}`, `-I${join(include, '../samples/src')}`];
      run(compiler, [...flags, '-c', 'inlined.c', '-o', 'object'], directory);
      run(compiler, [...flags, '-fPIC', '-shared', '-nostdlib', 'inlined.c', '-o', 'image'], directory);
      for (const name of ['object', 'image']) {
        const sound = new Uint8Array(readFileSync(join(directory, name)));
        const before = answers(sound);
        assert.equal(before.problem, undefined);
        assert.ok(
          before.lines.some((line) => (line?.inlined?.length ?? 0) > 1),
          'functions are inlined in others',
        );
        const fields = debugStructures(sound)
          .filter((of) => !of.name.includes('line'))
          .flatMap((of) => of.fields);
        // Code that no line has made has that of its caller.
        const rows = innermost(answers(withoutInfo(sound)));
        assert.ok(rows.filter((row) => row !== undefined).length > 50, 'most code has a line');
        let changed = 0;
        for (let i = 0; i < cases; i++) {
          const random = new Random(version, i);
          const bytes = sound.slice();
          for (let left = 1 + random.below(4); left > 0; left--) {
            const { at, size } = random.pick(fields);
            for (let k = 0; k < size; k++)
              bytes[at + k] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
          }
          const after = answers(bytes);
          for (const [at, line] of innermost(after).entries())
            if (rows[at] !== undefined) assert.equal(line, rows[at], `${name}, case ${i}, byte ${at}`);
          if (after.problem !== undefined) {
            assert.match(after.problem, /^callers of inlined code are missing: /);
            changed++;
          }
        }
        assert.ok(changed > cases / 20, `${changed} of ${cases} changes were found`);
      }
    });
  }
}
