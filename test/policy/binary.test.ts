// The compact form of a policy: what is written is what is read, and whatever else there is, is refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import { TextpokeError } from '../../src/errors.ts';
import { policyBytes, readPolicy } from '../../src/policy/binary.ts';
import { Random } from '../seeded.ts';
import { policy } from './made.ts';

test('a policy is read as it was written', () => {
  assert.deepEqual(readPolicy(policyBytes(policy)), policy);
});

test('every cut is refused', () => {
  const bytes = policyBytes(policy);
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => readPolicy(bytes.subarray(0, length)), isMalformed, `${length} bytes`);
});

test('bytes behind the end are refused', () => {
  assert.throws(() => readPolicy(Uint8Array.of(...policyBytes(policy), 0)), isMalformed);
});

test('a changed byte is refused, or is another policy', () => {
  const bytes = policyBytes(policy);
  const random = new Random(7);
  for (let i = 0; i < 3000; i++) {
    const changed = bytes.slice();
    const at = random.below(changed.length);
    changed[at] = random.below(256);
    try {
      const read = readPolicy(changed);
      const isSound = read.formOf.every((form) => form < read.forms.length);
      assert.ok(isSound, `byte ${at}: every place has a form`);
    } catch (error) {
      assert.ok(isMalformed(error), `byte ${at}: ${error}`);
    }
  }
});

function isMalformed(error: unknown): boolean {
  return error instanceof TextpokeError && error.code === 'policy-malformed';
}
