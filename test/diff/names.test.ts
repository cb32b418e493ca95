// Names that another build of the same source changes, and functions that are matched in spite of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { compareSites } from '../../src/diff/compare.ts';
import { stableKey, stableMember, stableName, withoutPart } from '../../src/diff/function-names.ts';
import { matchInOrder } from '../../src/diff/match.ts';
import type { ComparedSite } from '../../src/diff/sites.ts';

for (const [a, b] of [
  ['_ZN5mylib4bump17h673392198180e426E', '_ZN5mylib4bump17h673be763691ae68aE'],
  ['_ZN5mylib4bump17h673392198180e426E.llvm.12', '_ZN5mylib4bump17h673be763691ae68aE.llvm.3456'],
  ['_RNvCs9beLMOBShfJ_5mylib4bump', '_RNvCsbmsW2PpRtLM_5mylib4bump'],
  [
    '_RINvNtCs12_4core3ptr4dropNtNtCsa_5mylib3foo3BarECsx1_3app',
    '_RINvNtCs3_4core3ptr4dropNtNtCsbc_5mylib3foo3BarECsy_3app',
  ],
  ['_RNCNvCs9be_5mylib4bump0B3_', '_RNCNvCs9beX_5mylib4bump0B4_'],
  ['f.__part.1', 'f.__part.2'],
  ['f.constprop.0.isra.0', 'f.isra.0'],
  ['__UNIQUE_ID_ddebug794.9', '__UNIQUE_ID_ddebug812.11'],
  ['__UNIQUE_ID_ddebug794', '__UNIQUE_ID_ddebug_812'],
  ['work.__UNIQUE_ID_ddebug794', 'work.__UNIQUE_ID_ddebug801'],
  ['__initstub__kmod_fs__283_100_init6', '__initstub__kmod_fs__291_104_init6'],
  ['work.key', 'work.key.12'],
  ['f.__uniq.12.llvm.34', 'f.__uniq.56.llvm.78'],
  ['_ZZ6fourthiENK3$_0clEi', '_ZZ6fourthiENK4$_12clEi'],
] as const) {
  test(`${a} and ${b} may be one function`, () => assert.equal(stableName(a), stableName(b)));
}

for (const [a, b] of [
  ['_ZN5mylib4bump17h673392198180e426E', '_ZN5mylib4jump17h673392198180e426E'],
  ['_ZN1a17h673392198180e42E', '_ZN1a17h673392198180e43E'], // too few digits for a hash
  ['_RNvC5mylib7Csab_cd', '_RNvC5mylib7Csxy_cd'], // an identifier that looks like a crate
  ['_RNvCs1_5mylib4bump', '_RNvCs1_5mylib4jump'],
  ['_RNvC9999999999a', '_RNvC9999999998a'],
  ['__UNIQUE_ID_ddebug794', '__UNIQUE_ID_once794'],
  ['work.__UNIQUE_ID_ddebug794', 'rest.__UNIQUE_ID_ddebug794'],
  ['key794', 'key795'],
  ['__initstub__kmod_fs__283_100_init6', '__initstub__kmod_fs__283_100_exit6'],
  ['x17h673392198180e426E', 'x17h673be763691ae68aE'], // no mangled name
] as const) {
  test(`${a} and ${b} are two functions`, () => assert.notEqual(stableName(a), stableName(b)));
}

test('keys, parts and members of archives have stable names too', () => {
  assert.equal(stableKey('keys.0+0x10'), 'keys+0x10');
  assert.equal(stableKey('_ZN5mylib3KEY17h673392198180e426E'), '_ZN5mylib3KEYE');
  assert.deepEqual(['f.cold', 'f.part.0.cold', 'f.isra.0', '.cold'].map(withoutPart), [
    'f',
    'f',
    'f.isra.0',
    '.cold',
  ]);
  assert.equal(
    stableMember('la.mylib.6af09918f8f8fff5-cgu.0.rcgu.o'),
    stableMember('lb.mylib.845831b5572dab10-cgu.0.rcgu.o'),
  );
  assert.notEqual(
    stableMember('a.mylib.6af09918f8f8fff5-cgu.0.rcgu.o'),
    stableMember('a.mylib.6af09918f8f8fff5-cgu.1.rcgu.o'),
  );
  assert.equal(stableMember('main.o'), 'main.o');
});

const site = (kind: string, place = 'f'): ComparedSite => ({
  ...{ kind, place, key: undefined, flags: '', address: 0, source: undefined },
});
const rust = (hash: string) => `_ZN3app4take17h${hash.padEnd(16, '0')}E`;
const differences = (before: [string, ComparedSite[]][], after: [string, ComparedSite[]][]) =>
  compareSites(new Map(before), new Map(after)).differences.map((d) => `${d.what} ${d.function}`);

test('functions that share a name but for a hash are matched one by one, by their sites', () => {
  const [lock, call] = [site('lock'), site('static call')];
  const old: [string, ComparedSite[]][] = [
    [rust('a1'), [lock]],
    [rust('a2'), [call, lock]],
  ];
  const swapped: [string, ComparedSite[]][] = [
    [rust('b1'), [call, lock]],
    [rust('b2'), [lock]],
  ];
  assert.deepEqual(differences(old, swapped), []);
  // One that lost a site does not get it from the other.
  const moved: [string, ComparedSite[]][] = [
    [rust('b1'), [lock, call]],
    [rust('b2'), [lock]],
  ];
  assert.equal(differences(old, moved).length, 2);
  assert.deepEqual(differences(old, swapped.slice(0, 1)), [`removed ${rust('a1')}`]);
});

test('the name that is the same comes before one that is alike', () => {
  const [lock, call] = [site('lock'), site('static call')];
  const after: [string, ComparedSite[]][] = [
    ['f.isra.0', [lock]],
    ['f', [call]],
  ];
  assert.deepEqual(differences([['f', [lock]]], after), ['removed f', 'added f', 'added f']);
});

test('the order of sites counts in a function, but not between it and its parts', () => {
  const [lock, call, cold] = [
    site('lock', 'f+0x1'),
    site('static call', 'f+0x4'),
    site('static call', 'f.cold'),
  ];
  assert.deepEqual(differences([['f', [lock, call]]], [['f', [cold, lock]]]), []);
  assert.equal(differences([['f', [lock, call]]], [['f', [call, lock]]]).length, 2);
});

test('items are matched in linear time, the first with the first', () => {
  let asked = 0;
  const items = (of: string) => Array.from({ length: 10_000 }, (_, i) => `${of}${i}`);
  const like = (item: string) => {
    asked++;
    return item.slice(1);
  };
  const found = matchInOrder(items('a'), [...items('b'), 'cx'], [(item) => item, like, () => '']);
  assert.deepEqual(
    [found[0], found[9999], found[10_000]],
    [
      ['a0', 'b0'],
      ['a9999', 'b9999'],
      [undefined, 'cx'],
    ],
  );
  assert.equal(asked, 20_001);
});
