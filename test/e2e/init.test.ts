// textpoke init: its patch makes a plain project of each build system one whose program has tables.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { builtProgram } from '../built.ts';
import { scratch, testOfTurn } from '../tools.ts';
import { runBuilt } from './warm.ts';

const program = join(import.meta.dirname, '..', '..', 'samples', 'build', 'program');

interface Project {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly tools: readonly string[];
  readonly build: string;
  readonly program: string;
}

const projects: readonly Project[] = [
  {
    name: 'make',
    file: 'Makefile',
    text: 'CFLAGS = -O2 -g\nprogram: main.o greet.o\n\t$(CC) $(LDFLAGS) $^ -o $@',
    tools: ['make', 'gcc'],
    build: 'make -s CC=gcc',
    program: 'program',
  },
  {
    name: 'CMake',
    file: 'CMakeLists.txt',
    text: 'cmake_minimum_required(VERSION 3.20)\nproject(greet # not (yet\n  LANGUAGES C) # x\nadd_executable(program main.c greet.c)\n',
    tools: ['cmake', 'ninja', 'gcc'],
    build: 'cmake -G Ninja -B build . && cmake --build build',
    program: 'build/program',
  },
  {
    name: 'Meson',
    file: 'meson.build',
    text: "project('greet', 'c', default_options: ['c_std=gnu11'])\nexecutable('program', 'main.c', 'greet.c')\n",
    tools: ['meson', 'ninja', 'gcc'],
    build: 'meson setup build --native-file textpoke.ini && meson compile -C build',
    program: 'build/program',
  },
];

function written(t: TestContext, file: string, text: string): string {
  const directory = scratch(t);
  cpSync(program, directory, { recursive: true });
  writeFileSync(join(directory, file), text);
  return directory;
}

function shell(directory: string, line: string): string {
  mkdirSync(join(directory, 'path'), { recursive: true });
  symlinkSync(builtProgram(), join(directory, 'path', 'textpoke'));
  const env = { ...process.env, PATH: `${directory}/path:${process.env.PATH}`, MAKEFLAGS: '' };
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', line], {
    cwd: directory,
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${line}: ${stdout}${stderr}`);
  return stdout;
}

for (const [turn, project] of projects.entries()) {
  testOfTurn(turn, 3)(
    `what init prints for ${project.name} is a patch, and the program that is built then has tables`,
    ['patch', ...project.tools],
    (t) => {
      const directory = written(t, project.file, project.text);
      const out = shell(
        directory,
        `textpoke init | patch -s -p1 && ${project.build} && ./${project.program}`,
      );
      assert.match(out, /^hello world$/m);
      assert.match(runBuilt(['dump', project.program], directory).stdout, /tracing/);
      assert.equal(runBuilt(['verify', project.program, '--linked'], directory).status, 0);
      const again = runBuilt(['init'], directory);
      assert.equal(again.stdout, '');
      assert.match(again.stderr, /names textpoke already/);
    },
  );
}

test('init writes nothing itself, and takes the Makefile that make takes', (t) => {
  const directory = written(t, 'Makefile', 'all:\n');
  writeFileSync(join(directory, 'GNUmakefile'), 'all:\n');
  const { stdout, status } = runBuilt(['init', directory]);
  assert.equal(status, 0);
  assert.match(stdout, /^\+\+\+ b\/GNUmakefile$/m);
  assert.doesNotMatch(stdout, /b\/Makefile/);
  assert.equal(readFileSync(join(directory, 'GNUmakefile'), 'utf8'), 'all:\n');
});

test('a directory without build files, and build files without a project, are refused with advice', (t) => {
  const rows = [
    ['README', 'x', /textpoke config --cflags/],
    ['CMakeLists.txt', 'add_library(x x.c)\n', /no project/],
    ['meson.build', "project('x', 'fortran')\n", /neither 'c' nor 'cpp'/],
    ['Makefile', 'all:\x1b[2J\n', /control characters/],
  ] as const;
  for (const [file, text, message] of rows) {
    const { status, stdout, stderr } = runBuilt(['init'], written(t, file, text));
    assert.deepEqual([status, stdout], [2, ''], file);
    assert.match(stderr, message);
  }
});
