// The demo: the story fits a screen, and the long form goes through.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { builtProgram } from '../built.ts';
import { longTest, tryRun } from '../tools.ts';

const demo = (...words: string[]) => {
  builtProgram();
  return tryRun(process.execPath, [join(import.meta.dirname, '..', '..', 'samples/demo/demo.js'), ...words]);
};

test('the demo tells its story on one screen', () => {
  const { status, stdout, stderr } = demo();
  assert.deepEqual([status, stderr], [0, '']);
  const lines = stdout.trimEnd().split('\n');
  assert.ok(lines.length <= 40, `${lines.length} lines`);
  assert.match(stdout, /wrong-lock/);
});

longTest('the demo goes through all machines with --all', [], () => {
  const { status, stdout } = demo('--all');
  assert.equal(status, 0);
  assert.match(stdout, /smp and back are identical[\s\S]*AArch64[\s\S]*Thumb/);
});
