// The headers under link-time optimisation, and where they cannot work: what is compiled runs, and what cannot work is
// said in words.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, scratch, testOfTurn, toolTest, tryRun } from '../tools.ts';
import { root } from './compilers.ts';

const include = `-I${join(root, 'include')}`;

/** Two units that each call a function `plain` of their own through a static call, and one of the other unit. */
const unit = (name: string, other: string, body: string) => `#include <stdio.h>
#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
DECLARE_STATIC_KEY_TRUE(key);
static void plain(void) { puts("${name}"); }
void far_${name}(void) { puts("far ${name}"); }
void far_${other}(void);
DEFINE_STATIC_CALL(${name}, plain);
DEFINE_STATIC_CALL(${name}_far, far_${other});
void ${name}_all(void) {
  if (static_branch_likely(&key)) static_call(${name})();
  static_call(${name}_far)();
}
${body}`;

const units = {
  one: unit(
    'one',
    'two',
    'DEFINE_STATIC_KEY_TRUE(key);\nvoid two_all(void);\nint main(void) { one_all(); two_all(); }\n',
  ),
  two: unit('two', 'one', ''),
} as const;
const expected = 'one\nfar two\ntwo\nfar one\n';

const builds: readonly (readonly [string, string, readonly string[]])[] = [
  ['gcc', 'c', ['-flto', '-flto-partition=max']],
  ['clang', 'c', ['-flto', '-fuse-ld=lld']],
  ['gcc', 'c', ['-flto', '-flto-partition=none']],
  ['gcc', 'c', ['-flto', '-O0']],
  ['clang', 'c', ['-flto=thin', '-fuse-ld=lld']],
  ['clang-19', 'c', ['-flto', '-fuse-ld=lld']],
  ['clang-19', 'c', ['-flto=thin', '-fuse-ld=lld']],
  ['g++', 'cc', ['-flto', '-flto-partition=max']],
  ['clang++', 'cc', ['-flto', '-fuse-ld=lld']],
];
for (const [turn, [compiler, ending, flags]] of builds.entries()) {
  testOfTurn(turn % 5, 5)(
    `${compiler} ${flags.join(' ')}: calls go to the functions of their own units, static ones of one name too`,
    [compiler, ...(compiler.startsWith('clang') ? ['ld.lld'] : [])],
    (t) => {
      const directory = scratch(t);
      for (const [name, text] of Object.entries(units))
        writeFileSync(join(directory, `${name}.${ending}`), text);
      run(compiler, ['-O2', ...flags, include, `one.${ending}`, `two.${ending}`, '-o', 'program'], directory);
      assert.equal(run('./program', [], directory), expected);
    },
  );
}

function complaint(compiler: string, flags: readonly string[], directory: string): string {
  writeFileSync(join(directory, 'one.c'), units.one);
  return tryRun(compiler, [...flags, include, '-c', 'one.c', '-o', '/dev/null'], directory).stderr;
}

for (const compiler of ['gcc', 'clang']) {
  toolTest(`${compiler} -mcmodel=large is refused in words, and works without patching`, [compiler], (t) => {
    const directory = scratch(t);
    assert.match(
      complaint(compiler, ['-mcmodel=large'], directory),
      /#error "textpoke: with -mcmodel=large all calls go through registers/,
    );
    assert.equal(complaint(compiler, ['-mcmodel=large', '-DTEXTPOKE_NO_PATCHING'], directory), '');
  });
}

toolTest(
  'gcc for ARM names -fno-section-anchors where a key cannot be named without it',
  ['arm-linux-gnueabihf-gcc'],
  (t) => {
    const directory = scratch(t);
    const gcc = (...flags: string[]) => complaint('arm-linux-gnueabihf-gcc', ['-O2', ...flags], directory);
    assert.match(gcc('-fPIC'), /TEXTPOKE_gcc_needs_fno_section_anchors/);
    assert.equal(gcc('-fPIC', '-fno-section-anchors'), '');
  },
);
