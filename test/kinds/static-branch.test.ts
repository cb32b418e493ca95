import assert from 'node:assert/strict';
import test from 'node:test';
import { wantsJump } from '../../src/kinds/static-branch/demand.ts';

/** The truth table of include/linux/jump_label.h: enabled, branch, instruction. */
const truthTable = [
  { enabled: false, branch: false, jump: false },
  { enabled: false, branch: true, jump: true },
  { enabled: true, branch: false, jump: true },
  { enabled: true, branch: true, jump: false },
];
for (const { enabled, branch, jump } of truthTable) {
  const [state, kind] = [enabled ? 'enabled' : 'disabled', branch ? 'likely' : 'unlikely'];
  test(`a ${kind} branch of a key that is ${state} is ${jump ? 'a jump' : 'a NOP'}`, () => {
    const site = { entry: { address: 0, fields: [] }, address: 0, target: 9, key: 16, branch, bit1: false };
    assert.equal(wantsJump(site, enabled), jump);
  });
}
