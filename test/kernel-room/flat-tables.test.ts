// Tables of a flat ARM kernel whose kallsyms has functions alone: found by what their entries are, or by what the code at
// the kernel's start says of them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { findAltSmp, findBtf } from '../../src/kernel/files/flat-tables.ts';

const start = 0xc0208000;
const codeStart = start + 0x1000;
const tableAt = 0x4000;

interface Made {
  /** Entries in a row of .alt.smp.init, and of a table of addresses behind it. */
  readonly entries: number;
  readonly addresses: number;
  /** Whether the first entry is about a word of data. */
  readonly isDataFirst?: boolean;
  /** What the code at the start says: pairs of a begin and an end, as offsets. */
  readonly said?: readonly (readonly [number, number])[];
  /** Entries of the same form in another place. */
  readonly others?: number;
}

function memoryOf({ entries, addresses, isDataFirst, said = [], others = 0 }: Made) {
  const bytes = new Uint8Array(0x10000);
  const view = new DataView(bytes.buffer);
  for (let at = 0x1000; at < 0x4000; at += 4) view.setUint32(at, 0xf57ff05b, true); // dmb ish
  const entry = (at: number, site: number) => {
    view.setUint32(at, site, true);
    view.setUint32(at + 4, 0xe320f000, true);
  };
  for (let i = 0; i < entries; i++)
    entry(tableAt + 8 * i, isDataFirst && i === 0 ? start + 0xf000 : codeStart + 4 * i);
  const behind = tableAt + 8 * entries;
  for (let i = 0; i < addresses; i++) view.setUint32(behind + 4 * i, codeStart + 8 * i, true);
  for (let i = 0; i < others; i++) entry(0x9000 + 8 * i, codeStart + 4 * i);
  said.forEach(([from, to], i) => {
    view.setUint32(0x40 + 16 * i, start + 0x40 + 16 * i, true);
    view.setUint32(0x44 + 16 * i, start + from, true);
    view.setUint32(0x48 + 16 * i, start + to, true);
  });
  const end = start + bytes.length;
  const isCode = (address: number) => address >= codeStart && address < start + 0x4000;
  return { bytes, little: true, start, end, isCode };
}

const rows: readonly { name: string; made: Made; found: readonly [number, number] | undefined | RegExp }[] = [
  {
    name: 'is the one stretch that reads like it',
    made: { entries: 100, addresses: 0 },
    found: [tableAt, tableAt + 800],
  },
  { name: 'is none where there are few entries', made: { entries: 8, addresses: 0 }, found: undefined },
  {
    name: 'is not guessed where two stretches read like it',
    made: { entries: 100, addresses: 0, others: 90 },
    found: /several stretches read like it/,
  },
  {
    name: 'is the one that the code says, of two',
    made: { entries: 100, addresses: 0, others: 90, said: [[tableAt, tableAt + 800]] },
    found: [tableAt, tableAt + 800],
  },
  {
    name: 'begins with an entry about data where the code says so',
    made: { entries: 100, addresses: 0, isDataFirst: true, said: [[tableAt, tableAt + 800]] },
    found: [tableAt, tableAt + 800],
  },
  {
    name: 'is no table of addresses that the code tells of too (__pv_table_begin)',
    made: {
      ...{ entries: 100, addresses: 40 },
      said: [
        [tableAt, tableAt + 800],
        [tableAt + 800, tableAt + 960],
      ],
    },
    found: [tableAt, tableAt + 800],
  },
  {
    name: 'is looked for where what the code says is outside of the kernel',
    made: { entries: 100, addresses: 0, said: [[tableAt, 0x20000]] },
    found: [tableAt, tableAt + 800],
  },
];
for (const { name, made, found } of rows) {
  test(`.alt.smp.init ${name}`, () => {
    const memory = memoryOf(made);
    if (found instanceof RegExp) assert.throws(() => findAltSmp(memory), found);
    else assert.deepEqual(findAltSmp(memory), found && { start: start + found[0], end: start + found[1] });
  });
}

/** The types of a kernel, of sizes that their header says, in front of which something else lies. */
function typesAt(places: readonly number[], change?: (header: DataView) => void) {
  const memory = memoryOf({ entries: 0, addresses: 0 });
  for (const at of places) {
    memory.bytes.set([0x9f, 0xeb, 1, 0], at);
    const header = new DataView(memory.bytes.buffer, at, 24);
    for (const [i, value] of [24, 0, 64, 64, 32].entries()) header.setUint32(4 + 4 * i, value, true);
    memory.bytes.fill(0x61, at + 24 + 64 + 1, at + 24 + 64 + 31);
    change?.(header);
  }
  return findBtf(memory);
}

const types: readonly { name: string; found: boolean; places?: number[]; change?: (h: DataView) => void }[] =
  [
    { name: 'are found by their header', found: true },
    { name: 'are not guessed of two', found: false, places: [0x8000, 0x9000] },
    { name: 'have a header of 24 bytes', found: false, change: (h) => h.setUint32(4, 32, true) },
    { name: 'are followed by their names', found: false, change: (h) => h.setUint32(16, 60, true) },
    { name: 'have names that end', found: false, change: (h) => h.setUint32(20, 31, true) },
    { name: 'end in the kernel', found: false, change: (h) => h.setUint32(20, 0x10000, true) },
  ];
for (const { name, found, places = [0x8000], change } of types) {
  test(`types ${name}`, () => {
    const at = start + 0x8000;
    assert.deepEqual(typesAt(places, change), found ? { start: at, end: at + 24 + 64 + 32 } : undefined);
  });
}
