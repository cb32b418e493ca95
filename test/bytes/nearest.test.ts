// The names that somebody may have meant, and what finding them costs.
import assert from 'node:assert/strict';
import test from 'node:test';
import { didYouMean, nearestNames } from '../../src/bytes/nearest.ts';

const names = ['tracing', 'sampling', 'greet', 'great_key', '__tracepoint_sched_switch+0x8', 'Verbose', 'io'];

for (const [wanted, near] of [
  ['tracng', ['tracing']],
  ['traicng', ['tracing']],
  ['tracinggg', ['tracing']],
  ['tracinggggg', []],
  ['verbose', ['Verbose']],
  ['gret', ['greet']],
  ['sched_switch', ['__tracepoint_sched_switch+0x8']],
  ['oi', ['io']],
  ['xyz', []],
  ['', []],
  ['e'.repeat(200), []],
] as const) {
  test(`near ${JSON.stringify(wanted.slice(0, 20))} is ${near.join(', ') || 'nothing'}`, () => {
    const found = nearestNames(wanted, names);
    assert.deepEqual(found.slice(0, near.length), near);
    if (near.length === 0) assert.deepEqual(found, []);
  });
}

test('a hint names at most three, nearest first, and each once', () => {
  assert.equal(
    didYouMean('key1', ['key2', 'key1_', 'key3', 'key4', 'key2']),
    '; did you mean key2, key1_ or key3?',
  );
  assert.equal(didYouMean('tracng', names), '; did you mean tracing?');
  assert.equal(didYouMean('nothing like it', names), '');
});

test('200,000 names of any length are looked at in little time', () => {
  const many = Array.from({ length: 200_000 }, (_, i) => `${'some_function_name_'.repeat(1 + (i % 3))}${i}`);
  many[150_000] = 'x'.repeat(1 << 20);
  many[170_000] = 'some_function_nam_of_all';
  const start = process.cpuUsage();
  assert.deepEqual(nearestNames('some_function_name_of_al', many)[0], 'some_function_nam_of_all');
  const { user } = process.cpuUsage(start);
  assert.ok(user < 3e6, `${user / 1000} ms`);
});
