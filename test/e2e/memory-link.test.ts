// Objects linked in memory by `boot a.o b.o -o image`: no linker is needed to see patching at work. What needs no
// libc runs; the rest links, with stubs for what is undefined, and verifies.
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { longTest, rowsOf, run, toolTest, tryRun } from '../tools.ts';
import {
  alone,
  annotated,
  assertSameFile,
  assertVerified,
  comdatUnits,
  countEntries,
  findings,
  fresh,
  imageSymbols,
  namesOf,
  once,
  plain,
  readTables,
  sets,
  textpoke,
  units,
} from './programs.ts';

/** Links objects in memory and boots them; returns the image and what stderr said. */
function bootObjects(
  objects: readonly string[],
  args: readonly string[] = [],
): { image: string; said: string } {
  const image = fresh('memory');
  const result = textpoke(['boot', ...objects, ...args, '-o', image]);
  assert.equal(result.status, 0, `${objects.join(' ')}: ${result.stderr}`);
  return { image, said: result.stderr };
}

const demos = [
  { set: 'demo', names: ['main', 'work'] },
  ...['gcc-O2', 'clang-O2', 'gcc-O2-fPIC', 'clang-O2-fPIC'].map((set) => ({
    set,
    names: ['demo-main', 'demo-work'],
  })),
];
const before = 'call: hello\ncounter: 3\nbranch: off\n';
const after = 'call: HELLO!\ntrace: counting\ntrace: counting\ntrace: counting\ncounter: 3\nbranch: on\n';

toolTest(
  'the demo, linked in memory, is a program that runs: as it was compiled, booted, changed, and changed back',
  [],
  () => {
    for (const { set, names } of rowsOf(demos, 2)) {
      const objects = names.map((name) => annotated(set, name));
      for (const cpus of ['1', '2']) {
        const first = bootObjects(objects, ['--cpus', cpus]);
        assert.equal(first.said, '');
        assert.equal(run(first.image, []), before);
        assertVerified(first.image, ['--cpus', cpus, '--locks', 'all']);
        const steps = ['--cpus', cpus, '--enable', 'tracing', '--update', 'greet=greet_loud'];
        const changed = bootObjects(objects, steps);
        assert.equal(run(changed.image, []), after);
        assertVerified(changed.image, ['--original', first.image, '--cpus', cpus, '--locks', 'all']);
        // The image can be booted on, as any other can.
        const back = bootObjects([changed.image], ['--disable', 'tracing', '--update', 'greet=greet_plain']);
        assert.equal(run(back.image, []), before);
        assertSameFile(first.image, back.image);
      }
      const untouched = bootObjects(names.map((name) => plain(set, name)));
      assert.equal(run(untouched.image, []), before);
    }
  },
);

/** Calls what the samples offer and exits with the number of what came out otherwise than `wanted`. */
const start = (wanted: readonly string[]) => `#include "samples.h"
static int failed(void) {
  int n = 0;
${wanted.map((check) => `  n++; if (!(${check})) return n;`).join('\n')}
  return 0;
}
__attribute__((used)) static void begin(void) {
  __asm__ volatile("syscall" : : "a"(60L), "D"((long)failed()) : "rcx", "r11", "memory");
  __builtin_unreachable();
}
__asm__(".globl _start\\n_start:\\n\\txorl %ebp, %ebp\\n\\tandq $-16, %rsp\\n\\tcall begin\\n\\tud2");
`;

const atFirst = [
  ...['likely_true() == 1', 'likely_false() == 0', 'unlikely_true() == 1', 'unlikely_false() == 0'],
  ...['array_true() == 1', 'array_false() == 0', 'member_key() == 0', 'nested() == 2', 'in_loop(4) == 6'],
  ...['cold_body(1) == 2', 'cold_jump(1) == 1001', 'call_plain(20) == 42', 'call_tail(20) == 22'],
  ...['(call_cond(8), times_observed() == 1)', '(call_if(32), times_observed() == 1)'],
  ...['call_ret0(3) == 5', 'call_ret0_tail(3) == 0', 'math_now() == (const void *)&add_one'],
  ...['lock_all() == 719', 'lock_all() == 483', 'local_branch() == 2', 'local2_branch() == 3'],
  ...['local_call(2) == 6', 'local2_call(2) == 10', 'use_shared_key() == 1', 'use_shared_call(1) == 203'],
];
const changed = [
  ...['likely_true() == 0', 'likely_false() == 1', 'unlikely_true() == 0', 'unlikely_false() == 1'],
  ...['array_true() == 0', 'array_false() == 1', 'member_key() == 1', 'nested() == 1', 'in_loop(4) == 406'],
  ...['cold_body(1) == 1001', 'cold_jump(1) == 2', 'call_plain(20) == 60', 'call_tail(20) == 31'],
  ...['(call_cond(8), times_observed() == 17)', '(call_if(32), times_observed() == 81)'],
  ...['call_ret0(3) == 26', 'call_ret0_tail(3) == 21', 'math_now() == (const void *)&add_ten'],
  ...['lock_all() == 719', 'use_shared_key() == 4', 'use_shared_call(1) == 403'],
];
const changes = [
  ...['--disable', 'on_key', '--enable', 'off_key', '--disable', 'on_keys[1]', '--enable', 'off_keys[2]'],
  ...[
    '--enable',
    'off_keys[0]',
    '--enable',
    'device+8',
    '--disable',
    'shared_true',
    '--enable',
    'shared_keys[3]',
  ],
  ...['--update', 'math=add_ten', '--update', 'notify=observe_twice', '--update', 'probe=real_probe'],
  ...['--update', 'shared_call=shared_other', '--cpus', '1'],
];

function startObject(name: string, wanted: readonly string[]): string {
  return once(`${name}-start.o`, (path) => {
    writeFileSync(`${path}.c`, start(wanted));
    const samples = new URL('../../samples/src', import.meta.url).pathname;
    run('gcc', [
      '-c',
      '-O1',
      '-ffreestanding',
      '-fPIE',
      '-fno-stack-protector',
      `-I${samples}`,
      `${path}.c`,
      '-o',
      path,
    ]);
  });
}

toolTest(
  'sample objects, linked in memory with a start of their own, run: at first, and with keys, calls and locks changed',
  ['gcc', 'readelf'],
  () => {
    const names = units.filter((name) => name !== 'main');
    const whole = sets.filter((set) => names.every((name) => namesOf(set).includes(name)));
    for (const set of rowsOf(whole, 10)) {
      const objects = names.map((name) => annotated(set, name));
      const first = bootObjects([startObject('first', atFirst), ...objects]);
      assert.equal(first.said, '');
      const { status } = tryRun(first.image, []);
      assert.equal(status, 0, `${set}: ${atFirst[(status ?? 0) - 1]}`);
      assert.deepEqual(countEntries(first.image), [21, 16, 6]);
      const other = bootObjects([startObject('changed', changed), ...objects], changes);
      const failed = tryRun(other.image, []).status;
      assert.equal(failed, 0, `${set}: ${changed[(failed ?? 0) - 1]}`);
      assertVerified(other.image, ['--cpus', '1']);
      // In another order, and as one object.
      const reversed = bootObjects([...objects].reverse().concat(startObject('changed', changed)), changes);
      assert.equal(tryRun(reversed.image, []).status, 0);
      const together = once(`together ${set}`, (path) => {
        run('ld', ['-r', ...objects, '-o', path]);
      });
      const one = bootObjects([startObject('changed', changed), together], changes);
      assert.equal(tryRun(one.image, []).status, 0, set);
    }
  },
);

longTest(
  'programs that need libc link in memory with stubs for what is undefined, and verify',
  ['readelf'],
  () => {
    const all = sets.flatMap((set) => [units, comdatUnits].map((names) => ({ set, names })));
    const whole = all.filter(({ set, names }) => names.every((name) => namesOf(set).includes(name)));
    for (const { set, names } of rowsOf(whole, 10)) {
      const { image, said } = bootObjects(names.map((name) => annotated(set, name)));
      assert.match(
        said,
        /^textpoke: \d+ symbols are undefined, and a call of an undefined symbol traps: .*printf/,
      );
      assertVerified(image, [], set);
      assert.deepEqual(countEntries(image), names === units ? [21, 16, 6] : [4, 3, 1]);
      assert.equal(statSync(image).mode & 0o111, 0o111 & ~process.umask());
    }
  },
);

toolTest(
  'every sample object links in memory by itself when it defines its keys, and verifies',
  ['readelf'],
  () => {
    const all = ['gcc-O2', 'clang-Os', 'clang-O2-ffunction-sections', 'gcc-O2-g', 'clang-O2-g-gz'];
    for (const set of rowsOf(all, 2)) {
      for (const name of namesOf(set)) {
        const object = annotated(set, name);
        const image = fresh('memory');
        const result = textpoke(['boot', object, '-o', image]);
        if (['key-use', 'comdat2', 'demo-main'].includes(name)) {
          assert.equal(result.status, 3, `${set}/${name}`);
          assert.match(result.stderr, /\w+ is a key, but no object defines it \[link-failed\]/);
          continue;
        }
        assert.equal(result.status, 0, `${set}/${name}: ${result.stderr}`);
        if (countEntries(image).every((count) => count === 0)) {
          assert.deepEqual(
            findings(image).map((f) => f.rule),
            ['TP016'],
          );
        } else assertVerified(image, [], `${set}/${name}`, alone);
      }
    }
  },
);

longTest(
  'an inline function that two objects hold is linked in memory once, with one entry a site',
  ['readelf'],
  () => {
    for (const set of rowsOf(
      sets.filter((name) => namesOf(name).includes('comdat2')),
      5,
    )) {
      for (const order of [
        ['comdat', 'comdat2'],
        ['comdat2', 'comdat'],
      ]) {
        const { image } = bootObjects(order.map((name) => annotated(set, name)));
        const copies = imageSymbols(image).filter((s) => s.name === '_Z13comdat_branchv');
        assert.equal(copies.length, 1);
        const { branches } = readTables(image);
        const at = copies[0]!;
        assert.equal(branches.filter((b) => b.code >= at.value && b.code < at.value + at.size).length, 3);
        assert.deepEqual(countEntries(image), [4, 3, 1]);
        assertVerified(image, [], set);
      }
    }
  },
);

toolTest(
  'what cannot be linked in memory is said: two definitions, an image among objects',
  ['readelf'],
  () => {
    const call = annotated('gcc-O2', 'call');
    const twice = textpoke(['boot', call, annotated('gcc-Os', 'call')]);
    assert.equal(twice.status, 3);
    assert.match(twice.stderr, /is also defined in .*call\.o \[link-failed\]/);
    const { image } = bootObjects([call]);
    const mixed = textpoke(['boot', call, image]);
    assert.equal(mixed.status, 3);
    assert.match(mixed.stderr, /only relocatable objects.*\[not-relocatable\]/);
  },
);
