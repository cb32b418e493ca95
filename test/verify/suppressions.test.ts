// Suppressions: what each form takes out, what is said of those that match nothing, and what a configuration may hold.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { TextpokeError } from '../../src/errors.ts';
import type { Located } from '../../src/verify/finding.ts';
import { parseConfig, suppress } from '../../src/verify/suppressions.ts';
import { workOf } from '../work.ts';

const schema = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'config.schema.json'), 'utf8');
const conforms = new Ajv2020({ strict: true, strictRequired: false }).compile(JSON.parse(schema));
const reason = 'known';

const findings: readonly Located[] = [
  {
    rule: 'TP010',
    address: 1,
    place: 'sync_set_bit+0x4',
    message: '',
    source: { file: '/src/lib/sync.c', line: 1 },
  },
  { rule: 'TP010', address: 2, place: 'other', message: '', source: { file: 'lib/other.c', line: 2 } },
  { rule: 'TP009', address: 3, place: 'sync_set_bit+0x9', message: '' },
];

/** Addresses of what one suppression takes out, and whether it is told to be unused. */
function effect(suppression: object): { out: (number | undefined)[]; unused: boolean } {
  const config = { schema: 'textpoke.config/1', suppress: [{ reason, ...suppression }] };
  assert.ok(conforms(config), JSON.stringify(conforms.errors));
  const { kept, suppressed } = suppress(findings, parseConfig(JSON.stringify(config)), 'config.json');
  const out = suppressed.map(({ finding }) => finding.address);
  const unused = kept.filter(({ rule }) => rule === 'TP026');
  assert.equal(kept.length + suppressed.length, findings.length + unused.length);
  for (const { place } of unused) assert.equal(place, 'config.json');
  return { out, unused: unused.length > 0 };
}

for (const [suppression, out] of [
  [{ rule: 'TP010' }, [1, 2]],
  [{ rule: 'TP010', symbol: 'sync_*' }, [1]],
  [{ rule: 'TP010', symbol: 'sync_set_bit+0x4' }, [1]],
  [{ rule: 'TP010', symbol: 'sync_set_bi' }, []],
  [{ rule: 'TP010', symbol: 'othe?' }, [2]],
  [{ rule: 'TP010', file: 'lib/*.c' }, [1, 2]],
  [{ rule: 'TP010', file: 'sync.c' }, [1]],
  [{ rule: 'TP010', file: 'ync.c' }, []],
  [{ rule: 'TP010', file: '/src/*' }, [1]],
  [{ rule: 'TP010', symbol: 'other', file: 'sync.c' }, []],
  [{ rule: 'TP009', file: '*' }, []],
  [{ rule: 'TP009' }, [3]],
] as const) {
  test(`${JSON.stringify(suppression)} takes out ${out.length} of ${findings.length}`, () => {
    assert.deepEqual(effect(suppression), { out, unused: out.length === 0 });
  });
}

test('the first suppression that matches is the one that is used', () => {
  const twice = [{ rule: 'TP009', reason: 'a' } as const, { rule: 'TP009', reason: 'b' } as const];
  const { kept, suppressed } = suppress(findings, twice, 'config.json');
  assert.deepEqual(
    suppressed.map((s) => s.reason),
    ['a'],
  );
  assert.match(kept.at(-1)!.message, /^suppress\[1\] \(TP009\) matches no finding$/);
});

for (const [text, message] of [
  ['{', /the file is not valid JSON/],
  ['[]', /an object is required/],
  ['{"suppress": []}', /schema: "textpoke\.config\/1" is required/],
  ['{"schema": "textpoke.config/1"}', /suppress: an array is required/],
  ['{"schema": "textpoke.config/1", "suppress": [], "more": 1}', /unknown field "more"/],
  ['{"schema": "textpoke.config/1", "suppress": [1]}', /suppress\[0\]: an object is required/],
  [
    '{"schema": "textpoke.config/1", "suppress": [{"rule": "TP009"}]}',
    /suppress\[0\]\.reason: a string that is not empty or blank is required/,
  ],
  [
    '{"schema": "textpoke.config/1", "suppress": [{"rule": "TP009", "reason": " "}]}',
    /\.reason: a string that is not empty or blank is required/,
  ],
  [
    '{"schema": "textpoke.config/1", "suppress": [{"reason": "x"}]}',
    /suppress\[0\]\.rule: a string that is not empty or blank is required/,
  ],
  ['{"schema": "textpoke.config/1", "suppress": [{"rule": "TP999", "reason": "x"}]}', /unknown rule "TP999"/],
  [
    '{"schema": "textpoke.config/1", "suppress": [{"rule": "toString", "reason": "x"}]}',
    /unknown rule "toString"/,
  ],
  [
    '{"schema": "textpoke.config/1", "suppress": [{"rule": "TP009", "reason": "x", "line": 1}]}',
    /unknown field "line"/,
  ],
] as const) {
  test(`refused, and said where: ${text}`, () => {
    assert.throws(
      () => parseConfig(text),
      (e) => e instanceof TextpokeError && e.code === 'config-malformed' && message.test(e.message),
    );
    // The schema knows the form of a rule's id, and not which there are.
    if (text !== '{' && !text.includes('TP999')) assert.equal(conforms(JSON.parse(text)), false);
  });
}

test('of many suppressions the first in the list is found, whichever way it is looked up', () => {
  const forms: object[] = [
    { symbol: 'sync_set_bit' },
    { symbol: 'sync_set_bit+0x4' },
    { symbol: 'sync_*' },
    { symbol: '*_bit' },
    { symbol: '*set*' },
    { file: 'sync.c' },
    { file: 'lib/sync.c', symbol: 'sync_set_bit' },
    { file: '*/sync.c' },
    { file: '/src/*' },
    { file: '????.c' },
    { symbol: '*set*', file: 'sync.c' },
    {},
  ];
  const others: object[] = [{ symbol: 'other' }, { file: 'nowhere.c' }, { symbol: 'sync_*', file: 'x*' }];
  for (const first of forms) {
    for (const second of forms) {
      const list = [...others, first, ...others, second].map((one, i) => ({
        rule: 'TP010' as const,
        reason: `${i}`,
        ...one,
      }));
      const { suppressed } = suppress(findings.slice(0, 1), list, 'config.json');
      assert.deepEqual(
        suppressed.map(({ reason }) => reason),
        ['3'],
        JSON.stringify([first, second]),
      );
    }
  }
});

test('the work for suppressions and findings is their sum, and not their product', () => {
  const forms = [
    (i: number) => ({ symbol: `f${i}` }),
    (i: number) => ({ symbol: `f${i}*` }),
    (i: number) => ({ symbol: `*f${i}` }),
    (i: number) => ({ file: `src/f${i}.c` }),
    (i: number) => ({ symbol: '*', file: `src/f${i}.c` }),
  ];
  for (const form of forms) {
    const work = (count: number) => {
      const numbers = Array.from({ length: count }, (_, i) => 1_000_000 + i);
      const list = numbers.map((i) => ({ rule: 'TP010' as const, reason: '', ...form(i) }));
      const many = numbers.map(
        (i): Located => ({
          rule: 'TP010',
          address: i,
          place: `f${i}`,
          message: '',
          source: { file: `/src/f${i}.c`, line: 1 },
        }),
      );
      let left = -1;
      const done = workOf(() => {
        left = suppress(many, list, 'config.json').kept.length;
      });
      assert.equal(left, 0);
      return done;
    };
    const [small, large] = [work(200), work(2000)];
    assert.ok(large < 20 * small, `${large} after ${small}: ${JSON.stringify(form(0))}`);
  }
});
