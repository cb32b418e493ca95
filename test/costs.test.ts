// What large and hostile input may cost, in work that is counted (work.ts). These tests have a process of their own,
// for code that is counted runs several times as slow.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { annotate } from '../src/annotate/passes.ts';
import { blankCodeMap } from '../src/arch/code-map.ts';
import { findLockPrefixes, startsInstruction } from '../src/arch/x86-64/sweep.ts';
import { decodeZstd } from '../src/bytes/zstd.ts';
import { linesOfAddresses, linesOfPlaces, type SourceLines } from '../src/dwarf/source-lines.ts';
import { readArchive } from '../src/elf/archive.ts';
import { SHT_RELA } from '../src/elf/constants.ts';
import type { Section } from '../src/elf/file.ts';
import { readElf } from '../src/elf/read.ts';
import { rewriteObject } from '../src/elf/rewrite.ts';
import { objectWithSites } from './annotate/large-objects.ts';
import { fileOf, program, type Shape, table, uleb } from './dwarf/tables.ts';
import { archive, member } from './elf/archives.ts';
import { makeObject, noChange } from './elf/objects.ts';
import { seeded } from './seeded.ts';
import { casesOf } from './tools.ts';
import { workOf } from './work.ts';

test('work is counted: of loops, of methods that are no JavaScript, and nearly the same each time', () => {
  const [few, many] = [100, 10_000].map((count) => archive(...Array<string>(count).fill(member('a.o/', ''))));
  const work = (bytes: Uint8Array) => workOf(() => readArchive(bytes));
  work(few as Uint8Array);
  assert.ok(work(many as Uint8Array) > 10_000, 'a loop is counted');
  const twice = [work(many as Uint8Array), work(many as Uint8Array)] as const;
  // The engine loses the counts of a block here and there when it optimises.
  assert.ok(Math.abs(twice[0] - twice[1]) < 0.05 * twice[0], `${twice[0]}, then ${twice[1]}`);
  assert.ok(workOf(() => new Uint8Array(5000).indexOf(1)) >= 5000, 'a search is counted');
});

test('a zstd block of few bytes does not keep its reader busy', () => {
  // 98,303 sequences, each of which says a match of 131,074 bytes, from tables of one state each.
  const sequences = [0xff, 0xff, 0xff, 0x54, 0, 0, 52];
  const body = [0x00, ...sequences, ...Array<number>(1000).fill(0xff)];
  const size = body.length;
  const frame = Uint8Array.from(
    [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38, (5 | (size << 3)) & 255, (size >> 5) & 255, 0].concat(body),
  );
  assert.ok(workOf(() => assert.throws(() => decodeZstd(frame, 1 << 30))) < 10_000, 'it is refused at once');
});

test('an archive whose members all name one megabyte of its name table costs a look at each byte', () => {
  const names = `${'x'.repeat(1 << 20)}/\n`;
  const bytes = archive(member('//', names), ...Array<string>(20_000).fill(member('/0', '')));
  const work = workOf(() => assert.equal(readArchive(bytes).length, 20_001));
  assert.ok(work < 4 * bytes.length, `${work} for ${bytes.length} bytes`);
});

test('names that all end in the same two megabytes do not cost the square of the file', () => {
  const count = 20_000;
  const names = new Uint8Array((2 << 20) + 1).fill(0x61);
  names[0] = 0;
  names[names.length - 1] = 0;
  const sections = Array.from({ length: count }, (_, i) => ({ name: i === 0 ? '.text' : '' }));
  const bytes = makeObject({ sections, broken: { '.shstrtab': { data: names, size: names.length } } });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const shoff = Number(view.getBigUint64(40, true));
  for (let i = 1; i < count; i++) view.setUint32(shoff + i * 64, i, true);
  const work = workOf(() =>
    assert.throws(() => readElf('x.o', bytes), /too many names of \d+ bytes overlap/),
  );
  // What strings.ts gives out at most is searched once and decoded once.
  const most = (1 << 20) + 4 * names.length;
  assert.ok(work < 4 * bytes.length + 2.1 * most, `${work} for ${bytes.length} bytes`);
});

test('ten times the symbols and relocations cost at most ten times the work', () => {
  const text = { name: '.text', flags: 6, data: new Uint8Array(8).fill(0x90), addralign: 16 };
  const local = { name: 'tp_local', binding: 'local', type: 0, section: 1, value: 0 } as const;
  const work = (count: number) => {
    const data = new Uint8Array(count * 5 * 24);
    const view = new DataView(data.buffer);
    for (let i = 0; i < count * 5; i++) view.setUint32(i * 24 + 12, 1 + (i % count), true);
    const symbols = Array.from({ length: count }, (_, i) => ({
      name: `symbol_${i}`,
      section: 1,
      info: 0x12,
    }));
    const relocations = { name: '.rela.text', type: SHT_RELA, link: 3, info: 1, entsize: 24, data };
    const bytes = makeObject({ symbols, sections: [text, relocations] });
    const added = Array.from(
      { length: count / 10 },
      (_, i) => ({ name: `new_${i}`, binding: 'global', type: 0, section: 0, value: 0 }) as const,
    );
    return workOf(() => rewriteObject(readElf('a.o', bytes), { ...noChange, symbols: [local, ...added] }));
  };
  const [small, large] = [work(4000), work(40_000)];
  assert.ok(large < 10 * small, `${large} after ${small}`);
});

test('ten times the calls, missing keys and jumps of an object cost at most ten times the work', () => {
  const work = (count: number) => {
    const bytes = objectWithSites(count, count, count);
    return workOf(() => assert.equal(annotate('a.o', bytes).stats[0]?.keysAdded.length, count));
  };
  // So many that both search the table of names for new ones as long as they may (string-appender.ts): that is left out.
  const [small, large] = [work(3000) - (64 << 20), work(30_000) - (64 << 20)];
  assert.ok(small > 0, `${small}`);
  assert.ok(large < 10.5 * small, `${large} after ${small}`);
});

test('what stands at each of many places in code that repeats itself, without a symbol, is found in one walk', () => {
  // Walks that begin in different bytes of these calls never meet.
  const work = (count: number) => {
    const code = Uint8Array.from({ length: count * 5 }, (_, i) => (i % 5 === 0 ? 0xe8 : 0));
    return workOf(() => {
      for (let i = 0; i < count; i++) assert.ok(startsInstruction(code, blankCodeMap, i * 5), `call ${i}`);
    });
  };
  const [small, large] = [work(1000), work(10_000)];
  assert.ok(large < 12 * small, `${large} after ${small}`);
});

test('the search for locks in such code looks at each byte a few times', () => {
  const work = (count: number) => {
    // Calls, and a locked increment behind each thousand of them.
    const code = Uint8Array.from({ length: count * 5003 }, (_, i) => {
      const at = i % 5003;
      return at < 5000 ? (at % 5 === 0 ? 0xe8 : 0) : [0xf0, 0xff, 0x07][at - 5000]!;
    });
    return workOf(() => assert.equal(findLockPrefixes(code, blankCodeMap).length, count));
  };
  const [small, large] = [work(2), work(20)];
  assert.ok(large < 12 * small, `${large} after ${small}`);
});

test('300,000 sequences over the same places cost no more than their bytes', () => {
  const shape: Shape = { version: 4, little: true, wide: false, addressSize: 8 };
  // A special opcode that advances the line by 1 less than none, a row, and a long way on.
  const sequence = program(shape, 0x1000, [13 + 4, 2, ...uleb(0x800)]);
  const code = new Uint8Array(sequence.length * 300_000);
  for (let i = 0; i < 300_000; i++) code.set(sequence, i * sequence.length);
  const file = fileOf(table(shape, code));
  const places = Array.from({ length: 2000 }, (_, i) => 0x1000 + i);
  const work = workOf(() => linesOfAddresses(file, places));
  assert.ok(work < 5 * code.length, `${work} for ${code.length} bytes`);
});

const objects = join(import.meta.dirname, '..', 'samples', 'objects');
const samples = readdirSync(objects, { recursive: true, encoding: 'utf8' })
  .filter((name) => /-g(-gz|split-dwarf)?\/(branch|call|comdat)\.o$/.test(name))
  .sort();
const isDebug = ({ name }: Section) => /^\.(rela?)?\.?z?debug_(line|line_str|str)$/.test(name);

const changes = casesOf(20_000);

test(`${changes} seeded changes of line tables in ${samples.length} objects end in an answer, and none is dear`, () => {
  const random = seeded(11);
  const below = (limit: number) => Math.floor(random() * limit);
  const inputs = samples.map((name) => {
    const bytes = new Uint8Array(readFileSync(join(objects, name)));
    return { name, bytes, file: readElf(name, bytes) };
  });
  const damaged = (i: number) => {
    const { name, bytes, file } = inputs[i % inputs.length] as (typeof inputs)[number];
    const sections = file.sections.filter((section) => isDebug(section) && section.size > 0);
    const copy = bytes.slice();
    for (let change = 1 + below(3); change > 0; change--) {
      const { offset, size } = sections[below(sections.length)] as Section;
      const at = offset + below(Math.min(size, random() < 0.5 ? 80 : size));
      copy[at] = random() < 0.3 ? 0xff : below(256);
    }
    const places = file.sections.flatMap(({ index, size }) =>
      [0, 1, 7, 30].filter((offset) => offset < size).map((offset) => ({ section: index, offset })),
    );
    return { name, copy, places };
  };
  let incomplete = 0;
  let dearest = 0;
  // A hundred at once, for to ask for a count takes milliseconds.
  for (let i = 0; i < changes; i += 100) {
    const hundred = Array.from({ length: 100 }, (_, n) => damaged(i + n));
    const results: SourceLines[] = [];
    const work = workOf(() => {
      for (const { name, copy, places } of hundred) results.push(linesOfPlaces(readElf(name, copy), places));
    });
    dearest = Math.max(dearest, work);
    for (const [n, { lines, problem }] of results.entries()) {
      assert.equal(lines.length, hundred[n]?.places.length);
      if (problem === undefined) continue;
      incomplete++;
      assert.ok(!problem.includes('\n'), problem);
    }
  }
  assert.ok(incomplete > changes / 10, `${incomplete} had a problem`);
  // A hundred cost 1,610,000 at most; one that loops for a tenth of a second costs a million more.
  assert.ok(dearest < 2_200_000, `a hundred cost ${dearest}`);
});
