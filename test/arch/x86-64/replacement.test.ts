// Code that is copied: distances, and what kernels make of an alternative's replacement.
import assert from 'node:assert/strict';
import test from 'node:test';
import { x86_64 } from '../../../src/arch/x86-64/x86-64.ts';
import { hexBytes } from '../../../src/bytes/integer.ts';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const move = (code: string, from: number, to: number) => {
  const moved = x86_64.moveCode?.(bytes(code), from, to);
  return moved && hexBytes(moved);
};

for (const [what, code, moved] of [
  ['a call', 'e8 00 01 00 00', 'e8001f0000'],
  ['a jump', 'e9 00 01 00 00', 'e9001f0000'],
  ['a jcc of 32 bits', '0f 84 00 01 00 00', '0f84001f0000'],
  ['an operand by rip', '48 8b 05 00 01 00 00', '488b05001f0000'],
  ['an operand by rip in front of an immediate', '65 48 c1 3d 00 01 00 00 05', '6548c13d001f000005'],
  ['a jump within the code, to its end too', 'eb 01 90', 'eb0190'],
  ['code without distances', '48 89 c8 c3', '4889c8c3'],
  ['an operand by a register', '48 8b 45 10', '488b4510'],
] as const) {
  test(`${what} is moved: ${moved}`, () => {
    assert.equal(move(code, 0x3000, 0x1200), moved);
  });
}

test('code that does not reach from there, or does not decode, is not moved', () => {
  assert.equal(move('eb 40', 0x3000, 0x2fd0), 'eb70');
  assert.equal(move('eb 40', 0x3000, 0x2f00), undefined);
  assert.equal(move('e8 00 00 00 70', 0x3000_0000, 0), undefined);
  assert.equal(move('06', 0, 1), undefined);
  assert.equal(move('e8 00 00', 0, 1), undefined);
});

const from = 0x3000;
const to = 0x1000;
for (const [what, code, found, is] of [
  ['the code itself', '0f ae e8', '0f ae e8', true],
  ['single NOPs behind it', '0f 01 cb', '0f 01 cb 90 90', true],
  ['a long NOP behind it', '0f 01 cb', '0f 01 cb 66 90', true],
  ['other code behind it', '0f 01 cb', '0f 01 cb 31 c0', false],
  ['a NOP that is longer than its place', '0f 01 cb', '0f 01 cb 0f 1f', false],
  ['nothing but NOPs for no code', '', '0f 1f 44 00 00', true],
  ['a jump over breakpoints', '', `eb 0b ${'cc '.repeat(11)}`, true],
  ['a jump over anything else', '', `eb 0b ${'cc '.repeat(10)}90`, false],
  ['a jump too far', '', `eb 0c ${'cc '.repeat(11)}`, false],
  ['a call that still leads there', 'e8 fb 0f 00 00', 'e8 fb 2f 00 00', true],
  ['a call that leads elsewhere', 'e8 fb 0f 00 00', 'e8 fb 0f 00 00', false],
  ['a short jump with breakpoints', 'e9 0b e0 ff ff', 'eb 0e cc cc cc', true],
  ['a short jump with a NOP', 'e9 0b e0 ff ff', 'eb 0e 0f 1f 00', true],
  ['a short jump that leads elsewhere', 'e9 0b e0 ff ff', 'eb 0f cc cc cc', false],
  ['a short jump with other code', 'e9 0b e0 ff ff', 'eb 0e 31 c0 90', false],
  ['less room than code', '0f ae e8', '0f ae', false],
  ['another byte', '0f ae e8', '0f ae f0', false],
  ['NOPs of the code written otherwise', '90 90 90 c3', '0f 1f 00 c3', true],
] as const) {
  test(`replacement: ${what} is ${is ? 'right' : 'wrong'}`, () => {
    assert.equal(x86_64.isReplacement?.(bytes(found), bytes(code), from, to), is);
  });
}
