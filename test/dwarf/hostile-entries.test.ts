// Entries of .debug_info that nobody compiles: the question is answered, in work that follows from the bytes, and what
// is missing is said.
import assert from 'node:assert/strict';
import test from 'node:test';
import { CallChains } from '../../src/dwarf/call-chains.ts';
import * as dw from '../../src/dwarf/constants.ts';
import { Problems } from '../../src/dwarf/problems.ts';
import { linesOfAddresses } from '../../src/dwarf/source-lines.ts';
import { WantedPlaces } from '../../src/dwarf/wanted.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { TextpokeError } from '../../src/errors.ts';
import { workOf } from '../work.ts';
import {
  abbreviations,
  address,
  compileUnit,
  compileUnitEntry,
  fileWith,
  headSize,
  type MadeAbbreviation,
  unitOf,
} from './entries.ts';
import { fixed } from './tables.ts';

const start = 0x1000;
const range = [
  [dw.DW_AT_low_pc, dw.DW_FORM_addr],
  [dw.DW_AT_high_pc, dw.DW_FORM_data4],
] as const;
const rangeOf = (low: number, size: number) => [...address(low), ...fixed(size, 4, true)];
const named = [dw.DW_AT_name, dw.DW_FORM_string] as const;
const origin = [dw.DW_AT_abstract_origin, dw.DW_FORM_ref4] as const;
const offset = (value: number) => fixed(value, 4, true);

const ask = (file: ElfFile, addresses: readonly number[] = [start]) =>
  linesOfAddresses(file, addresses, undefined, { inlines: true });

/** A function at `start` of 4096 bytes as entry 2, and what is inlined there as entry 3. */
const nest: readonly MadeAbbreviation[] = [
  compileUnit,
  [dw.DW_TAG_subprogram, true, ...range],
  [dw.DW_TAG_inlined_subroutine, false, ...range, origin],
];

/** A unit that ends behind `entries`, which stand in the function of `nest`. */
const inFunction = (entries: readonly number[], version = 4) =>
  unitOf([...compileUnitEntry, 2, ...rangeOf(start, 0x10_0000), ...entries, 0, 0], version);

const inlined = (at: number, name: number) => [3, ...rangeOf(at, 1), ...offset(name)];
const many = <Row>(count: number, row: (i: number) => readonly Row[]): Row[] =>
  Array.from({ length: count }, (_, i) => row(i)).flat();
const places = (count: number) => Array.from({ length: count }, (_, i) => start + i);

const line = { file: 'dir/a.c', line: 2 };

test('entries that name each other in a circle have no name', () => {
  const first = headSize() + compileUnitEntry.length + 1 + 12;
  const second = first + 1 + 12 + 4;
  for (const target of [first, second, second + 17]) {
    const entries = [...inlined(start, second), ...inlined(start + 1, target), ...inlined(start + 2, first)];
    const { lines, problem } = ask(
      fileWith({ info: inFunction(entries), abbrev: abbreviations(...nest) }),
      places(3),
    );
    assert.deepEqual(lines, [line, line, line], 'calls of line 0 are not shown');
    assert.equal(problem, undefined);
  }
});

test('a supplementary file that is missing is looked for once', () => {
  const count = 50;
  const abbrev = abbreviations(...nest.slice(0, 2), [
    dw.DW_TAG_inlined_subroutine,
    false,
    ...range,
    [dw.DW_AT_abstract_origin, dw.DW_FORM_GNU_ref_alt],
  ]);
  let looked = 0;
  const problems = new Problems('callers of inlined code');
  const supplement = () => {
    looked++;
    throw new TextpokeError('elf-malformed', 'it is missing');
  };
  const chains = new CallChains(
    fileWith({ info: inFunction(many(count, (i) => inlined(start + i, i))), abbrev }),
    supplement,
    problems,
  );
  const wanted = new WantedPlaces([...places(count).keys()], (i) => start + i);
  const lineTables = new Int32Array(count);
  chains.search({ wanted: new Map([[0, wanted]]), lineTables, lineTableAt: () => 0 });
  chains.readNames();
  assert.equal(looked, 1);
  assert.match(problems.text ?? '', /^callers of inlined code are missing: .*it is missing \(and 49 more\)$/);
});

/** What is asked of a file that has `count` of what it is about. */
interface Row {
  readonly name: string;
  readonly make: (count: number) => Readonly<Record<string, ArrayLike<number>>>;
  readonly asked?: (count: number) => readonly number[];
  readonly problem?: RegExp;
}

/** The abbreviations of `nest`, with a unit that says where its offsets of names are, or its ranges, or addresses. */
const withTables = (attribute: number, more: readonly MadeAbbreviation[] = []) =>
  abbreviations([...compileUnit, [attribute, dw.DW_FORM_sec_offset]], ...nest.slice(1), ...more);

const rangesOf = (count: number, list: number, version: number, entry: (i: number) => readonly number[]) =>
  unitOf([...compileUnitEntry, ...many(count, (i) => [2, ...entry(i), ...offset(list), 0]), 0], version);
const listed = abbreviations(compileUnit, [
  dw.DW_TAG_subprogram,
  true,
  [dw.DW_AT_ranges, dw.DW_FORM_sec_offset],
]);

const rows: readonly Row[] = [
  {
    name: 'names in a unit whose table of names is missing',
    make: (count) => ({
      info: unitOf([
        ...[...compileUnitEntry, ...offset(8)],
        ...[2, ...rangeOf(start, 0x10_0000)],
        ...many(count, (i) => inlined(start + i, 11)),
        ...[0, 0],
      ]),
      abbrev: withTables(dw.DW_AT_str_offsets_base),
    }),
    asked: places,
    problem:
      /^callers of inlined code are missing: .*the section \.debug_str_offsets is missing \(and \d+ more\)/,
  },
  {
    name: 'names in a unit behind that cannot be opened',
    make: (count) => {
      const first = inFunction(many(count, (i) => inlined(start + i, 0)));
      // Each of them names another entry of the second unit.
      const entries = many(count, (i) => inlined(start + i, first.length + 20 + i));
      const other = unitOf(new Uint8Array(40 * count), 4, 0xffff);
      return { info: Buffer.concat([inFunction(entries), other]), abbrev: abbreviations(...nest) };
    },
    asked: places,
    problem: /the abbreviations are cut \(and \d+ more\)/,
  },
  {
    name: 'names that overlap',
    make: (count) => {
      // Each byte of the text is an entry whose name is the rest of it.
      const head = headSize() + compileUnitEntry.length + 13 + 17 * count + 2;
      const entries = many(count, (i) => inlined(start + i, head + i));
      const unit = [...compileUnitEntry, 2, ...rangeOf(start, 0x10_0000), ...entries, 0];
      const text = [4, ...new Array(4 * count).fill(4), 0];
      return {
        info: unitOf([...unit, ...text, 0]),
        abbrev: abbreviations(...nest, [dw.DW_TAG_subprogram, false, named]),
      };
    },
    asked: places,
  },
  {
    name: 'entries that lie in each other',
    make: (count) => ({
      info: unitOf([...compileUnitEntry, ...new Array(100 * count).fill(2)]),
      abbrev: abbreviations(compileUnit, [dw.DW_TAG_namespace, true]),
    }),
    problem: /more than 10000 entries lie in each other/,
  },
  {
    name: 'functions that are inlined in each other',
    make: (count) => ({
      info: inFunction([
        ...many(30 * count, () => inlined(start, 0).with(0, 4)),
        ...new Array(30 * count).fill(0),
      ]),
      abbrev: abbreviations(...nest, [dw.DW_TAG_inlined_subroutine, true, ...range, origin]),
    }),
    problem: /too many functions overlap|more than 10000 entries/,
  },
  {
    name: 'abbreviations that many units share',
    make: (count) => ({
      info: Buffer.concat(Array.from({ length: count }, (_, i) => unitOf([1, 0], 4, i))),
      abbrev: [1, dw.DW_TAG_namespace, 0, ...new Array(60 * count).fill(dw.DW_FORM_udata), 0, 0, 0],
    }),
  },
  {
    name: 'abbreviations without end',
    make: (count) => ({
      info: unitOf([1, 0]),
      abbrev: [1, dw.DW_TAG_namespace, 0, ...new Array(3000 * count).fill(dw.DW_FORM_udata), 0, 0, 0],
    }),
    problem: /a table of abbreviations has more than 1048576 bytes/,
  },
  {
    name: 'one list of ranges for many functions',
    make: (count) => ({
      info: rangesOf(count, 0, 4, () => []),
      ranges: [
        ...many(count, (i) => [...address(start + 0x9000 + i), ...address(start + 0x9001 + i)]),
        ...address(0),
        ...address(0),
      ],
      abbrev: listed,
    }),
    problem: /entries share too many ranges/,
  },
  {
    name: 'ranges of long numbers',
    make: (count) => ({
      info: rangesOf(count, 0, 5, () => []),
      rnglists: [dw.DW_RLE_offset_pair, ...new Array(20 * count).fill(0x80), 0, 1, 0],
      abbrev: listed,
    }),
    problem: /a number has more than 32 bytes/,
  },
  {
    name: 'entries whose forms are forms of forms',
    make: (count) => ({
      info: unitOf([
        ...compileUnitEntry,
        ...many(count, () => [2, ...new Array(40).fill(dw.DW_FORM_indirect), dw.DW_FORM_flag_present]),
        0,
      ]),
      abbrev: abbreviations(compileUnit, [
        dw.DW_TAG_subprogram,
        false,
        [dw.DW_AT_low_pc, dw.DW_FORM_indirect],
      ]),
    }),
  },
  {
    name: 'units of a few bytes',
    make: (count) => ({
      info: Buffer.concat(Array.from({ length: 10 * count }, () => unitOf([0]))),
      abbrev: abbreviations(compileUnit),
    }),
  },
];

for (const { name, make, asked = () => [start], problem } of rows) {
  test(`work follows from the bytes: ${name}`, () => {
    const count = 100;
    const costs = [count, 4 * count].map((size) => {
      const file = fileWith(make(size));
      const wanted = asked(size);
      let answer: ReturnType<typeof ask> | undefined;
      const work = workOf(() => {
        answer = ask(file, wanted);
      });
      assert.ok(
        answer?.lines.every((one) => one?.line === 2 || one?.line === undefined),
        'lines stay',
      );
      if (problem && size > count) assert.match(answer?.problem ?? '', problem);
      return work / (file.source.size + 50 * wanted.length);
    });
    const [small, large] = costs as [number, number];
    assert.ok(large < 2 * small + 10, `${large} for each byte after ${small}`);
  });
}
