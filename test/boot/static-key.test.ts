import assert from 'node:assert/strict';
import test from 'node:test';
import { jumpLabelInit } from '../../src/boot/jump-label.ts';
import { Runtime } from '../../src/boot/runtime.ts';
import {
  advance,
  decrementKey,
  decrementKeyLater,
  disableKey,
  enableKey,
  flushKey,
  incrementKey,
} from '../../src/boot/static-key.ts';
import { ByteView } from '../../src/bytes/view.ts';
import { readKey } from '../../src/demand/keys.ts';
import { type Profile, profileNamed } from '../../src/demand/profiles.ts';
import { resolveStaticKey } from '../../src/image/names.ts';
import { programOf } from '../../src/kinds/registry.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';

const bytes = linkedBytes('gcc-O2', programUnits);

class Booted {
  readonly runtime: Runtime;
  readonly key: number;

  constructor(profile: Profile | undefined = undefined, count = 0) {
    const image = imageOf(bytes);
    this.runtime = new Runtime(programOf(image, { profile }));
    this.key = resolveStaticKey(image, 'off_key');
    jumpLabelInit(this.runtime);
    // A count that no operation led to: what is under test is what follows from it.
    new ByteView(image.read(this.key, 4), true).setU32(0, count >>> 0);
  }
  get count(): number {
    return readKey(this.runtime.image, this.key).enabled;
  }
  get warnings(): string[] {
    return this.runtime.log.warnings.map((w) => w.warning);
  }
  /** Whether every site of the key is as an enabled key wants it. */
  get jumps(): boolean[] {
    const { image } = this.runtime;
    return this.runtime
      .sitesOf(staticBranch, this.key)
      .map((site) => (image.instructionAt(site.address).kind === 'jump') !== site.branch);
  }
}

const on = (booted: Booted) => booted.jumps.every(Boolean);
const off = (booted: Booted) => !booted.jumps.some(Boolean);

test('the first increment switches a key on, the last decrement off, and those between only count', () => {
  const booted = new Booted();
  const { runtime, key } = booted;
  const counts: [number, boolean][] = [];
  for (const step of [incrementKey, incrementKey, decrementKey, decrementKey]) {
    step(runtime, key);
    counts.push([booted.count, on(booted)]);
  }
  assert.deepEqual(counts, [
    [1, true],
    [2, true],
    [1, true],
    [0, false],
  ]);
  assert.ok(off(booted), 'every site is off');
  assert.deepEqual(booted.warnings, []);
});

for (const [name, operation] of [
  ['increment', incrementKey],
  ['enable', enableKey],
] as const) {
  test(`the count is -1 while the first ${name} patches`, () => {
    const { runtime, key } = new Booted();
    const from = runtime.poker.records.length;
    operation(runtime, key);
    const written = runtime.poker.records.slice(from);
    const isCount = written.map((r) => r.address === key);
    assert.equal(isCount.indexOf(true), 0);
    assert.equal(isCount.lastIndexOf(true), written.length - 1);
    assert.deepEqual([...written[0]!.after], [255, 255, 255, 255]);
    assert.deepEqual([...written.at(-1)!.after], [1, 0, 0, 0]);
    assert.deepEqual(new Set(written.slice(1, -1).map((r) => r.what)), new Set(['text']));
  });
}

test('a key that is switched off has count 0 before its first site changes', () => {
  const { runtime, key } = new Booted();
  enableKey(runtime, key);
  const from = runtime.poker.records.length;
  disableKey(runtime, key);
  assert.equal(runtime.poker.records[from]!.address, key);
});

/** kernel/jump_label.c of 6.1.192: count before, operation, count after, the warnings' conditions. */
const rows: [number, string, number, RegExp[]][] = [
  [0, 'dec', 0, [/static_key_dec_not_one: WARN_ON_ONCE\(v == 0\)/]],
  [-1, 'dec', -1, [/WARN_ON_ONCE\(v < 0\)/, /__static_key_slow_dec_cpuslocked: WARN_ON_ONCE\(val == -1\)/]],
  [-2, 'dec', -3, [/WARN_ON_ONCE\(v < 0\)/]],
  [-1, 'inc', -1, [/WARN_ON_ONCE\(!static_key_fast_inc_not_disabled/]],
  [0x7fff_ffff, 'inc', 0x7fff_ffff, [/WARN_ON_ONCE\(!static_key_fast_inc_not_disabled/]],
  [2, 'enable', 2, [/static_key_enable_cpuslocked: WARN_ON_ONCE\(atomic_read\(&key->enabled\) != 1\)/]],
  [1, 'enable', 1, []],
  [-1, 'enable', -1, []],
  [2, 'disable', 2, [/static_key_disable_cpuslocked: WARN_ON_ONCE\(atomic_read\(&key->enabled\) != 0\)/]],
  [-1, 'disable', -1, [/WARN_ON_ONCE/]],
  [0, 'disable', 0, []],
];
/** The same up to 5.17, where decrements go below 0. */
const oldRows: [number, string, number, RegExp[]][] = [
  [0, 'dec', -1, []],
  [-1, 'dec', -2, [/WARN\(val < 0, "jump label: negative count!"\)/]],
  [-1, 'inc', 0, []],
  [2, 'dec', 1, []],
  [2, 'enable', 2, [/WARN_ON_ONCE/]],
];
const operations = { inc: incrementKey, dec: decrementKey, enable: enableKey, disable: disableKey };

for (const [profile, table] of [
  ['textpoke', rows],
  ['6.1', rows],
  ['5.10', oldRows],
  ['5.17', oldRows],
] as const) {
  for (const [before, operation, after, warnings] of table) {
    test(`profile ${profile}: ${operation} at a count of ${before} leaves ${after} and ${warnings.length} warnings`, () => {
      const booted = new Booted(profileNamed(profile), before);
      operations[operation as keyof typeof operations](booted.runtime, booted.key);
      assert.equal(booted.count, after);
      assert.equal(booted.warnings.length, warnings.length);
      for (const [i, pattern] of warnings.entries()) assert.match(booted.warnings[i]!, pattern);
      assert.ok(off(booted), 'no site changed');
    });
  }
}

test('a warning that the kernel prints once is marked when it comes again', () => {
  const { runtime, key } = new Booted();
  decrementKey(runtime, key);
  decrementKey(runtime, key);
  assert.deepEqual(
    runtime.log.warnings.map((w) => w.repeated),
    [false, true],
  );
});

test('a deferred decrement waits for its time, and one that waits already is not put off', () => {
  const booted = new Booted();
  const { runtime, key } = booted;
  incrementKey(runtime, key);
  decrementKeyLater(runtime, key, 100);
  advance(runtime, 60);
  decrementKeyLater(runtime, key, 100);
  advance(runtime, 39);
  assert.ok(on(booted), 'every site is still on');
  advance(runtime, 1);
  assert.deepEqual([booted.count, off(booted)], [0, true]);
  advance(runtime, 1000);
  assert.deepEqual(booted.warnings, []);
});

test('a deferred decrement that is not the last one counts at once', () => {
  const booted = new Booted();
  const { runtime, key } = booted;
  incrementKey(runtime, key);
  incrementKey(runtime, key);
  decrementKeyLater(runtime, key, 100);
  assert.deepEqual([booted.count, runtime.state.deferred.length], [1, 0]);
});

test('a user who comes back while the decrement waits keeps the key on', () => {
  const booted = new Booted();
  const { runtime, key } = booted;
  incrementKey(runtime, key);
  decrementKeyLater(runtime, key, 100);
  incrementKey(runtime, key);
  advance(runtime, 100);
  assert.deepEqual([booted.count, on(booted)], [1, true]);
});

test('a flush carries the waiting decrement out now, and without one it does nothing', () => {
  const booted = new Booted();
  const { runtime, key } = booted;
  incrementKey(runtime, key);
  flushKey(runtime, key);
  assert.equal(booted.count, 1);
  decrementKeyLater(runtime, key, 100);
  flushKey(runtime, key);
  assert.equal(booted.count, 0);
});
