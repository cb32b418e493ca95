// Words of A64 that patching makes, against what an assembler makes.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  addNumber,
  adrpPages,
  andLowBits,
  branchDistance,
  branchWord,
  moveWords,
  rotate,
  withDistance,
  withPages,
} from '../../../src/text/aarch64/words.ts';

const hex = (word: number | undefined) => word?.toString(16).padStart(8, '0');

for (const [name, made, assembled] of [
  ['b .+8', branchWord(false, 0x1000, 0x1008), '14000002'],
  ['bl .-4', branchWord(true, 0x1000, 0xffc), '97ffffff'],
  ['bl farther than 128 MiB', branchWord(true, 0, 1 << 27), undefined],
  ['and x19, x19, #0xfffffff', andLowBits(19, 19, 28), '92406e73'],
  ['ror x19, x19, #28', rotate(19, 19, 28), '93d37273'],
  ['add x19, x19, #0xae1', addNumber(19, 19, 0xae1), '912b8673'],
  ['add x19, x19, #0x9c, lsl #12', addNumber(19, 19, 0x9c << 12), '91427273'],
  ['add x0, x0, #0', addNumber(0, 0, 0), '91000000'],
  ['movz x3, #0x8004', moveWords(3, [0x8004])[0], 'd2900083'],
  ['movk x3, #0x8444, lsl #16', moveWords(3, [0, 0x8444])[1], 'f2b08883'],
  ['b.ne with another distance', withDistance(0x54000041, -8), '54ffffc1'],
  ['tbz that does not reach', withDistance(0x36000000, 1 << 16), undefined],
  ['adrp one page back', withPages(0x90000001, -1), 'f0ffffe1'],
] as const)
  test(`the word of ${name}`, () => assert.equal(hex(made), assembled));

test('distances are read from every form of branch, and from nothing else', () => {
  assert.equal(branchDistance(0x97ffffff), -4); // bl
  assert.equal(branchDistance(0x54000041), 8); // b.ne
  assert.equal(branchDistance(0x34000060), 12); // cbz
  assert.equal(branchDistance(0x37ffffe0), -4); // tbnz
  assert.equal(branchDistance(0xd503201f), undefined); // nop
  assert.equal(adrpPages(0xf0ffffe1), -1);
});
