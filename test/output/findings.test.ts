// Findings for people: each of a few, and of many their causes, on a screen.
import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsText } from '../../src/output/findings.ts';
import { shellLine } from '../../src/output/shell.ts';
import { causesOf } from '../../src/verify/causes.ts';
import type { Finding } from '../../src/verify/finding.ts';
import { type Explanation, makeReport } from '../../src/verify/report.ts';
import { ruleIds } from '../../src/verify/rules.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';

const image = imageOf(linkedBytes('gcc-O2', programUnits));
const found = Uint8Array.of(0x90);

function findings(rule: Finding['rule'], count: number, message = (i: number) => `it is ${i}`): Finding[] {
  return Array.from({ length: count }, (_, i) => ({
    ...{ rule, address: 0x1000 + i, place: `f+0x${i.toString(16)}`, message: message(i), found },
  }));
}

function textOf(
  all: readonly Finding[],
  how: Parameters<typeof findingsText>[1] = {},
  explanation?: Explanation,
) {
  return [...findingsText({ ...makeReport('prog', image, all, {}), explanation }, how)].join('');
}

/** Lines of a terminal of 80 columns. */
const rows = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 80)), 0);

test('what fits a screen is told whole, with its bytes', () => {
  const text = textOf(findings('TP007', 5));
  assert.equal(text.match(/found {4}90/g)?.length, 5);
  assert.doesNotMatch(text, /--all|more/);
  assert.equal(textOf(findings('TP007', 5), { all: true }), text);
});

test('findings of one cause are one, with their number, the first places and the way to all', () => {
  const all = findings('TP010', 9638, () => 'the lock prefix has no entry');
  const text = textOf(all);
  assert.match(text, /^prog: error TP010 unlisted-lock \(9,638\): /);
  assert.match(text, /0x1002 f\+0x2: the lock prefix has no entry \(and 9,635 more like it\)\n/);
  assert.match(text, /9,638 errors, 0 warnings; --all shows each; textpoke explain TP010/);
  assert.equal(text.split('\n').filter((line) => line.startsWith('  0x')).length, 3);
  assert.equal(textOf(all, { all: true }).match(/^ {2}0x.*the lock prefix has no entry$/gm)?.length, 9638);
});

test('numbers make no causes, and names do', () => {
  const of = (message: (i: number) => string) => causesOf(findings('TP007', 40, message)).length;
  assert.equal(
    of((i) => `goes to 0x${i.toString(16)}, ${i} bytes`),
    1,
  );
  assert.equal(
    of((i) => `key_${i} is enabled`),
    40,
  );
  assert.equal(
    of((i) => `key_${i % 4} is enabled`),
    4,
  );
});

test('a million causes are put together', () => {
  const causes = causesOf(findings('TP007', 30_000, (i) => `key_${i}`));
  assert.ok(causes.length <= 10_001, `${causes.length} causes`);
  assert.equal(
    causes.reduce((sum, cause) => sum + cause.findings.length, 0),
    30_000,
  );
  assert.deepEqual([causes[0]?.isOne, causes.at(-1)?.isOne], [true, false]);
});

for (const [what, all] of [
  ['one cause', findings('TP011', 5000)],
  ['a thousand causes', findings('TP007', 5000, (i) => `key_${i % 1000}`)],
  ['long names', findings('TP007', 5000, (i) => `key_${i % 1000} ${'long '.repeat(60)}`)],
  ['each rule', ruleIds.flatMap((rule) => findings(rule, 100))],
  ['each rule once', ruleIds.flatMap((rule) => findings(rule, 1))],
] as const) {
  test(`no report is longer than a screen: ${what}`, () => {
    const text = textOf(all);
    assert.ok(rows(text) <= 23, `${rows(text)} rows:\n${text}`);
    assert.match(text, /--all shows each/);
    const named = new Set(text.match(/TP\d{3}/g));
    for (const { rule } of all) assert.ok(named.has(rule), `${rule} is not named`);
  });
}

test('what explains most is said first, and what it does not explain stands in front of what it does', () => {
  const all = [...findings('TP007', 5000), ...findings('TP015', 1)];
  const explanation: Explanation = {
    ...{
      what: 'the image was never booted',
      command: 'textpoke verify prog --linked',
      explained: 5000,
      left: 1,
    },
    isExplained: ({ rule }) => rule === 'TP007',
  };
  const lines = textOf(all, {}, explanation).split('\n');
  assert.match(
    lines[0] as string,
    /^prog: the image was never booted, which explains 5,000 of 5,001 findings; this finds 1 finding:$/,
  );
  assert.equal(lines[1], '  textpoke verify prog --linked');
  assert.deepEqual(
    lines.filter((line) => / error TP/.test(line)).map((line) => /TP\d+/.exec(line)?.[0]),
    ['TP015', 'TP007'],
  );
});

test('a command line can be pasted, whatever the names are', () => {
  assert.equal(
    shellLine(['textpoke', 'verify', 'a b', "it's", '$(x)']),
    "textpoke verify 'a b' 'it'\\''s' '$(x)'",
  );
  assert.equal(shellLine(['a\nb\x1b']), "$'a\\x0ab\\x1b'");
  assert.equal(shellLine(['é\u202e']), "$'\\xc3\\xa9\\xe2\\x80\\xae'");
});
