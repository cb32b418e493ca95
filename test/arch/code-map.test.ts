// Code maps: what symbols say of the bytes behind them, on machines with mapping symbols and without.
import assert from 'node:assert/strict';
import test from 'node:test';
import { aarch64 } from '../../src/arch/aarch64/aarch64.ts';
import { arm } from '../../src/arch/arm/arm.ts';
import { codeMapOf, isAllData, isNameless, type SymbolRules, symbolPlace } from '../../src/arch/code-map.ts';
import { placeOf } from '../../src/arch/code-pointer.ts';
import { x86_64 } from '../../src/arch/x86-64/x86-64.ts';
import {
  SHT_PROGBITS,
  STB_GLOBAL,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
  STT_SECTION,
} from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import type { SymbolTable } from '../../src/elf/symbols.ts';
import { makeObject } from '../elf/objects.ts';

const size = 0x40;

/** Symbols of one section: name, value and st_info. */
function symbolsOf(rows: readonly (readonly [name: string, value: number, info: number])[]): SymbolTable {
  const file = readElf(
    'test.o',
    makeObject({
      class: 32,
      sections: [{ name: '.text', type: SHT_PROGBITS, data: new Uint8Array(size), size }],
      symbols: rows.map(([name, value, info]) => ({ name, value, section: 1, info })),
      firstGlobal: 1,
    }),
  );
  return file.symbols(file.symtab ?? assert.fail());
}

function mapOf(arch: SymbolRules, symbols: SymbolTable) {
  const members = Array.from({ length: symbols.count - 1 }, (_, i) => i + 1);
  const map = codeMapOf(arch, symbols, members, (i) => symbolPlace(arch, symbols, i), size);
  return { starts: [...map.starts], data: [...map.data], thumb: [...map.thumb] };
}

test('data symbols make data of everything up to the next symbol', () => {
  const symbols = symbolsOf([
    ['', 0, STT_SECTION],
    ['f', 0, STT_FUNC],
    ['table', 8, STT_OBJECT],
    ['more', 0x10, STT_OBJECT],
    ['label', 0x18, STT_NOTYPE],
    ['last', 0x30, STT_OBJECT],
  ]);
  const expected = { starts: [0, 0x18], data: [8, 0x18, 0x30, size], thumb: [] };
  assert.deepEqual(mapOf(x86_64, symbols), expected);
});

test('a place that is named as code and as data is code', () => {
  const symbols = symbolsOf([
    ['table', 8, STT_OBJECT],
    ['f', 8, STT_FUNC],
    ['table2', 8, STT_OBJECT],
  ]);
  assert.deepEqual(mapOf(x86_64, symbols), { starts: [8], data: [], thumb: [] });
});

test('symbols at the end of a section or behind it say nothing of it', () => {
  const symbols = symbolsOf([
    ['end', size, STT_OBJECT],
    ['behind', size + 4, STT_FUNC],
  ]);
  assert.deepEqual(mapOf(x86_64, symbols), { starts: [], data: [], thumb: [] });
});

test('from the first mapping symbol on these decide, and other symbols keep what they said before it', () => {
  const rows = [
    ['early', 0, STT_OBJECT],
    ['$x', 8, STT_NOTYPE],
    ['table', 0x10, STT_OBJECT],
    ['$d', 0x20, STT_NOTYPE],
    ['f', 0x28, STT_FUNC],
  ] as const;
  const expected = { starts: [8, 0x10], data: [0, 8, 0x20, size], thumb: [] };
  assert.deepEqual(mapOf(aarch64, symbolsOf(rows)), expected);
});

test('a mapping symbol is local and has no type; on x86-64 its name means nothing', () => {
  for (const info of [STT_OBJECT, (STB_GLOBAL << 4) | STT_NOTYPE])
    assert.equal(isNameless(aarch64, symbolsOf([['$d', 0, info]]), 1), false);
  const local = symbolsOf([['$d', 0, STT_NOTYPE]]);
  assert.equal(isNameless(aarch64, local, 1), true);
  assert.equal(isNameless(x86_64, local, 1), false);
  assert.deepEqual(mapOf(x86_64, local), { starts: [0], data: [], thumb: [] });
});

test('labels of compilers name nothing where relocations keep them in the table', () => {
  const symbols = symbolsOf([
    ['.L12', 0, STT_NOTYPE],
    ['L12', 0, STT_NOTYPE],
  ]);
  assert.deepEqual([isNameless(arm, symbols, 1), isNameless(x86_64, symbols, 1)], [true, false]);
  assert.equal(isNameless(arm, symbols, 2), false);
});

test('bit 0 of a function makes Thumb code of what lies behind it, and is no part of its place', () => {
  const symbols = symbolsOf([
    ['thumb', 1, STT_FUNC],
    ['arm', 0x10, STT_FUNC],
    ['odd', 0x21, STT_OBJECT],
  ]);
  assert.deepEqual(mapOf(arm, symbols), { starts: [0, 0x10], data: [0x21, size], thumb: [0, 0x10] });
  assert.deepEqual(
    [1, 2, 3].map((i) => symbolPlace(arm, symbols, i)),
    [0, 0x10, 0x21],
  );
  assert.equal(symbolPlace(x86_64, symbols, 1), 1);
});

test('bytes are data as a whole or not at all', () => {
  const map = { starts: new Uint32Array(0), data: Uint32Array.of(8, 16, 32, 40), thumb: new Uint32Array(0) };
  for (const [offset, length, expected] of [
    [7, 1, false],
    [8, 8, true],
    [8, 9, false],
    [15, 1, true],
    [16, 1, false],
    [36, 4, true],
    [40, 1, false],
  ] as const) {
    assert.equal(isAllData(map, offset, length), expected, `${length} bytes at ${offset}`);
  }
});

test('a code pointer leads to its place, whatever its sign', () => {
  assert.deepEqual(
    [4, 5, -3].map((pointer) => placeOf(arm, pointer)),
    [4, 4, -4],
  );
  assert.deepEqual(
    [4, 5, -3].map((pointer) => placeOf(x86_64, pointer)),
    [4, 5, -3],
  );
});
