// What proves that an F0 is a lock prefix and no constant: rows of small functions, each with what is known of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { blankCodeMap } from '../../../src/arch/code-map.ts';
import { hasEnd, hasLandingPads } from '../../../src/arch/functions.ts';
import type { RelocatedFields } from '../../../src/arch/proof.ts';
import { proveLocks } from '../../../src/arch/x86-64/flow.ts';
import { findLockPrefixes } from '../../../src/arch/x86-64/sweep.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

interface Known {
  /** Functions as start, end and facts; by default one with a size, over all the code. */
  readonly functions?: readonly (readonly [start: number, end: number, facts: number])[];
  readonly entries?: readonly number[];
  /** Relocated fields as offset, type and target. */
  readonly relocated?: readonly (readonly [offset: number, type: number, target: number])[];
  readonly address?: number;
}

/** The locks that a sweep finds, and whether they are proven. */
function proofs(text: string, known: Known): string {
  const code = hex(text);
  const functions = known.functions ?? [[0, code.length, hasEnd] as const];
  const fields = known.relocated;
  const relocated: RelocatedFields | undefined = fields && {
    offsets: Uint32Array.from(fields, ([offset]) => offset),
    types: Uint32Array.from(fields, ([, type]) => type),
    targets: Float64Array.from(fields, ([, , target]) => target),
  };
  const locks = findLockPrefixes(code, blankCodeMap);
  const proven = proveLocks(
    {
      code,
      functions: {
        starts: Uint32Array.from(functions, ([start]) => start),
        ends: Uint32Array.from(functions, ([, end]) => end),
        facts: Uint8Array.from(functions, ([, , facts]) => facts),
      },
      entries: Float64Array.from(known.entries ?? []),
      relocated,
      address: known.address,
    },
    locks,
  );
  return [...locks].map((at, i) => `${at}${proven[i] === 1 ? '' : '?'}`).join(' ');
}

const lock = 'f0 01 07'; // lock add %eax,(%rdi)
const ret = 'c3';
const PC32 = 2;
const TPOFF32 = 23;

const rows: readonly (readonly [name: string, code: string, proofs: string, known?: Known])[] = [
  ['the flow from the start of a function comes by it', `90 ${lock} ${ret}`, '1'],
  ['no function is known', `90 ${lock} ${ret}`, '1?', { functions: [] }],
  [
    'it stands between two functions',
    `${ret} ${lock} ${ret}`,
    '1?',
    {
      functions: [
        [0, 1, hasEnd],
        [4, 5, hasEnd],
      ],
    },
  ],
  ['a table lies behind the return', `8b 05 02 00 00 00 ${ret} 90 f0 01 07 7a 00`, '8?'],
  ['a table lies behind the return and decodes to the end', `${ret} f0 01 07 ${ret}`, '1?'],
  ['a conditional jump leads to it', `74 01 ${ret} ${lock} ${ret}`, '3'],
  ['a jump leaves a lock out', `74 01 ${lock} ${ret}`, '2'],
  [
    'a jump leads to it in a function without a size',
    `eb 01 90 ${lock} ${ret}`,
    '3',
    { functions: [[0, 7, 0]] },
  ],
  ['a jump leads out of the function', `eb 01 90 ${lock} ${ret}`, '3?', { functions: [[0, 3, hasEnd]] }],
  ['a call returns to it', `e8 00 10 00 00 ${lock} ${ret}`, '5'],
  ['a call leads over it', `e8 03 00 00 00 ${lock} 58 ${ret}`, '5?'],
  [
    'a call that does not return stands in front of data',
    `8b 05 05 00 00 00 e8 00 10 00 00 f0 01 07 06`,
    '11?',
  ],
  ['it is named, behind a call', `8b 05 05 00 00 00 e8 00 10 00 00 ${lock} ${ret}`, '11?'],
  ['it is reached and its middle is named', `8b 05 01 00 00 00 ${lock} ${ret}`, '6?'],
  ['behind a jump through a table, in a function that decodes to its end', `ff e0 ${lock} ${ret}`, '2'],
  ['the same with a REX2 prefix', `d5 10 ff e0 ${lock} ${ret}`, '4'],
  ['behind a jump through a table, where something names it', `8b 05 02 00 00 00 ff e0 ${lock} ${ret}`, '8?'],
  [
    'behind a jump through a table, where an address names it',
    `8b 04 25 09 10 40 00 ff e0 ${lock} ${ret}`,
    '9?',
    { address: 0x401000 },
  ],
  ['behind a jump through a table, in a function that does not decode', `ff e0 ${lock} ${ret} 06`, '2?'],
  [
    'behind a jump through a table, in a function without a size',
    `ff e0 ${lock} ${ret}`,
    '2?',
    { functions: [[0, 6, 0]] },
  ],
  ['behind a jump through a pointer of the GOT', `ff 25 00 10 00 00 ${lock} ${ret}`, '6?'],
  ['at a landing pad', `${ret} ${lock} ${ret}`, '1', { functions: [[0, 5, hasEnd | hasLandingPads]] }],
  ['a static branch leads to it', `0f 1f 44 00 00 ${ret} ${lock} ${ret}`, '6', { entries: [5, 6] }],
  [
    'an object has a relocation in its displacement',
    `f0 ff 05 00 00 00 00`,
    '0',
    { functions: [], relocated: [[3, PC32, Number.NaN]] },
  ],
  [
    'an object has a thread-local address in it',
    `64 f0 83 04 25 00 00 00 00 01`,
    '1',
    { functions: [], relocated: [[5, TPOFF32, Number.NaN]] },
  ],
  [
    'a relocation fills something else in it',
    `f0 ff 05 00 00 00 00`,
    '0?',
    { functions: [], relocated: [[2, PC32, Number.NaN]] },
  ],
  [
    'a field that is not filled yet names nothing',
    `8d 05 00 00 00 00 ${lock} ${ret}`,
    '6',
    { relocated: [[2, PC32, Number.NaN]] },
  ],
  ['a relocated jump leads to it', `e9 00 00 00 00 90 ${lock} ${ret}`, '6', { relocated: [[1, PC32, 2]] }],
  [
    'a relocated jump leads elsewhere',
    `e9 01 00 00 00 90 ${lock} ${ret}`,
    '6?',
    { relocated: [[1, PC32, Number.NaN]] },
  ],
];
for (const [name, code, expected, known] of rows) {
  test(`a lock is ${expected.endsWith('?') ? 'not proven' : 'proven'}: ${name}`, () => {
    assert.equal(proofs(code, known ?? {}), expected);
  });
}

test('functions that overlap without end are not followed without end', () => {
  const size = 20_000;
  const code = `${Buffer.alloc(size, 0x90).toString('hex').slice(0, -8)}f0010706`;
  const functions = Array.from({ length: 5000 }, (_, i) => [i, size, 0] as const);
  // The first comes by it; with none that does, as many are tried as the section has bytes for.
  assert.equal(proofs(code, { functions }), `${size - 4}`);
  assert.equal(
    proofs(`${ret}${code.slice(2)}`, { functions: functions.map(([, end]) => [0, end, 0] as const) }),
    `${size - 4}?`,
  );
});
