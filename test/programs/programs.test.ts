// The generator of random programs (npm run fuzz:programs): what its model says, and one executable for each machine.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Random } from '../seeded.ts';
import { isAll, scratch, testOfTurn } from '../tools.ts';
import { Batch } from './batch.ts';
import { machines, machinesHere } from './build.ts';
import { sourcesOf } from './emit.ts';
import { generate, randomSteps, type UnitKind } from './generate.ts';
import { expectedTrace, type Function_, initialState, type Model, type Statement } from './model.ts';

const kinds: readonly UnitKind[] = [false, true, true].map((isCpp, i) => ({
  ...{ isCpp, hasCoroutines: i === 2, hasComputedGoto: true, hasKeptLocks: true, memberOffset: 8 },
}));

test('the same seed gives the same program, and its parts have what they use', () => {
  const [one, other] = [generate(new Random(1, 2), kinds), generate(new Random(1, 2), kinds)];
  assert.deepEqual(sourcesOf(one), sourcesOf(other));
  assert.notDeepEqual(sourcesOf(generate(new Random(1, 3), kinds)), sourcesOf(one));
  assert.deepEqual([...sourcesOf(one).keys()], ['common.h', 'main.c', 'u0.c', 'u1.cpp', 'u2.cpp']);
  assert.equal(expectedTrace(one, initialState(one)), expectedTrace(other, initialState(other)));
});

test('steps and those that take them back end where they began, and no count falls below 0', () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = new Random(seed);
    const program = generate(random, kinds);
    const { steps, back, state } = randomSteps(random, program, seed % 2 === 0);
    assert.equal(back.length, steps.length);
    assert.ok(
      state.keys.every((count) => count >= 0),
      `${state.keys}`,
    );
  }
});

const key = { index: 0, spelling: '&k', name: 'k', initial: false };
const target = { name: 'f', step: 'f', isVoid: false, a: 3, b: 1, isStatic: false };
const note = { name: 'v', step: 'v', isVoid: true, a: 1, b: 5, isStatic: false };
const call = { index: 0, name: 'c', step: 'c', isVoid: false, isLocal: false, initial: 'f' };
const cond = { index: 1, name: 'd', step: 'd', isVoid: true, isLocal: false, initial: 'NULL' };
const counter = { index: 0, name: 'n', bits: 8 as const };
const mix = (b: number): Statement => ({ op: 'mix', a: 1, b });

const rows: readonly (readonly [what: string, body: readonly Statement[], off: number, on: number])[] = [
  ['a branch', [{ op: 'branch', key, likely: true, yes: [mix(1)], no: [mix(2)] }], 12, 11],
  ['a call', [{ op: 'call', call }], 10 + 31, 10],
  ['the function that a call leads to', [{ op: 'query', call, target }], 11, 10],
  ['whether a key is enabled', [{ op: 'enabled', key }], 50, 51],
  ['the old value of a counter', [{ op: 'exchange', counter, operand: 300 }], 10, 10],
  [
    'a counter of eight bits',
    [
      { op: 'exchange', counter, operand: 255 },
      { op: 'atomic', what: 'add', counter, operand: 2, after: true },
    ],
    11,
    11,
  ],
  ['an arm of a switch', [{ op: 'switch', arms: [[mix(1)], [mix(2)], [mix(3)]] }], 12, 12],
  ['an even number behind a try block', [{ op: 'try', before: [], behind: [mix(4)] }], 14, 14],
  ['an odd number that is thrown', [{ op: 'try', before: [mix(1)], behind: [mix(4)] }], 78, 78],
];

for (const [what, body, off, on] of rows) {
  test(`the model knows ${what}`, () => {
    const of: Function_ = {
      name: 'p',
      shape: 'plain',
      body: [...body, { op: 'note', call: cond }],
      attributes: '',
      instance: 0,
    };
    const model: Model = {
      ...{ keys: [key], calls: [call, cond], targets: [target, note], counters: [counter] },
      probes: [{ of, argument: 10 }],
    };
    assert.equal(expectedTrace(model, initialState(model)), `p ${off} 0\n`);
    assert.equal(expectedTrace(model, { keys: [2], calls: ['RET0', 'v'] }), `p ${on} ${on + 5}\n`);
  });
}

const count = isAll ? 3 : 1;
for (const [turn, { name, driver, emulator }] of machines.entries()) {
  testOfTurn(turn, 4)(
    `${name}: ${count} random programs print what the model says`,
    [driver, ...emulator.slice(0, 1)],
    async (t) => {
      const machine = machinesHere().find((one) => one.name === name);
      assert.ok(machine, `${name} is among the machines that are here`);
      await new Batch(machine, scratch(t)).prove(new Random(13, 4), count);
    },
  );
}
