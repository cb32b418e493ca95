// As many sites as no list of arguments holds: the stack of a process ends at some 120,000.
import assert from 'node:assert/strict';
import test from 'node:test';
import { annotate } from '../../src/annotate/passes.ts';
import { objectWithSites } from './large-objects.ts';

test('130,000 static calls, 80,000 missing keys and 145,000 jumps in one object are all listed', () => {
  const { bytes, stats } = annotate('large.o', objectWithSites(130_000, 80_000, 145_000));
  const [{ staticCalls, rewrittenJumps, keysAdded, alreadyListed }] = stats as [(typeof stats)[number]];
  assert.deepEqual(
    [staticCalls, rewrittenJumps, keysAdded.length, alreadyListed],
    [130_000, 145_000, 80_000, 145_000],
  );
  assert.equal(annotate('large.o', bytes as Uint8Array).bytes, undefined, 'nothing is left to be done');
});
