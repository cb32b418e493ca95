// Two builds compared, from lists of sites.
import assert from 'node:assert/strict';
import test from 'node:test';
import { compareSites } from '../../src/diff/compare.ts';
import { baseName } from '../../src/diff/function-names.ts';
import type { ComparedSite } from '../../src/diff/sites.ts';

const site = (kind: ComparedSite['kind'], key?: string, flags = ''): ComparedSite => ({
  kind,
  key,
  flags,
  place: 'f',
  address: 0,
  source: undefined,
});
const branch = (key: string, flags = 'unlikely') => site('static branch', key, flags);
const call = (key: string, flags = 'call') => site('static call', key, flags);
const lock = site('lock');

function differences(before: readonly ComparedSite[], after: readonly ComparedSite[]): string[] {
  return compareSites(new Map([['f', before]]), new Map([['f', after]])).differences.map((difference) => {
    const shown = difference.what === 'added' ? difference.after : difference.before;
    return `${difference.what} ${shown.kind} ${shown.key ?? ''}`.trim();
  });
}

for (const [what, before, after, expected] of [
  ['the same sites', [branch('a'), lock, call('b')], [branch('a'), lock, call('b')], []],
  ['one that is gone', [branch('a'), lock, branch('b')], [branch('a'), branch('b')], ['removed lock']],
  ['one that is new', [branch('a')], [lock, branch('a'), lock], ['added lock', 'added lock']],
  ['an unlikely branch that is likely', [branch('a')], [branch('a', 'likely')], ['changed static branch a']],
  [
    'a call that is a tail call',
    [lock, call('b')],
    [lock, call('b', 'tail call')],
    ['changed static call b'],
  ],
  [
    'another key is another site',
    [branch('a')],
    [branch('b')],
    ['removed static branch a', 'added static branch b'],
  ],
  ['one of two alike', [call('b'), call('b')], [call('b')], ['removed static call b']],
  [
    'two that changed places: one went, one came',
    [branch('a'), branch('b')],
    [branch('b'), branch('a')],
    ['removed static branch a', 'added static branch a'],
  ],
  ['keys with other numbers', [branch('k.1'), branch('k.2')], [branch('k.3'), branch('k.1')], []],
  ['a numbered key less', [branch('k.1'), branch('k.2')], [branch('k.3')], ['removed static branch k.2']],
  [
    'a site that has the numbered key of the site beside it',
    [branch('k.1'), branch('k.1'), branch('k.2')],
    [branch('k.5'), branch('k.6'), branch('k.6')],
    ['changed static branch k.1'],
  ],
  [
    'two numbered keys that are one now',
    [branch('k.1'), branch('k.2')],
    [branch('k.5'), branch('k.5')],
    ['changed static branch k.2'],
  ],
  ['a function that is gone', [lock, branch('a')], [], ['removed lock', 'removed static branch a']],
  ['a function that is new', [], [lock], ['added lock']],
] as const) {
  test(`${what}: ${expected.join(', ') || 'no difference'}`, () => {
    assert.deepEqual(differences(before, after), [...expected]);
  });
}

test('very many differences in one function are still counted, without their order', () => {
  const keys = (prefix: string, from: number) =>
    Array.from({ length: 30_000 }, (_, i) => branch(`${prefix}${from + i}`));
  const found = differences([...keys('a', 0), lock], [lock, lock, ...keys('a', 10_000)]);
  const number = (what: string) => found.filter((text) => text.startsWith(what)).length;
  assert.deepEqual([number('removed'), number('added'), number('changed')], [10_000, 10_001, 0]);
});

test('names that compilers make of a function mean that function', () => {
  for (const name of [
    'work.cold',
    'work.isra.0',
    'work.constprop.3.cold',
    'work.llvm.1234567',
    'work.part.0',
  ])
    assert.equal(baseName(name), 'work');
  for (const name of ['work', '.text', 'a.b', 'work.init', '.cold']) assert.equal(baseName(name), name);
});
