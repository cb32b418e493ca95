// Tables of a flat ARM kernel whose kallsyms has functions alone: found by what their entries are, or by what the code at
// the kernel's start says of them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { findAltSmp } from '../../src/kernel/files/flat-tables.ts';

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
