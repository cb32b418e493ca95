// libtextpoke as `make install` leaves it, for other build systems, other machines and another libc.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { longTest, run, scratch } from '../tools.ts';

const runtime = fileURLToPath(new URL('../../runtime', import.meta.url));

const program = `#include <stdio.h>
#include <textpoke/runtime.h>
DEFINE_STATIC_KEY_FALSE(key);
int main(void) {
  int error = textpoke_init();
  return printf("%s %d %d\\n", textpoke_strerror(error), error, static_key_enabled(&key)) < 0;
}
`;

function install(directory: string, ...words: string[]): void {
  const build = `BUILD=${join(directory, 'build')}`;
  run('make', ['-s', '-C', runtime, build, `DESTDIR=${directory}`, 'PREFIX=/usr', ...words, 'install']);
}

function withProgram(directory: string): string {
  const source = join(directory, 'main.c');
  writeFileSync(source, program);
  return source;
}

longTest('make install puts files below DESTDIR, and their words name PREFIX alone', ['gcc', 'make'], (t) => {
  const directory = scratch(t);
  install(directory);
  const files = readdirSync(join(directory, 'usr'), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && entry.name !== 'runtime.h')
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length))
    .filter((path) => !path.startsWith('/usr/include/'));
  assert.deepEqual(files.sort(), [
    '/usr/lib/cmake/textpoke/textpoke-config-version.cmake',
    '/usr/lib/cmake/textpoke/textpoke-config.cmake',
    '/usr/lib/libtextpoke.a',
    '/usr/lib/libtextpoke.so',
    '/usr/lib/libtextpoke.so.0',
    '/usr/lib/pkgconfig/textpoke.pc',
    '/usr/lib/textpoke/object.o',
    '/usr/share/man/man3/textpoke_runtime.3',
  ]);
  const words = readFileSync(join(directory, 'usr/lib/pkgconfig/textpoke.pc'), 'utf8');
  assert.match(words, /^prefix=\/usr$/m);
  assert.ok(!words.includes(directory), words);
});

longTest('CMake finds the package, and what it links runs', ['gcc', 'make', 'cmake'], (t) => {
  const directory = scratch(t);
  const build = join(directory, 'tree');
  install(directory);
  withProgram(directory);
  writeFileSync(
    join(directory, 'CMakeLists.txt'),
    `cmake_minimum_required(VERSION 3.13)
project(uses_textpoke C)
find_package(textpoke 0.1 REQUIRED)
add_executable(main main.c)
target_link_libraries(main textpoke::textpoke)
`,
  );
  run('cmake', ['-S', directory, '-B', build, `-DCMAKE_PREFIX_PATH=${join(directory, 'usr')}`]);
  run('cmake', ['--build', build]);
  assert.equal(run(join(build, 'main'), []), 'done 0 0\n');
});

const others: readonly [name: string, compiler: string, emulator: readonly string[], ...words: string[]][] = [
  ['musl', 'musl-gcc', [], 'shared='],
  ['AArch64', 'aarch64-linux-gnu-gcc', ['qemu-aarch64']],
  ['32-bit ARM', 'arm-linux-gnueabihf-gcc', ['qemu-arm']],
];

for (const [name, compiler, emulator, ...words] of others)
  longTest(
    `make with the compiler for ${name} makes a library that programs link with`,
    ['make', compiler, ...emulator],
    (t) => {
      const directory = scratch(t);
      const lib = join(directory, 'usr/lib');
      const out = join(directory, 'main');
      mkdirSync(directory, { recursive: true });
      install(directory, `CC=${compiler}`, ...words);
      const include = `-I${join(directory, 'usr/include')}`;
      const library = [join(lib, 'textpoke/object.o'), join(lib, 'libtextpoke.a'), '-pthread'];
      run(compiler, ['-static', '-Wall', '-Werror', include, withProgram(directory), ...library, '-o', out]);
      const [command = out, ...rest] = [...emulator, out];
      assert.equal(run(command, rest), 'done 0 0\n');
    },
  );
