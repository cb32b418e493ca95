import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { Runtime } from '../../src/boot/runtime.ts';
import { listedValues, type PlaceStates, patchableStates } from '../../src/boot/states.ts';
import { type BootStep, runStep } from '../../src/boot/steps.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import type { State } from '../../src/demand/patch.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';

const machines = ['gcc-O2', 'clang-Os', 'aarch64-gcc-O2', 'arm-gcc-O2', 'thumb-clang-O2'];

function booted(set: string, steps: readonly BootStep[] = [], cpus?: number): Runtime {
  return boot(imageOf(linkedBytes(set, programUnits)), { cpus, upFill: 'ds', steps });
}

function isAllowed(found: Uint8Array, { bytes, mask }: State): boolean {
  return bytes.every((byte, i) => ((byte ^ (found[i] as number)) & (mask?.[i] ?? 0xff)) === 0);
}

/** Places that hold none of their states. */
function strangers({ image }: Runtime, places: readonly PlaceStates[]): string[] {
  return places
    .filter(
      ({ address, states }) => !states.some((s) => isAllowed(image.readUpTo(address, s.bytes.length), s)),
    )
    .map(({ address, kind }) => `${kind} ${image.describe(address)} ${hexBytes(image.readUpTo(address, 6))}`);
}

const steps: readonly BootStep[] = [
  { do: 'enable', key: 'off_*' },
  { do: 'disable', key: 'on_*' },
  { do: 'update', call: 'math', value: 'add_ten' },
  { do: 'update', call: 'math', value: 'NULL' },
  { do: 'update', call: 'notify', value: 'observe' },
  { do: 'update', call: 'math', value: 'RET0' },
  { do: 'cpuUp', cpu: 1 },
  { do: 'cpuDown', cpu: 1, dropLocks: true },
];

for (const set of machines) {
  test(`${set}: whatever the steps, every place holds one of its states, any function allowed or those listed`, () => {
    const runtime = booted(set, [], 1);
    const places = patchableStates(runtime, new Map());
    const listed = patchableStates(runtime, listedValues(runtime.program, steps));
    assert.ok(places.length > 20, `${places.length} places`);
    for (const step of steps) {
      runStep(runtime, step, { upFill: 'ds', openModule: () => assert.fail() });
      assert.deepEqual(strangers(runtime, places), []);
      assert.deepEqual(strangers(runtime, listed), []);
    }
  });

  test(`${set}: a place that somebody else writes to holds none of its states`, () => {
    const runtime = booted(set);
    const places = patchableStates(runtime, new Map());
    for (const { address, kind } of places) {
      if (kind === 'static branch') runtime.image.read(address, 4).fill(0x5a);
    }
    assert.equal(new Set(strangers(runtime, places)).size > 10, true);
  });
}

test('a function that is not listed is not allowed', () => {
  const runtime = booted('gcc-O2');
  const places = patchableStates(
    runtime,
    listedValues(runtime.program, [{ do: 'update', call: 'math', value: 'NULL' }]),
  );
  const surroundings = { upFill: 'ds' as const, openModule: () => assert.fail() };
  runStep(runtime, { do: 'update', call: 'math', value: 'add_ten' }, surroundings);
  assert.notDeepEqual(strangers(runtime, places), []);
  runStep(runtime, { do: 'update', call: 'math', value: 'NULL' }, surroundings);
  assert.deepEqual(strangers(runtime, places), []);
});

test('the stages of a live patch on x86-64 are states: a breakpoint in front of the old tail, then of the new', () => {
  const runtime = booted('gcc-O2');
  const places = new Map(patchableStates(runtime, new Map()).map((place) => [place.address, place]));
  const from = runtime.poker.records.length;
  runStep(runtime, { do: 'enable', key: 'off_key' }, { upFill: 'ds', openModule: () => assert.fail() });
  const written = runtime.poker.records.slice(from).filter((r) => r.live);
  assert.ok(written.length >= 3, `${written.length} writes`);
  for (const { live, address } of written) {
    if (!live || live.step === 2) continue;
    const stages = [live.before, live.after].map((bytes) => Uint8Array.of(0xcc, ...bytes.subarray(1)));
    const { states } = places.get(address)!;
    for (const stage of stages)
      assert.ok(
        states.some((s) => isAllowed(stage, s)),
        hexBytes(stage),
      );
  }
});

test('freed init text is no longer a patchable place', () => {
  const kernel = linkedBytes('gcc-O2', ['kernel-entries']);
  const places = (all: readonly BootStep[]) => {
    const runtime = boot(imageOf(kernel), { cpus: undefined, upFill: 'ds', steps: all });
    return patchableStates(runtime, new Map()).filter((p) => runtime.image.isInitText(p.address)).length;
  };
  assert.notEqual(places([]), 0);
  assert.equal(places([{ do: 'freeInit' }]), 0);
});
