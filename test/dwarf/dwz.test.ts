// Debug information that dwz has made smaller: what several units say stands in partial units, and what several files
// say in a file of its own. The lines and callers of every byte of code are those of before.
import assert from 'node:assert/strict';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DebugPlaces, debugPlacesOf } from '../../src/dwarf/debug-files.ts';
import { linesOfAddresses, type SourceLines } from '../../src/dwarf/source-lines.ts';
import type { Section } from '../../src/elf/file.ts';
import { readElfFrom } from '../../src/elf/read.ts';
import { fileSource } from '../../src/files/source.ts';
import { run, scratch, toolTest } from '../tools.ts';

const header = `
struct shared_one { int a, b, c; struct shared_one *next; char name[32]; };
struct shared_two { struct shared_one one[3]; long sums[12]; struct shared_two *left, *right; };
enum shared_kinds { SHARED_KIND_A, SHARED_KIND_B, SHARED_KIND_WITH_A_LONG_NAME };
union shared_word { int number; enum shared_kinds kind; struct shared_two *two; };
static inline int inner_shared_function(int a, int b)
{
  int c = a;
  c += b * 3;
  return c;
}
static inline int outer_shared_function(struct shared_two *two, int b)
{
  while (b > 100)
    b -= inner_shared_function(b, two->one[0].a);
  return inner_shared_function(b, two->one[1].b);
}
`;
const work = `#include "shared.h"
volatile int NAME_seen; union shared_word NAME_word;
__attribute__((noinline)) int NAME_work(struct shared_two *two, int a)
{
  if (a == 3)
    return outer_shared_function(two, a);
  for (int k = 0; k < a; k++)
    a += outer_shared_function(two, k) ^ inner_shared_function(a, NAME_seen);
  return a;
}
`;
const main = `#include "shared.h"
int NAME_work(struct shared_two *two, int a);
int main(int n, char **words)
{
  struct shared_two two = {0};
  return NAME_work(&two, n) + outer_shared_function(&two, n) + (words == 0);
}
`;

function answers(path: string, places: DebugPlaces = debugPlacesOf(path, {})): SourceLines {
  const file = readElfFrom(path, fileSource(path));
  try {
    const { addr, size } = file.named('.text') as Section;
    const addresses = Array.from({ length: size }, (_, i) => addr + i);
    return linesOfAddresses(file, addresses, places, { inlines: true });
  } finally {
    file.source.close();
  }
}

/** The functions that lines name, those of inlined code among them. */
const namesIn = ({ lines }: SourceLines) =>
  new Set(lines.flatMap((line) => [line, ...(line?.inlined ?? [])]).map((line) => line?.function));

// dwz 0.15 does not read what clang writes of version 5.
for (const [compiler, version] of [
  ['gcc', 4],
  ['gcc', 5],
  ['clang', 4],
] as const) {
  toolTest(
    `${compiler}, DWARF ${version}: lines and callers are the same behind dwz`,
    [compiler, 'dwz', 'readelf'],
    (t) => {
      const directory = scratch(t);
      const at = (name: string) => join(directory, name);
      writeFileSync(at('shared.h'), header);
      for (const name of ['one', 'two']) {
        for (const [unit, text] of [
          ['work', work],
          ['main', main],
        ] as const)
          writeFileSync(at(`${name}-${unit}.c`), text.replaceAll('NAME', name));
        run(
          compiler,
          ['-O2', `-gdwarf-${version}`, `${name}-work.c`, `${name}-main.c`, '-o', name],
          directory,
        );
      }
      const before = answers(at('one'));
      assert.equal(before.problem, undefined);
      for (const name of ['one_work', 'main', 'outer_shared_function', 'inner_shared_function'])
        assert.ok(namesIn(before).has(name), name);

      copyFileSync(at('one'), at('alone'));
      run('dwz', ['alone'], directory);
      const entries = run('readelf', ['--debug-dump=info', at('alone')]);
      assert.match(entries, /DW_TAG_imported_unit/, 'units were put together');
      assert.deepEqual(answers(at('alone')), before);

      for (const name of ['one', 'two']) copyFileSync(at(name), at(`${name}-less`));
      run('dwz', ['-m', 'shared.debug', 'one-less', 'two-less'], directory);
      assert.match(run('readelf', ['-SW', at('one-less')]), /\.gnu_debugaltlink/);
      assert.deepEqual(answers(at('one-less')), before);

      // Without that file lines stay, and what it says is missing.
      renameSync(at('shared.debug'), at('elsewhere'));
      const less = answers(at('one-less'));
      assert.match(
        less.problem ?? '',
        /^(source lines|callers of inlined code) are missing: .*the supplementary file shared\.debug is missing/,
      );
      const linesOf = ({ lines }: SourceLines) => lines.map((line) => line && `${line.file}:${line.line}`);
      assert.deepEqual(linesOf(less), linesOf(before));
      assert.ok(!namesIn(less).has('inner_shared_function'), 'no name is made up');

      copyFileSync(at('two'), at('shared.debug'));
      assert.match(
        answers(at('one-less')).problem ?? '',
        /shared\.debug: its build id is \w+; \w+ is required/,
      );
    },
  );
}
