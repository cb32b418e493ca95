// Source lines in what dump says: the sites of the samples against addr2line, of objects and of linked images, and
// where they stand in text and JSON.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import type { DumpedFile } from '../../src/dump/model.ts';
import { dumpFile } from '../../src/dump/passes.ts';
import type { SourceLine } from '../../src/dwarf/source-lines.ts';
import { fileSource } from '../../src/files/source.ts';
import { type DumpedEntry, type DumpedPlace, isDead } from '../../src/kinds/shown.ts';
import { dumpJson } from '../../src/output/dump.ts';
import { dumpText } from '../../src/output/dump-text.ts';
import { askAddr2line, assertSame } from '../dwarf/addr2line.ts';
import { annotated, linkedBytes, programUnits, samplePath } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';

const objects = fileURLToPath(new URL('../../samples/objects', import.meta.url));
const sets = readdirSync(objects).filter((set) => /-g(-gz|split-dwarf|dwarf-4)?$/.test(set));

async function dumpOne(path: string, bytes: Uint8Array, inlines = false): Promise<DumpedFile> {
  for await (const file of dumpFile(path, bytes, { inlines })) return file;
  throw new Error('no file');
}

/** The roles that places in code have in entries. */
const roles = ['site', 'target', 'trampoline'] as const;
type WithRoles = DumpedEntry & Partial<Record<(typeof roles)[number], DumpedPlace>>;

/** The places in code of every table, by the role they have. */
function* codePlaces({ tables }: DumpedFile): Generator<DumpedPlace> {
  for (const table of Object.values(tables)) {
    for (const entry of table.entries as readonly WithRoles[]) {
      if (isDead(entry)) continue;
      for (const role of roles) {
        const place = entry[role];
        if (place && !place.undefined) yield place;
      }
    }
  }
}

const lineOf = ({ file, line, ...more }: DumpedPlace): SourceLine | undefined =>
  file === undefined || line === undefined ? undefined : { file, line, ...more };

const tools = [
  { of: /^(gcc|clang)/, addr2line: 'addr2line' },
  { of: /^aarch64/, addr2line: 'aarch64-linux-gnu-addr2line' },
  { of: /^(arm|thumb)/, addr2line: 'arm-linux-gnueabihf-addr2line' },
];

for (const { of, addr2line } of tools) {
  toolTest(
    `every site of the samples with debug information has the line that ${addr2line} gives it`,
    [addr2line],
    async (t) => {
      const directory = scratch(t);
      let known = 0;
      for (const set of sets.filter((name) => of.test(name))) {
        for (const unit of [...programUnits, 'comdat', 'hand', 'inlined'].filter((name) =>
          // addr2line 2.40 takes the base of clang's range lists in objects for 0.
          name === 'inlined' && set === 'clang-O2-g' ? false : existsSync(samplePath(set, name)),
        )) {
          const bytes = annotated(set, unit);
          const path = join(directory, `${set}-${unit}.o`);
          writeFileSync(path, bytes);
          const file = await dumpOne(path, bytes, true);
          // A .dwo file is not read, so nothing says what was inlined.
          const isSplit = set.includes('split');
          if (isSplit)
            assert.match(file.linesProblem ?? '', /^callers of inlined code are missing: .*\.dwo file/);
          else assert.equal(file.linesProblem, undefined);
          const bySection = new Map<string, DumpedPlace[]>();
          for (const place of codePlaces(file)) {
            const section = place.section as string;
            bySection.set(section, [...(bySection.get(section) ?? []), place]);
          }
          for (const [section, places] of bySection) {
            const offsets = places.map(({ offset }) => offset as number);
            const frames = askAddr2line(addr2line, path, section, offsets);
            const truth = isSplit ? frames.map((all) => all.slice(0, 1)) : frames;
            known += assertSame(places.map(lineOf), truth, `${set}/${unit}.o, ${section}`);
          }
        }
      }
      assert.ok(known > 60, `${known} lines`);
    },
  );
}

toolTest('sites of an image have the lines that addr2line gives them', ['gcc', 'addr2line'], async (t) => {
  const directory = scratch(t);
  const units = ['branch', 'call'];
  const paths = units.map((unit) => {
    const path = join(directory, `${unit}.o`);
    writeFileSync(path, annotated('gcc-O2-g', unit));
    return path;
  });
  const image = join(directory, 'image.so');
  run('gcc', [
    '-shared',
    '-nostdlib',
    '-Wl,-z,notext',
    '-Wl,--unresolved-symbols=ignore-all',
    ...paths,
    '-o',
    image,
  ]);
  let known = 0;
  for await (const file of dumpFile(image, fileSource(image), { inlines: true })) {
    const places = [...codePlaces(file)];
    const truth = askAddr2line(
      'addr2line',
      image,
      undefined,
      places.map(({ address }) => Number(address)),
    );
    known += assertSame(places.map(lineOf), truth, image);
  }
  assert.ok(known > 20, `${known} lines`);
});

test('text shows a column of source lines, JSON a file and a line; keys have none', async () => {
  const file = await dumpOne('a.o', annotated('clang-O2-g', 'branch'));
  let text = '';
  for await (const piece of dumpText([file])) text += piece;
  assert.match(text, / {2}site +source +target +key /);
  assert.match(text, / likely_true(\+0x\w+)? +branch\.c:\d+ +likely_true/);
  let json = '';
  for await (const piece of dumpJson([file])) json += piece;
  const source = readFileSync(join(objects, '../src/branch.c'), 'utf8').split('\n');
  const [dumped] = JSON.parse(json).files;
  for (const { site, target, key } of dumped.jumpTable) {
    assert.equal(site.file, 'branch.c');
    assert.match(source[site.line - 1] ?? '', /static_branch_(un)?likely\(/);
    assert.equal('line' in target, 'file' in target);
    assert.deepEqual(['line' in key, 'file' in key], [false, false]);
  }
});

test('without line tables there is no column and no word about lines', async () => {
  for (const bytes of [annotated('gcc-O2', 'branch'), linkedBytes('gcc-O2-g', ['branch'])]) {
    let output = '';
    const file = await dumpOne('a', bytes);
    for await (const piece of dumpText([file])) output += piece;
    for await (const piece of dumpJson([file])) output += piece;
    assert.doesNotMatch(output, /source|line"|lines/);
  }
});

test('line tables that cannot be read are said once, in text and in JSON', async () => {
  const file = {
    ...(await dumpOne('a.o', annotated('gcc-O2', 'branch'))),
    linesProblem: 'source lines are missing: so',
  };
  let text = '';
  for await (const piece of dumpText([file])) text += piece;
  assert.equal(text.match(/^ {2}problem: source lines are missing: so$/gm)?.length, 1);
  let json = '';
  for await (const piece of dumpJson([file])) json += piece;
  assert.deepEqual(JSON.parse(json).files[0].problems, { sourceLines: ['source lines are missing: so'] });
});
