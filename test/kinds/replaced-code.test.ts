// The kernel's alternatives: their table, and locks that lay in code which one of them replaced.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readAlternatives } from '../../src/image/alternatives.ts';
import {
  dataAt,
  hex,
  initAt,
  kernelImage,
  type MadeKernel,
  textAt,
  verifyRunning,
  word,
} from './made-kernel.ts';

const locks = dataAt + 0x400;
const [lock, other] = [textAt + 0x42, textAt + 0x80];
const place = textAt + 0x40;
const replacement = textAt + 0x1800;
const alternatives = initAt + 0x100;

/** Entries of `size` bytes: one at the place, with the code that replaces it, and one more that names no lock. */
function kernel(
  size: 12 | 14,
  change: Partial<Record<'length' | 'replacementLength', number>> = {},
): MadeKernel {
  const { length = 7, replacementLength = 4 } = change;
  const entry = (at: number, address: number, feature: number, lengths: readonly number[]) => {
    const flags =
      size === 12 ? [feature & 0xff, (feature >> 8) | 0x80] : [feature & 0xff, feature >> 8, 1, 0];
    return [
      [at, word(address - at, 4)],
      [at + 4, word(replacement - at - 4, 4)],
      [at + 8, Uint8Array.of(...flags, ...lengths)],
    ] as const;
  };
  return {
    version: '6.12.0',
    symbols: {
      f: textAt,
      __smp_locks: locks,
      __smp_locks_end: locks + 8,
      __alt_instructions: alternatives,
      __alt_instructions_end: alternatives + 2 * size,
    },
    bytes: [
      [locks, word(lock - locks, 4)],
      [locks + 4, word(other - locks - 4, 4)],
      [place, '31 c0 f0 0f b1 0f 90'], // xor %eax, %eax; lock cmpxchg %ecx, (%rdi); nop
      [other, 'f0 ff 07'],
      [replacement, '87 0f 31 c0'],
      ...entry(alternatives, place, 0x123, [length, replacementLength]),
      ...entry(alternatives + size, textAt + 0x90, 7, [3, 0]),
    ],
  };
}

const rules = ({ findings }: { findings: readonly { rule: string; address: number | undefined }[] }) =>
  findings.map(({ rule, address }) => `${rule} ${(address ?? Number.NaN) - textAt}`);

for (const size of [12, 14] as const) {
  test(`entries of ${size} bytes are told by what they name`, () => {
    const table = readAlternatives(kernelImage(kernel(size)));
    assert.equal(table?.count, 2);
    assert.deepEqual(table?.at(lock), [
      {
        entry: alternatives,
        address: place,
        length: 7,
        replacement,
        replacementLength: 4,
        feature: 0x123,
        isInverted: true,
        isDirectCall: false,
      },
    ]);
    assert.deepEqual([table?.at(place - 1), table?.at(place + 7)], [[], []]);
    assert.equal(table?.at(place + 6).length, 1);
  });

  test(`a lock in code that an alternative replaced is no lock any more (entries of ${size} bytes)`, () => {
    const made = kernel(size);
    assert.deepEqual(rules(verifyRunning(made)), []);
    for (const fill of ['90 90 90', '0f 1f 00', '66 90 90'])
      assert.deepEqual(rules(verifyRunning(made, [[place, `87 0f 31 c0 ${fill}`]])), []);
    // On one CPU it is not missed either.
    assert.deepEqual(
      rules(
        verifyRunning(
          made,
          [
            [place, '87 0f 31 c0 0f 1f 00'],
            [other, '3e'],
          ],
          1,
        ),
      ),
      [],
    );
    // Nothing that no alternative makes.
    for (const text of ['87 0f 31 c9 0f 1f 00', '87 0f 31 c0 0f 1f 44', '31 c0 90 0f b1 0f 90'])
      assert.equal(rules(verifyRunning(made, [[place, text]])).length, 1, text);
  });
}

test('a table that reads like entries of no size is none', () => {
  const withTable = (made: MadeKernel) => readAlternatives(kernelImage(made));
  assert.equal(withTable(kernel(14, { replacementLength: 8 })), undefined);
  assert.equal(withTable(kernel(14, { length: 0 })), undefined);
  const made = kernel(14);
  assert.equal(withTable({ ...made, bytes: [...(made.bytes ?? []), [alternatives, word(0, 4)]] }), undefined);
  const cut = { ...made.symbols, __alt_instructions_end: alternatives + 15 };
  assert.equal(withTable({ ...made, symbols: cut }), undefined);
  const outside = { ...made.symbols, __alt_instructions_end: alternatives + 0x100000 };
  assert.equal(withTable({ ...made, symbols: outside }), undefined);
  assert.equal(withTable({ ...made, symbols: { f: textAt } }), undefined);
  // Then the lock that is gone is missing.
  assert.equal(
    verifyRunning(kernel(14, { replacementLength: 8 }), [[place, hex('87 0f 31 c0 0f 1f 00')]]).findings
      .length,
    1,
  );
});
