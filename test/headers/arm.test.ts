// What only 32-bit ARM's header has to answer for: two states in one program and in one file, architectures that it
// refuses, REL markers that must not touch the instructions under them, and big-endian programs.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { longTest, rowsOf, run, scratch, testOfTurn, toolTest, tryRun } from '../tools.ts';
import { readMarkers, readRelocations, readSections, readSymbols, root } from './compilers.ts';

const include = `-I${join(root, 'include')}`;
const triple = 'arm-linux-gnueabihf';
const drivers = {
  gcc: [`${triple}-gcc`],
  clang: ['clang', `--target=${triple}`, '-fuse-ld=lld', '-Wno-unused-command-line-argument'],
} as const;
type Compiler = keyof typeof drivers;
const compilers = Object.keys(drivers) as Compiler[];
const linkers = [`${triple}-ld`, 'ld.lld'];

const states = [
  { flag: '-marm', other: '-mthumb', attribute: 'arm', symbol: '$a', nop: '0000a0e1', jump: /ea$/ },
  { flag: '-mthumb', other: '-marm', attribute: 'thumb', symbol: '$t', nop: 'aff30080', jump: /b8$/ },
] as const;

/** Runs a compiler on one source text; the file is `name`. */
function attempt(
  directory: string,
  compiler: Compiler,
  flags: readonly string[],
  name: string,
  text: string,
) {
  writeFileSync(join(directory, name), text);
  const [driver, ...target] = drivers[compiler];
  return tryRun(driver, [...target, include, ...flags, '-c', name], directory);
}

/** The same, which must succeed without a word; returns the object's path. */
function make(directory: string, compiler: Compiler, flags: readonly string[], name: string, text: string) {
  const { status, stderr } = attempt(directory, compiler, flags, name, text);
  assert.deepEqual([status, stderr], [0, ''], `${compiler} ${flags.join(' ')} ${name}`);
  return join(directory, name.replace(/\.\w+$/, '.o'));
}

/** The bytes of a section. */
function contentsOf(file: string, name: string): Buffer {
  const { offset, size } = readSections(file).find((section) => section.name === name)!;
  return readFileSync(file).subarray(offset, offset + size);
}

// Both assemblers begin in ARM state, whatever the driver is told.
const stateless = `#include "textpoke/static_call.h"
#include "textpoke/static_key.h"
	.text
	STATIC_JUMP_IF_TRUE 1f, off, 0
	STATIC_JUMP_IF_TRUE 1f, on, 1
	STATIC_CALL call
1:	STATIC_TAIL_CALL call
	DEFINE_STATIC_KEY_TRUE on
	DEFINE_STATIC_KEY_FALSE off
	DEFINE_STATIC_CALL_NULL call
`;
for (const compiler of compilers) {
  toolTest(
    `a .S file that names no state is assembled for the one of its flags, data behind trampolines is marked: ${compiler}`,
    [drivers[compiler][0], 'readelf'],
    (t) => {
      for (const { flag, symbol, nop, jump } of states) {
        const object = make(scratch(t), compiler, [flag], 'stateless.S', stateless);
        const sites = readMarkers(object).map((m) => `${m.key} ${m.bytes.toString('hex', 0, 4)}`);
        assert.equal(sites.length, 2);
        assert.equal(sites[0], `off ${nop}`);
        assert.match(sites[1]!, jump);
        const { index } = readSections(object).find((section) => section.name === '.static_call.text')!;
        const mapping = readSymbols(object)
          .filter((s) => s.section === String(index) && s.name.startsWith('$'))
          .map((s) => `${s.name.slice(0, 2)} ${s.value}`);
        assert.deepEqual(mapping.sort(), ['$d 12', `${symbol} 0`].sort(), flag);
      }
    },
  );
}

const stranger = (state: string, key: string) => `#include "textpoke/static_key.h"
DEFINE_STATIC_KEY_TRUE(on);
DEFINE_STATIC_KEY_FALSE(off);
void body(void);
__attribute__((target("${state}"))) void f(void) { if (static_branch_unlikely(&${key})) body(); }
`;
for (const [turn, compiler] of compilers.entries()) {
  testOfTurn(turn, 2)(
    `a static branch in a function of the state that its unit is not compiled for is no other instruction: ${compiler}`,
    [drivers[compiler][0], 'readelf'],
    (t) => {
      for (const [unit, fn] of [
        [states[0], states[1]],
        [states[1], states[0]],
      ] as const)
        for (const key of ['on', 'off']) {
          const directory = scratch(t);
          const flags = [unit.flag, '-O2', '-fno-pie'];
          const result = attempt(directory, compiler, flags, 'f.c', stranger(fn.attribute, key));
          // clang takes b.w in ARM state, where it means what b means.
          if (result.status === 0)
            assert.match(readMarkers(join(directory, 'f.o'))[0]!.bytes.toString('hex', 0, 4), fn.jump);
          const taken = compiler === 'clang' && unit.flag === '-mthumb' && key === 'on';
          assert.equal(result.status === 0, taken, `${unit.flag} ${key}: ${result.stderr}`);
          make(directory, compiler, flags, 'g.c', stranger(unit.attribute, key));
        }
    },
  );

  testOfTurn(turn + 1, 2)(
    `architectures from before blx and from before Thumb-2 are refused: ${compiler}`,
    [drivers[compiler][0]],
    (t) => {
      const text = '#include "textpoke/static_call.h"\n#include "textpoke/static_key.h"\n';
      const floats = compiler === 'clang' ? ['--target=arm-linux-gnueabi'] : ['-mfloat-abi=soft'];
      for (const [flags, complaint] of [
        ['-march=armv4t -marm', /compile for ARMv5T or later/],
        ['-march=armv5t -marm', undefined],
        ['-march=armv6 -mthumb', /Thumb-1 has no branch/],
        ['-march=armv6t2 -mthumb', undefined],
        ['-march=armv6-m -mthumb', /Thumb-1 has no branch/],
        ['-march=armv7-m -mthumb', undefined],
      ] as const) {
        const { status, stderr } = attempt(
          scratch(t),
          compiler,
          [...floats, ...flags.split(' ')],
          'a.c',
          text,
        );
        if (complaint) assert.match(stderr, complaint, flags);
        else assert.equal(status, 0, `${flags}: ${stderr}`);
      }
    },
  );
}

// Nothing in .text but sites that the assembler has settled: every tool must leave every byte as it is.
const settled = `#include "textpoke/static_key.h"
DEFINE_STATIC_KEY_ARRAY_TRUE(on, 3);
DEFINE_STATIC_KEY_FALSE(off);
extern int away;
DECLARE_STATIC_KEY_ARRAY_FALSE(theirs, 4);
int f(int n) {
  if (static_branch_unlikely(&on[2])) n ^= 5;
  if (static_branch_likely(&off)) n *= 7;
  if (static_branch_unlikely(&theirs[3])) n += 9;
  return n;
}
`;
const theirs = '#include "textpoke/static_key.h"\nDEFINE_STATIC_KEY_ARRAY_FALSE(theirs, 4);\n';
for (const compiler of compilers) {
  longTest(
    `markers change no instruction and leave no trace in a shared object, after -r too: ${compiler}`,
    [drivers[compiler][0], ...linkers, 'readelf'],
    (t) => {
      for (const { flag } of states) {
        const directory = scratch(t);
        const flags = [flag, '-O2', '-fPIC', ...(compiler === 'gcc' ? ['-fno-section-anchors'] : [])];
        const object = make(directory, compiler, flags, 'settled.c', settled);
        const other = make(directory, compiler, flags, 'theirs.c', theirs);
        const text = contentsOf(object, '.text');
        const keys = readMarkers(object).map((marker) => marker.key);
        assert.deepEqual(keys.sort(), ['off', 'on+16', 'theirs+24']);
        const none = readRelocations(object).filter((r) => r.section === '.text' && r.type === 'R_ARM_NONE');
        assert.equal(none.length, 6);
        for (const linker of linkers) {
          const together = join(directory, 'together.o');
          run(linker, ['-r', object, '-o', together]);
          assert.deepEqual(contentsOf(together, '.text'), text, `${linker} -r`);
          assert.deepEqual(
            readMarkers(together)
              .map((marker) => marker.key)
              .sort(),
            keys,
          );
          for (const first of [object, together]) {
            const shared = join(directory, 'shared.so');
            run(linker, ['-shared', first, other, '-o', shared]);
            assert.deepEqual(contentsOf(shared, '.text').subarray(0, text.length), text, linker);
            const names = readSymbols(shared, true).map((symbol) => symbol.name);
            assert.deepEqual(
              names.filter((name) => /^(\.L|on|off|theirs)/.test(name)),
              [],
            );
            const sections = readSections(shared).map((section) => section.name);
            assert.equal(sections.includes('.textpoke.keys'), false, sections.join(' '));
          }
        }
      }
    },
  );
}

const plain = 'int plain(int n) { return n + 1; }\n';
const declare = '#include "textpoke/static_call.h"\nint plain(int);\nDECLARE_STATIC_CALL(work, plain);\n';
const define = `${declare}void hook(int);\nDECLARE_STATIC_CALL(idle, hook);
DEFINE_STATIC_CALL(work, plain);\nDEFINE_STATIC_CALL_NULL(idle, hook);\n`;
const calls = `${declare}void hook(int);\nDECLARE_STATIC_CALL(idle, hook);
int main(int argc, char **argv) {
  (void)argv;
  static_call_cond(idle)(argc);
  int tail(int), maybe(int);
  return static_call(work)(10) + tail(20) + maybe(0) + maybe(2);
}
`;
const tails = `${declare}
int tail(int n) { return static_call(work)(n); }
int maybe(int n) { if (n) return static_call(work)(n); return 3; }
`;
longTest(
  'calls and tail calls of trampolines in the other state run, of functions in either state',
  [...compilers.map((compiler) => drivers[compiler][0]), 'ld.lld', 'qemu-arm'],
  (t) => {
    const all = states.flatMap(({ flag, other }) =>
      (
        [
          [flag, other],
          [other, other],
          [other, flag],
        ] as const
      ).flatMap(([callee, trampoline]) =>
        compilers.flatMap((compiler) =>
          (
            [
              ['-fno-pie', '-static'],
              ['-fPIE', '-pie'],
            ] as const
          ).map(([code, kind]) => ({ flag, callee, trampoline, compiler, code, kind })),
        ),
      ),
    );
    const made = new Map<string, string>();
    for (const { flag, callee, trampoline, compiler, code, kind } of rowsOf(all, 9)) {
      /** An object, compiled once for the same flags. */
      const unit = (state: string, name: string, text: string) => {
        const key = [compiler, code, state, name].join(' ');
        const object = made.get(key) ?? make(scratch(t), compiler, ['-O2', code, state], name, text);
        made.set(key, object);
        return object;
      };
      const units = [
        unit(flag, 'calls.c', calls),
        unit(flag, 'tails.c', tails),
        unit(trampoline, 'define.c', define),
        unit(callee, 'plain.c', plain),
      ];
      const directory = scratch(t);
      const [driver, ...target] = drivers[compiler];
      run(driver, [...target, kind, ...units, '-o', 'program'], directory);
      const { status } = tryRun('qemu-arm', ['-L', `/usr/${triple}`, join(directory, 'program')], directory);
      assert.equal(status, 11 + 21 + 3 + 3, [compiler, flag, trampoline, callee, kind].join(' '));
    }
  },
);

const bigEndian = [
  ...states.flatMap(({ flag, other }) =>
    [['--be8'], []].map((format) => ({
      name: `${flag} and ${other}, ${format.length > 0 ? 'BE8' : 'BE32'}`,
      ...{ triple, flags: [flag, other], format, emulator: 'qemu-armeb' },
    })),
  ),
  {
    name: 'AArch64',
    ...{
      triple: 'aarch64-linux-gnu',
      flags: ['-mno-outline-atomics', '-mno-outline-atomics'],
      format: [],
      emulator: 'qemu-aarch64_be',
    },
  },
];
for (const [turn, machine] of bigEndian.entries()) {
  const [gcc, ld] = [`${machine.triple}-gcc`, `${machine.triple}-ld`];
  testOfTurn(turn, 2)(
    `the demo runs unannotated and big-endian: ${machine.name}`,
    [gcc, ld, machine.emulator],
    (t) => {
      const directory = scratch(t);
      ['main', 'work'].forEach((unit, i) => {
        const flags = [
          '-mbig-endian',
          '-ffreestanding',
          '-fno-builtin',
          '-O2',
          '-fno-pie',
          '-fno-stack-protector',
        ];
        const source = join(root, 'samples', 'demo', `${unit}.c`);
        run(gcc, [...flags, machine.flags[i]!, include, '-c', source], directory);
      });
      run(ld, ['-EB', ...machine.format, 'main.o', 'work.o', '-o', 'program'], directory);
      assert.equal(
        run(machine.emulator, [join(directory, 'program')]),
        'call: hello\ncounter: 3\nbranch: off\n',
      );
    },
  );
}
