// Broken inputs of every entry point, in memory: whatever happens, it is a result or an error with a code, never another.
// npm run fuzz tries as many as there is time for.
import assert from 'node:assert/strict';
import test from 'node:test';
import { annotate } from '../../src/annotate/passes.ts';
import { TextpokeError } from '../../src/errors.ts';
import { everything } from '../samples.ts';
import { casesOf, isAll } from '../tools.ts';
import { makeCase, minimised, runCase } from './case.ts';
import { corpus } from './corpus.ts';
import { edited } from './edits.ts';
import { entries } from './entries.ts';
import { objects, seedBytes, seedsNamed } from './seeds.ts';

for (const [was, one] of corpus) {
  test(`a case that failed does no more: ${was}`, async () => {
    const outcome = await runCase(one);
    assert.ok('ended' in outcome, JSON.stringify(outcome));
  });
}

for (const { name, share } of entries) {
  const cases = casesOf(share * 40);
  test(`${cases} seeded cases of ${name} end in a result or an error with a code`, async () => {
    for (let i = 0; i < cases; i++) {
      const one = makeCase(13, i, name);
      const outcome = await runCase(one);
      if ('failure' in outcome) assert.fail(`${outcome.detail}\n${JSON.stringify(one)}`);
    }
  });
}

test('what cases start from is sound: most seeds go through their entry points', async () => {
  for (const { name, seeds } of entries.filter((entry) => entry.name !== 'response files')) {
    for (const seed of seeds.filter((_, i) => i % 10 === 0)) {
      const outcome = await runCase({ entry: name, seed, edits: [], options: 1 });
      if ('failure' in outcome) assert.fail(`${name}, ${seed}: ${outcome.detail}`);
      if (!/hand|alt-smp/.test(seed)) assert.equal(outcome.ended, 'done', `${name}, ${seed}`);
    }
  }
});

test('a case is the same each time, and its index decides', () => {
  assert.deepEqual(makeCase(1, 5), makeCase(1, 5));
  assert.notDeepEqual(makeCase(1, 5), makeCase(1, 105));
  assert.notDeepEqual(makeCase(1, 5), makeCase(2, 5));
});

test('edits follow each other, and the seed stays as it was', () => {
  const seed = Uint8Array.of(1, 2, 3, 4, 5, 6);
  const other = () => Uint8Array.of(9, 8, 7);
  const rows = [
    [[{ at: 1, put: 'aabb' }], [1, 0xaa, 0xbb, 4, 5, 6]],
    [[{ at: 5, put: 'aabb' }], [1, 2, 3, 4, 5, 0xaa]],
    [[{ at: 9, put: 'aa' }], [1, 2, 3, 4, 5, 6]],
    [[{ at: 2, insert: 'aabb', times: 2 }], [1, 2, 0xaa, 0xbb, 0xaa, 0xbb, 3, 4, 5, 6]],
    [[{ at: 2, remove: 3 }], [1, 2, 6]],
    [[{ at: 4, remove: 9 }], [1, 2, 3, 4]],
    [[{ at: 0, copy: 3, size: 2 }], [4, 5, 3, 4, 5, 6]],
    [[{ at: 4, from: 'x', offset: 1, size: 9 }], [1, 2, 3, 4, 8, 7]],
    [
      [
        { at: 3, cut: true },
        { at: 3, insert: 'ff' },
      ],
      [1, 2, 3, 0xff],
    ],
  ] as const;
  for (const [edits, result] of rows)
    assert.deepEqual([...edited(seed, edits, other)], result, JSON.stringify(edits));
  assert.deepEqual([...seed], [1, 2, 3, 4, 5, 6]);
});

test('what fails is made smaller: edits that have no part in it go, long ones become short', async () => {
  const one = {
    entry: 'annotate',
    seed: 'x',
    options: 0,
    edits: [{ at: 1, put: '00' }, { at: 2, insert: 'ff', times: 4000 }, { at: 3, cut: true } as const],
  };
  const small = await minimised(one, async ({ edits }) =>
    edits.some((edit) => 'insert' in edit && (edit.times ?? 1) >= 100),
  );
  assert.deepEqual(small.edits, [{ at: 2, insert: 'ff', times: 125 }]);
});

const cutStep = isAll ? 64 : 640;

test(`objects cut every ${cutStep} bytes are refused by annotate, and stay as they are`, () => {
  for (const name of objects) {
    const whole = seedBytes(name);
    for (let size = 0; size < whole.length; size += cutStep) {
      const given = whole.slice(0, size);
      assert.throws(() => annotate(name, given, everything), TextpokeError, `${name} cut at ${size}`);
      assert.equal(Buffer.compare(given, whole.subarray(0, size)), 0, `${name} cut at ${size}`);
    }
  }
});

test(`images cut every ${cutStep} bytes end in a result or an error with a code`, async () => {
  for (const seed of seedsNamed('image ')) {
    for (let at = 0; at < seedBytes(seed).length; at += cutStep * 8) {
      for (const entry of ['boot', 'verify', 'dump']) {
        const outcome = await runCase({ entry, seed, edits: [{ at, cut: true }], options: at });
        assert.ok('ended' in outcome, `${seed} cut at ${at}: ${JSON.stringify(outcome)}`);
      }
    }
  }
});
