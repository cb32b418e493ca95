import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { profileNamed, profileOf, profiles } from '../../src/demand/profiles.ts';
import { TextpokeError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { resolveStaticCall, resolveSymbol } from '../../src/image/names.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { compiledImage } from '../boot/compiled.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';
import { toolTest } from '../tools.ts';

/** clang -Os makes conditional tail calls of the sample, gcc makes none. */
const withConditional = linkedBytes('clang-Os', programUnits);
const without = linkedBytes('gcc-O2', programUnits);

const options = { cpus: undefined, upFill: 'ds', steps: [] } as const;

function contents(image: Image): string {
  return hexBytes(image.file.source.read(0, image.file.source.size));
}

test('an image that is no kernel has the profile textpoke', () => {
  assert.equal(profileOf(imageOf(without)).name, 'textpoke');
});

test('a profile that does not exist is refused, and those there are get named', () => {
  assert.throws(
    () => profileNamed('6.2'),
    (e) =>
      e instanceof TextpokeError &&
      e.code === 'usage' &&
      /5\.10, 5\.17, 6\.1, 6\.6, 6\.12, 7\.0, textpoke/.test(e.message),
  );
});

for (const [version, profile] of [
  ['4.19.0', '5.10'],
  ['5.10.0', '5.10'],
  ['5.16.20', '5.10'],
  ['5.17.1', '5.17'],
  ['6.0.0-rc1', '5.17'],
  ['6.1.192', '6.1'],
  ['6.5.0', '6.1'],
  ['6.6.1', '6.6'],
  ['6.11.0', '6.6'],
  ['6.12.3', '6.12'],
  ['6.19.0', '6.12'],
  ['7.0.0', '7.0'],
  ['8.1.0', '7.0'],
] as const) {
  toolTest(`a banner of Linux ${version} asks for the profile ${profile}`, ['gcc'], (t) => {
    const image = compiledImage(
      t,
      `const char linux_banner[] = "Linux version ${version} (x@y) (gcc) #1 SMP";`,
    );
    assert.equal(profileOf(image).name, profile);
    assert.equal(profileOf(image).conditionalTails, profileNamed(profile).conditionalTails);
  });
}

toolTest(
  'a 6.1 kernel with __static_call_return has 6.6 code from stable: it takes conditional tail calls',
  ['gcc'],
  (t) => {
    const image = compiledImage(
      t,
      'const char linux_banner[] = "Linux version 6.1.192 (x@y)"; void __static_call_return(void) {}',
    );
    assert.deepEqual([profileOf(image).name, profileOf(image).conditionalTails], ['6.1', true]);
  },
);

for (const name of ['5.10', '5.17', '6.1']) {
  test(`profile ${name} stops at a conditional tail call, as that kernel does`, () => {
    assert.throws(
      () => boot(imageOf(withConditional), { ...options, profile: profileNamed(name) }),
      (e) =>
        e instanceof TextpokeError &&
        e.code === 'kernel-bug' &&
        e.exitCode === 1 &&
        /unexpected static_call insn opcode 0xf at .*BUG/.test(e.message),
    );
    boot(imageOf(without), { ...options, profile: profileNamed(name) });
  });
}

for (const name of ['6.6', '6.12', '7.0', 'textpoke']) {
  test(`profile ${name} takes conditional tail calls`, () => {
    boot(imageOf(withConditional), { ...options, profile: profileNamed(name) });
  });
}

test('a kernel wants the signature of its own version behind a trampoline that it updates', () => {
  const update = { do: 'update', call: 'math', value: 'add_ten' } as const;
  // textpoke's trampolines have ud1, as a kernel's have since 5.19 (arch/x86/kernel/static_call.c, tramp_ud).
  for (const name of ['5.10', '6.1', '6.6']) {
    boot(imageOf(without), { ...options, steps: [update], profile: profileNamed(name) });
  }
  assert.throws(
    () => boot(imageOf(without), { ...options, steps: [update], profile: profileNamed('5.17') }),
    /trampoline signature fail at __SCT__math/,
  );
});

test('a kernel leaves trampolines alone at static_call_init, textpoke brings them to their keys', () => {
  const trampolinesWritten = (name: string) => {
    const image = imageOf(withConditional);
    // A return, but not the one that an update to NULL writes.
    const place = resolveSymbol(image, '__SCT__notify', 'trampoline');
    image.read(place, 5).set([0xc3, 0x90, 0x90, 0x90, 0x90]);
    const { poker } = boot(image, { ...options, profile: profileNamed(name) });
    return poker.records.some((r) => r.address === place);
  };
  assert.deepEqual(
    profiles
      .filter(({ name }) => profileNamed(name).conditionalTails && trampolinesWritten(name))
      .map((p) => p.name),
    ['textpoke'],
  );
});

test('before RET0 had a clear of its own, its calls are calls', () => {
  const siteBytes = (name: string) => {
    const image = imageOf(without);
    const runtime = boot(image, {
      ...options,
      profile: profileNamed(name),
      steps: [{ do: 'update', call: 'math', value: 'RET0' }],
    });
    const { key } = resolveStaticCall(image, runtime.program.calls, 'math');
    return runtime
      .sitesOf(staticCall, key)
      .filter((s) => !s.tail)
      .map((s) => hexBytes(image.read(s.address, 5)));
  };
  assert.deepEqual(new Set(siteBytes('5.10').map((bytes) => bytes.slice(0, 2))), new Set(['e8']));
  assert.deepEqual(new Set(siteBytes('6.6')), new Set(['2e2e2e31c0']));
});

toolTest('from 7.0 on a call of __WARN_trap traps in place', ['gcc'], (t) => {
  const image = () =>
    compiledImage(
      t,
      `#include <textpoke/static_call.h>
      void __WARN_trap(void) {} void other(void) {}
      DEFINE_STATIC_CALL(warn, other);
      int use(int a) { static_call(warn)(); return a; }`,
    );
  const bytesAfter = (name: string) => {
    const runtime = boot(image(), {
      ...options,
      profile: profileNamed(name),
      steps: [{ do: 'update', call: 'warn', value: '__WARN_trap' }],
    });
    return hexBytes(runtime.image.read(runtime.program.sites.of(staticCall)[0]!.address, 5));
  };
  assert.equal(bytesAfter('7.0'), '67480fb93a'); // ud1 (%edx), %rdi
  assert.match(bytesAfter('6.12'), /^e8/);
});

test('static_call_force_reinit is there from 6.6 on, and writes what is there already', () => {
  const steps = [{ do: 'forceReinit' }] as const;
  assert.throws(
    () => boot(imageOf(without), { ...options, steps, profile: profileNamed('5.10') }),
    /profile 5\.10 does not have this function/,
  );
  const runtime = boot(imageOf(without), { ...options, steps, profile: profileNamed('6.6') });
  assert.equal(runtime.poker.records.at(-1)!.phase, 'static_call_init');
  const image = imageOf(without);
  boot(image, { ...options, profile: profileNamed('6.6') });
  assert.equal(contents(runtime.image), contents(image));
});
