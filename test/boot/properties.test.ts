// Properties of the runtime model over seeded random steps: there and back, order, once and twice, refused plans.
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { Runtime } from '../../src/boot/runtime.ts';
import { type BootStep, runStep } from '../../src/boot/steps.ts';
import { hex } from '../../src/bytes/integer.ts';
import { readKey } from '../../src/demand/keys.ts';
import { readElf } from '../../src/elf/read.ts';
import { MismatchError } from '../../src/errors.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { describeValue, readCallValue } from '../../src/kinds/static-call/values.ts';
import { annotated, imageOf, linkedBytes, programUnits } from '../samples.ts';
import { seeded } from '../seeded.ts';
import { casesOf } from '../tools.ts';

const sets = ['gcc-O2', 'clang-Os', 'gcc-Os', 'aarch64-gcc-O2', 'arm-clang-O2', 'thumb-gcc-O2'];
const images = new Map(sets.map((set) => [set, linkedBytes(set, programUnits)]));

function start(set: string): Runtime {
  return boot(imageOf(images.get(set)!), { cpus: 2, upFill: 'ds', steps: [] });
}

/** Memory, without what is no state: the record and its notes. */
function contents({ image }: Runtime): Buffer {
  return Buffer.from(image.file.source.read(0, image.file.source.size));
}

function assertSameContents(runtime: Runtime, expected: Buffer, what: string): void {
  assert.ok(contents(runtime).equals(expected), what);
}

function perform(runtime: Runtime, steps: readonly BootStep[]): void {
  for (const step of steps) runStep(runtime, step, { upFill: 'ds', openModule: () => assert.fail() });
}

/** One random step, and the one that takes it back as things stand. */
function randomStep(runtime: Runtime, random: () => number): [step: BootStep, inverse: BootStep] {
  const { image } = runtime;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const key = pick([...new Set(runtime.program.sites.of(staticBranch).map((site) => site.key))]);
  const name = hex(key);
  const count = readKey(image, key).enabled;
  switch (Math.floor(random() * 5)) {
    case 0:
      return [
        { do: 'inc', key: name },
        { do: 'dec', key: name },
      ];
    case 1:
      return count === 0
        ? [
            { do: 'enable', key: name },
            { do: 'disable', key: name },
          ]
        : [
            { do: 'dec', key: name },
            { do: 'inc', key: name },
          ];
    case 2:
      return runtime.state.cpus.isOne
        ? [
            { do: 'cpuUp', cpu: 1 },
            { do: 'cpuDown', cpu: 1, dropLocks: true },
          ]
        : [
            { do: 'cpuDown', cpu: 1, dropLocks: true },
            { do: 'cpuUp', cpu: 1 },
          ];
    default: {
      const call = pick(
        [...runtime.program.calls.values()].filter((c) => c.name === 'math' || c.name === 'notify'),
      );
      const functions = call.name === 'math' ? ['add_one', 'add_ten'] : ['observe', 'observe_twice'];
      const value = pick([...functions, 'NULL', 'RET0']);
      const now = describeValue(image, readCallValue(runtime.program, call.key));
      return [
        { do: 'update', call: call.name, value },
        { do: 'update', call: call.name, value: now },
      ];
    }
  }
}

const sequences = casesOf(40);

for (const set of sets) {
  test(`${set}: ${sequences} random sequences followed by their inverses give the first image`, () => {
    for (let seed = 1; seed <= sequences; seed++) {
      const random = seeded(seed);
      const runtime = start(set);
      const before = contents(runtime);
      const inverses: BootStep[] = [];
      for (let i = 0; i < 12; i++) {
        const [step, inverse] = randomStep(runtime, random);
        perform(runtime, [step]);
        inverses.unshift(inverse);
      }
      perform(runtime, inverses);
      assertSameContents(runtime, before, `seed ${seed}`);
    }
  });

  test(`${set}: steps on different keys and calls commute`, () => {
    for (let seed = 1; seed <= casesOf(20); seed++) {
      const random = seeded(seed);
      const forward = start(set);
      const keys = [...new Set(forward.program.sites.of(staticBranch).map((site) => site.key))];
      const steps: BootStep[] = [
        ...keys.filter(() => random() < 0.5).map((key): BootStep => ({ do: 'inc', key: hex(key) })),
        { do: 'update', call: 'math', value: random() < 0.5 ? 'NULL' : 'add_ten' },
        { do: 'update', call: 'notify', value: random() < 0.5 ? 'RET0' : 'observe' },
        { do: 'cpuDown', cpu: 1, dropLocks: true },
      ];
      const shuffled = steps
        .map((step) => ({ step, rank: random() }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ step }) => step);
      const other = start(set);
      perform(forward, steps);
      perform(other, shuffled);
      assertSameContents(other, contents(forward), `seed ${seed}`);
    }
  });

  test(`${set}: what is done twice is done once`, () => {
    for (const steps of [
      [{ do: 'enable', key: 'off_*' }],
      [{ do: 'disable', key: 'on_*' }],
      [{ do: 'update', call: 'math', value: 'NULL' }],
      [{ do: 'update', call: 'notify', value: 'observe' }],
    ] satisfies BootStep[][]) {
      const [once, twice] = [start(set), start(set)];
      perform(once, steps);
      perform(twice, [...steps, ...steps]);
      assertSameContents(twice, contents(once), JSON.stringify(steps));
      assert.equal(once.poker.records.length, twice.poker.records.length);
    }
  });

  test(`${set}: a plan that is refused changed nothing, whichever site is broken`, () => {
    const random = seeded(7);
    for (let i = 0; i < casesOf(40); i++) {
      const runtime = start(set);
      const sites = runtime.program.sites
        .of(staticBranch)
        .filter((site) => runtime.image.describe(site.key).startsWith('off_'));
      const site = sites[Math.floor(random() * sites.length)]!;
      runtime.image.read(site.address, 2).fill(0x6b);
      const before = contents(runtime);
      const records = runtime.poker.records.length;
      assert.throws(() => perform(runtime, [{ do: 'enable', key: 'off_*' }]), MismatchError);
      assertSameContents(runtime, before, hex(site.address));
      assert.equal(runtime.poker.records.length, records);
    }
  });
}

test('modules that come and go between random steps leave the image as the steps alone do', () => {
  const image = linkedBytes(
    'gcc-O2',
    programUnits.filter((unit) => unit !== 'key-use'),
  );
  const module = annotated('gcc-O2', 'key-use');
  const openModule = () => readElf('key-use.ko', module.slice());
  for (let seed = 1; seed <= casesOf(30); seed++) {
    const random = seeded(seed);
    const run = (withModule: boolean) =>
      boot(imageOf(image), { cpus: 2, upFill: 'ds', steps: steps(withModule), openModule });
    const plan = Array.from({ length: 10 }, () => random());
    const steps = (withModule: boolean) => {
      let loaded = false;
      return plan.flatMap((number): BootStep[] => {
        if (number < 0.4) {
          loaded = !loaded;
          if (!withModule) return [];
          return [loaded ? { do: 'load', file: 'key-use.ko' } : { do: 'unload', module: 'key_use' }];
        }
        if (number < 0.6) return [{ do: 'inc', key: 'shared_false' }];
        if (number < 0.8)
          return [{ do: 'update', call: 'shared_call', value: number < 0.7 ? 'shared_other' : 'NULL' }];
        return [{ do: 'dec', key: 'shared_true' }];
      });
    };
    assertSameContents(run(true), contents(run(false)), `seed ${seed}`);
  }
});
