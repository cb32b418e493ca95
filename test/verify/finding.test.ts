// Findings that are told later: what copies of them say.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Finding, judged, later, locatedAt, renamed, told } from '../../src/verify/finding.ts';

const found = Uint8Array.of(0x90);
const finding: Finding = { rule: 'TP007', address: 16, place: 'f+0x10', message: 'wrong', entry: 32, found };
const source = { file: 'a.c', line: 7 };

test('a finding that is told later says what its judge says, and so do its copies', () => {
  const late = later((which) => (which === 3 ? finding : undefined), 3) ?? assert.fail('no finding');
  assert.equal(
    later(() => undefined, 3),
    undefined,
  );
  for (const one of [late, locatedAt(late, undefined)]) {
    const { rule, address, entry, place, message } = one;
    assert.deepEqual({ rule, address, entry, place, message, found: one.found }, finding);
  }
  assert.deepEqual(told(locatedAt(late, source)), { ...finding, expected: undefined, source });
  const named = locatedAt(
    renamed(late, (place) => `xfs:${place}`),
    source,
  );
  assert.deepEqual(told(named), { ...finding, expected: undefined, place: 'xfs:f+0x10', source });
  assert.equal(renamed(finding, (place) => `xfs:${place}`).place, 'xfs:f+0x10');
});

test('what a judge finds is told in order, and a judge that changes its mind is an error and no finding', () => {
  let isWrong = true;
  const findings = [...judged(4, (which) => (isWrong && which % 2 === 1 ? finding : undefined))];
  assert.equal(findings.length, 2);
  isWrong = false;
  assert.throws(() => told(findings[0] as Finding), { code: 'read-failed' });
});
