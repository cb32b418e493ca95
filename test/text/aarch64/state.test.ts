// What an arm64 kernel says of its capabilities, and what of it cannot be.
import assert from 'node:assert/strict';
import test from 'node:test';
import { EM_AARCH64 } from '../../../src/elf/constants.ts';
import type { RunningKernel } from '../../../src/memory/kernel/kernel.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import { readArm64State } from '../../../src/text/aarch64/state.ts';
import { madeImage, madeMemory, wordsOf } from '../made-image.ts';

const text = -0x7fff_0000;
const data = text + 0x10_0000;
const table = data + 0x1_0000;
const slide = 0x20_0000;
const always = 3;

/** One callback for a capability that every system has. */
function callbackTable(): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, text - table, true);
  view.setInt32(4, text + 4 - (table + 4), true);
  view.setUint16(8, 0x8000 | always, true);
  bytes[10] = 4;
  return bytes;
}

function stateOf(sets: Readonly<Record<string, number>>) {
  const names = Object.keys(sets);
  const image = madeImage({
    machine: EM_AARCH64,
    class: 64,
    sections: [
      { name: '.text', address: text, bytes: wordsOf(0xd503201f, 0xd65f03c0), what: 'code' },
      { name: '.data', address: data, bytes: new Uint8Array(256), what: 'variables' },
      { name: '.altinstructions', address: table, bytes: callbackTable(), what: 'data' },
    ],
    symbols: {
      callback: text + 4,
      modules: data + 128,
      ...Object.fromEntries(names.map((name, i) => [name, data + 16 * i])),
    },
  });
  const memory = madeMemory(
    names.map((name, i) => [data + slide + 16 * i, wordsOf(sets[name] as number, 0)]),
  );
  const reader = new KernelReader(memory, image);
  const running = { reader, btf: undefined, place: { slide } } as unknown as RunningKernel;
  const state = readArm64State(image, running);
  return { state, told: state.notes.map(({ message }) => message) };
}

test('capabilities are the bits of system_cpucaps', () => {
  const { state, told } = stateOf({
    system_cpucaps: 0b1010,
    boot_cpucaps: 0b10,
    applied_alternatives: 0b1010,
  });
  assert.deepEqual(told, []);
  assert.deepEqual([0, 1, 2, 3].map(state.has), [false, true, false, true]);
  assert.deepEqual([1, 3].map(state.hasEarly), [true, false]);
});

test('up to 6.3 the set has another name', () => {
  assert.equal(stateOf({ cpu_hwcaps: 0b1000 }).state.has(3), true);
});

test('without the set nothing is replayed', () => {
  assert.match(stateOf({}).state.unknown ?? '', /capabilities of the system are not known/);
});

for (const [what, sets, message] of [
  [
    'a capability that every system has is not set',
    { system_cpucaps: 0b10 },
    'the capability 3 is not set, which every system has',
  ],
  [
    'a capability was set after alternatives were applied',
    { system_cpucaps: 0b1010, applied_alternatives: 0b1000 },
    'the capability 1 is set, and its alternatives were not applied',
  ],
  [
    'a capability was cleared after alternatives were applied',
    { system_cpucaps: 0b1000, applied_alternatives: 0b1010 },
    'the capability 1 is not set, and its alternatives were applied',
  ],
  [
    'the boot processor has more than the system',
    { system_cpucaps: 0b1000, boot_cpucaps: 0b1001 },
    'the capability 0 is set for the boot processor, and not for the system',
  ],
] as const)
  test(`it is told that ${what}`, () => assert.deepEqual(stateOf(sets).told, [message]));
