// Numbers that must not be mixed up: what the compiler refuses (npm run typecheck), and that nothing is left of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { arm } from '../../src/arch/arm/arm.ts';
import { placeOf } from '../../src/arch/code-pointer.ts';
import { x86_64 } from '../../src/arch/x86-64/x86-64.ts';
import type {
  Address,
  CodePointer,
  EntryAddress,
  SectionNumber,
  SymbolNumber,
} from '../../src/bytes/named-numbers.ts';

const pointer: CodePointer = 0x1001;
const place: Address = 0x1000;
const entry: EntryAddress = 0x2000;
const section: SectionNumber = 3;
const symbol: SymbolNumber = 4;

test('a place is what a code pointer leads to, and the compiler keeps them apart', () => {
  assert.equal(placeOf(arm, pointer), place);
  // @ts-expect-error a place is no code pointer
  assert.equal(placeOf(arm, place), place);
  // @ts-expect-error a code pointer is no place
  const wrong: Address = pointer;
  assert.equal(wrong, 0x1001);
});

test('sections, symbols, entries and places are kept apart as well', () => {
  // @ts-expect-error a section's number is no symbol's
  const a: SymbolNumber = section;
  // @ts-expect-error a symbol's number is no section's
  const b: SectionNumber = symbol;
  // An entry is memory as well, and may be read there.
  const c: Address = entry;
  // @ts-expect-error a place in code is no entry
  const d: EntryAddress = place;
  assert.deepEqual([a, b, c, d], [3, 4, 0x2000, 0x1000]);
});

test('a sum is a plain number, and may become what it is given to', () => {
  const next: Address = place + 5;
  const fromSum: SymbolNumber = symbol + 1;
  assert.deepEqual([next, fromSum, typeof next], [0x1005, 5, 'number']);
  assert.equal(placeOf(x86_64, next + 0), next);
});
