import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { profileNamed } from '../../src/demand/profiles.ts';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { nameOf } from '../../src/files/input.ts';
import { Image } from '../../src/image/image.ts';
import { resolveStaticCall, resolveStaticKey, resolveSymbol } from '../../src/image/names.ts';
import { lockPrefix } from '../../src/kinds/lock-prefix/kind.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { linkObjects } from '../../src/link/link.ts';
import { annotated, imageOf, linkedBytes, programUnits } from '../samples.ts';
import { toolTest } from '../tools.ts';
import { compiledObject } from './compiled.ts';

const machines = ['gcc-O2', 'clang-O2', 'aarch64-gcc-O2', 'arm-gcc-O2', 'thumb-gcc-O2'];
const users = programUnits.filter((unit) => unit !== 'key-use');

interface Setting {
  readonly image: Uint8Array;
  readonly modules: Readonly<Record<string, Uint8Array>>;
}

/** The image defines the keys, the module has the sites. */
const keyed = (set: string): Setting => ({
  image: linkedBytes(set, users),
  modules: { 'key-use.ko': annotated(set, 'key-use') },
});

function start({ image, modules }: Setting, steps: readonly BootStep[], cpus?: number, profile?: string) {
  return boot(imageOf(image), {
    cpus,
    upFill: 'ds',
    steps,
    profile: profile === undefined ? undefined : profileNamed(profile),
    openModule: (file) => readElf(nameOf(file), modules[nameOf(file)] as Uint8Array),
  });
}

const load = (file = 'key-use.ko'): BootStep => ({ do: 'load', file });
const unload = (module = 'key_use'): BootStep => ({ do: 'unload', module });

/** The kinds of instruction at the sites of a key. */
function kinds(runtime: ReturnType<typeof boot>, key: string): string[] {
  const { image } = runtime;
  const found = runtime.sitesOf(staticBranch, resolveStaticKey(image, key)).map((site) => {
    return `${image.instructionAt(site.address).kind} of ${site.branch ? 'likely' : 'unlikely'}`;
  });
  return [...new Set(found)];
}

for (const set of machines) {
  test(`${set}: sites of a module follow the image's key, loaded before or after it changed`, () => {
    const enable: BootStep = { do: 'enable', key: 'shared_false' };
    for (const steps of [
      [load(), enable],
      [enable, load()],
    ]) {
      const runtime = start(keyed(set), steps);
      assert.deepEqual(kinds(runtime, 'shared_false'), ['jump of unlikely']);
      assert.deepEqual(kinds(runtime, 'shared_true'), ['nop of likely']);
    }
  });

  test(`${set}: calls of a module go to what the image's call goes to`, () => {
    const update: BootStep = { do: 'update', call: 'shared_call', value: 'shared_other' };
    for (const steps of [
      [load(), update],
      [update, load()],
    ]) {
      const { image, program, state } = start(keyed(set), steps);
      const sites = state.modules[0]!.sites.of(staticCall);
      const { key } = resolveStaticCall(image, program.calls, 'shared_call');
      assert.ok(sites.length >= 2, `${sites.length} sites`);
      assert.deepEqual(new Set(sites.map((site) => site.key)), new Set([key]));
      const wanted = resolveSymbol(image, 'shared_other', 'function');
      for (const site of sites) {
        const { displacement } = image.instructionAt(site.address);
        assert.equal(image.addressAt(site.address, displacement), wanted);
      }
    }
  });
}

test('after unload a change of the key touches the image alone', () => {
  const runtime = start(keyed('gcc-O2'), [load(), unload(), { do: 'enable', key: 'shared_false' }]);
  assert.deepEqual(runtime.state.modules, []);
  assert.deepEqual(kinds(runtime, 'shared_false'), []);
  assert.match(runtime.log.notes.join(), /no site uses the key shared_false/);
});

test('loading and unloading leaves the image as it was', () => {
  const contents = (steps: readonly BootStep[]) => {
    const { file } = start(keyed('gcc-O2'), steps).image;
    return hexBytes(file.source.read(0, file.source.size));
  };
  assert.equal(contents([load(), unload(), load(), unload()]), contents([]));
});

test('a module keyed to another one, which stays as long as it is used', () => {
  const setting: Setting = {
    image: linkedBytes(
      'gcc-O2',
      programUnits.filter((unit) => !unit.startsWith('key-')),
    ),
    modules: { 'key-def.ko': annotated('gcc-O2', 'key-def'), 'key-use.ko': annotated('gcc-O2', 'key-use') },
  };
  const both = [load('key-def.ko'), load('key-use.ko')];
  const runtime = start(setting, [...both, { do: 'inc', key: 'key_def:shared_false' }]);
  assert.deepEqual(kinds(runtime, 'shared_false'), ['jump of unlikely']);
  assert.throws(
    () => start(setting, [...both, unload('key_def')]),
    /the module key_def is in use by key_use/,
  );
  assert.deepEqual(start(setting, [...both, unload('key_use'), unload('key_def')]).state.modules, []);
});

test('a symbol that nobody has is an error by name, and so is a module that is loaded twice or not at all', () => {
  const alone: Setting = {
    image: linkedBytes('gcc-O2', ['branch']),
    modules: { 'key-use.ko': annotated('gcc-O2', 'key-use') },
  };
  assert.throws(
    () => start(alone, [load()]),
    (e) =>
      e instanceof TextpokeError &&
      e.code === 'link-failed' &&
      e.place.file === 'key-use.ko' &&
      /unknown symbol __SCK__shared_call, __SCT__shared_call, shared_false, shared_keys, shared_true/.test(
        e.message,
      ),
  );
  assert.throws(() => start(keyed('gcc-O2'), [load(), load()]), /key_use is already loaded/);
  assert.throws(() => start(keyed('gcc-O2'), [unload()]), /the module key_use is not loaded/);
});

test('locks of a module are dropped where those of the image are, and come back with them', () => {
  const setting: Setting = {
    image: linkedBytes('gcc-O2', ['branch']),
    modules: { 'lock.ko': annotated('gcc-O2', 'lock') },
  };
  const states = (cpus: number | undefined, steps: readonly BootStep[]) => {
    const { image, state } = start(setting, steps, cpus);
    return new Set(
      state.modules[0]!.sites.of(lockPrefix).map(({ address }) => hexBytes(image.read(address, 1))),
    );
  };
  assert.deepEqual(states(1, [load('lock.ko')]), new Set(['3e']));
  assert.deepEqual(states(2, [load('lock.ko')]), new Set(['f0']));
  assert.deepEqual(states(undefined, [load('lock.ko')]), new Set(['f0']));
  assert.deepEqual(states(1, [load('lock.ko'), { do: 'cpuUp', cpu: 1 }]), new Set(['f0']));
});

test("a module's own init text is patched while it loads and never again", () => {
  const setting: Setting = {
    image: linkedBytes('gcc-O2', ['branch']),
    modules: { 'entries.ko': annotated('gcc-O2', 'kernel-entries') },
  };
  const { image, state, poker } = start(setting, [load('entries.ko'), { do: 'enable', key: 'kernel_false' }]);
  const init = state.modules[0]!.sites.of(staticBranch)
    .filter((site) => site.bit1)
    .map((site) => site.address);
  assert.notEqual(init.length, 0);
  for (const address of init) assert.equal(image.isInitText(address), true, image.describe(address));
  assert.deepEqual(
    poker.records.filter((r) => r.what === 'text' && init.includes(r.address)),
    [],
  );
});

toolTest('a module that was given the trampoline alone may call, but not update', ['gcc'], (t) => {
  const header = '#include <textpoke/static_call.h>\nvoid plain(void); void other(void);\n';
  const body = 'DEFINE_STATIC_CALL(deed, plain); void plain(void) {} void other(void) {}';
  const build = (exported: string) =>
    linkObjects([
      readElf('image.o', compiledObject(t, `#define TEXTPOKE_EXPORTED_CALLS\n${header}${body}\n${exported}`)),
    ]).bytes;
  const caller = compiledObject(
    t,
    `${header}DECLARE_STATIC_CALL(deed, plain);\nint call(int a) { static_call(deed)(); return a; }`,
    {
      module: true,
    },
  );
  const modules = { 'caller.ko': caller };
  const steps: BootStep[] = [load('caller.ko'), { do: 'update', call: 'deed', value: 'other' }];
  const runtime = start({ image: build('EXPORT_STATIC_CALL_TRAMP(deed);'), modules }, steps);
  const [site] = runtime.state.modules[0]!.sites.of(staticCall);
  const { displacement } = runtime.image.instructionAt(site!.address);
  assert.equal(site!.address + displacement, resolveSymbol(runtime.image, 'other', 'function'));
  assert.throws(
    () => start({ image: build(''), modules }, steps),
    /Failed to fixup __raw_static_call\(\) usage at: call\+0x\w+ \(__SCT__deed has no entry/,
  );
  const byCaller: BootStep[] = [
    load('caller.ko'),
    { do: 'update', call: 'deed', value: 'other', by: 'caller' },
  ];
  const kernel = `${'EXPORT_STATIC_CALL_TRAMP(deed);'} const int __ksymtab___SCT__deed = 1;`;
  assert.throws(
    () => start({ image: build(kernel), modules }, byCaller),
    /can call \w+, but cannot update it/,
  );
  start({ image: build(`${kernel} const int __ksymtab___SCK__deed = 1;`), modules }, byCaller);
});

toolTest('a kernel gives modules only what it exports', ['gcc'], (t) => {
  const setting = (kernel: string): Setting => ({
    image: linkObjects([readElf('image.o', compiledObject(t, kernel))]).bytes,
    modules: { 'm.ko': compiledObject(t, 'void deed(void); int use(int a) { deed(); return a; }') },
  });
  const kernel = 'void deed(void) {} void shown(void) {} const int __ksymtab_shown = 1;';
  assert.throws(() => start(setting(kernel), [load('m.ko')]), /unknown symbol deed/);
  start(setting(`${kernel} const int __ksymtab_deed = 1;`), [load('m.ko')]);
});

test('a module has an address range of its own, in reach of the image', () => {
  const { image, state } = start(keyed('gcc-O2'), [load()]);
  const guest = state.modules[0]!.image;
  assert.ok(guest instanceof Image, 'the module has an image of its own');
  const end = Math.max(...image.file.segments.map((s) => s.vaddr + s.memsz));
  assert.deepEqual(
    guest.code.filter((range) => range.address < end),
    [],
  );
});
