// The functions of .eh_frame: one row for each form that compilers write, and what a torn section gives.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readFrames } from '../../src/dwarf/frames.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** Read as if the section were at address 0x1000. */
function frames(text: string): string[] {
  const found = readFrames(hex(text), true, {
    resolve: (at, value, isRelative) => ({ section: 0, offset: isRelative ? 0x1000 + at + value : value }),
    isRelocated: () => false,
  });
  return found.map(
    ({ start, end, hasLandingPads }) =>
      `${start.toString(16)}-${end.toString(16)}${hasLandingPads ? ' pads' : ''}`,
  );
}

// length, id 0, version 1, "zR", code and data alignment, return address, 1 byte of augmentation: pcrel sdata4, padding.
const cie = '14000000 00000000 01 7a5200 01 78 10 01 1b 0c070890 01 0000';
// "zPLR": personality (absolute, 4 bytes), LSDA pcrel sdata4, pointers pcrel sdata4.
const cieWithLsda = '1c000000 00000000 01 7a504c5200 01 78 10 07 03 44332211 1b 1b 0c070890010000';

test('an FDE names its function relative to its own place, and how long it is', () => {
  assert.deepEqual(frames(`${cie} 10000000 1c000000 e0ffffff 20000000 00 000000`), ['1000-1020']);
});
test('an FDE with an LSDA has landing pads, and one with a null pointer has none', () => {
  const fde = (lsda: string) => `14000000 24000000 d8ffffff 20000000 04 ${lsda} 000000`;
  assert.deepEqual(frames(`${cieWithLsda} ${fde('01000000')}`), ['1000-1020 pads']);
  assert.deepEqual(frames(`${cieWithLsda} ${fde('00000000')}`), ['1000-1020']);
});
test('a terminator, a torn entry and an FDE without a CIE end or skip the list', () => {
  const fde = '10000000 1c000000 e0ffffff 20000000 00 000000';
  assert.deepEqual(frames(`00000000 ${cie} ${fde}`), []);
  assert.deepEqual(frames(`${cie} ${fde.slice(0, -8)}`), []);
  assert.deepEqual(frames('10000000 ff000000 e0ffffff 20000000 00 000000'), []);
  assert.deepEqual(frames(`${cie} ffffffff ffffffffffffff7f ${fde}`), []);
  for (let size = 0; size < 44; size++) {
    assert.ok(Array.isArray(frames(`${cie} ${fde}`.replaceAll(' ', '').slice(0, 2 * size))), `${size} bytes`);
  }
});
