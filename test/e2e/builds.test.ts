// The examples of samples/build, built by the real tools: each builds, runs and verifies; a second build does nothing;
// a changed source is compiled and annotated again, and nothing else; a killed build leaves nothing that a next one
// takes for done.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { seeded } from '../seeded.ts';
import { startSync } from '../starter.ts';
import { longTest, run, scratch } from '../tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the examples expect around them, and `textpoke` on the PATH. */
function checkout(t: TestContext): string {
  const tree = scratch(t);
  for (const name of ['samples/build', 'include', 'bin', 'dist']) {
    cpSync(join(root, name), join(tree, name), { recursive: true });
  }
  mkdirSync(join(tree, 'path'));
  symlinkSync(join(tree, 'bin', basename(builtProgram())), join(tree, 'path', 'textpoke'));
  return tree;
}

/** Runs a command of an example; both outputs. It must succeed. */
function command(tree: string, example: string, words: readonly string[]): string {
  const [tool, ...args] = words as [string, ...string[]];
  const env = { ...process.env, PATH: `${tree}/path:${process.env.PATH}`, MAKEFLAGS: '' };
  const cwd = join(tree, 'samples', 'build', example);
  const said = startSync(tool, args, { cwd, env });
  assert.equal(
    said.status,
    0,
    `${words.join(' ')}: ${said.error ?? ''}${said.stdout}${said.stderr}`.slice(-3000),
  );
  return said.stdout + said.stderr;
}

/** Every object below a directory with the time when it was written. */
function timesOf(directory: string): Map<string, bigint> {
  const found = run('find', ['-L', directory, '-name', '*.o', '-type', 'f']).trim().split('\n').sort();
  return new Map(
    found.map((path) => [path.slice(directory.length + 1), statSync(path, { bigint: true }).mtimeNs]),
  );
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

interface Example {
  readonly name: string;
  readonly tools: readonly string[];
  readonly prepare?: readonly string[];
  readonly build: readonly string[];
  /** The example's own proof: a target or a test. */
  readonly check?: readonly string[];
  readonly program: string;
  /** Where the objects are, if not all over the example. */
  readonly objects?: string;
  /** What ends a server. */
  readonly end?: readonly string[];
}

/** With a server that ends by itself soon, and with its outputs beside the workspace. */
const bazel = ['bazel', '--max_idle_secs=20', '--output_user_root=../../../outputs'];
const examples: readonly Example[] = [
  {
    ...{ name: 'make', tools: ['make'], build: ['make'], check: ['make', 'check'], program: 'program' },
  },
  {
    name: 'cmake',
    tools: ['cmake', 'ninja'],
    prepare: ['cmake', '-G', 'Ninja', '-B', 'build'],
    build: ['cmake', '--build', 'build'],
    check: ['ctest', '--test-dir', 'build'],
    program: 'build/program',
  },
  {
    name: 'meson',
    tools: ['meson', 'ninja'],
    prepare: ['meson', 'setup', 'build', '--native-file', 'textpoke.ini'],
    build: ['ninja', '-C', 'build'],
    check: ['meson', 'test', '-C', 'build', '--no-rebuild'],
    program: 'build/program',
  },
  {
    ...{ name: 'ninja', tools: ['ninja'], build: ['ninja'], check: ['ninja', 'check'], program: 'program' },
  },
  {
    name: 'bazel',
    tools: ['bazel', '/usr/share/bazel/tools/platforms', '/usr/share/bazel/rules/java'],
    build: [...bazel, 'build', '--config=debian', '//:program'],
    program: 'bazel-bin/program',
    objects: 'bazel-bin',
    end: [...bazel, 'shutdown'],
  },
];

for (const { name, tools, prepare, build, check, program, objects = '.', end } of examples) {
  longTest(
    `${name}: builds, runs, verifies, and builds again only what has changed`,
    ['gcc', 'find', ...tools],
    async (t) => {
      const tree = checkout(t);
      const example = (words: readonly string[]) => command(tree, name, words);
      if (prepare) example(prepare);
      example(build);
      const prove = (greeting: string) => {
        assert.equal(example([`./${program}`]), `${greeting} world\n`);
        assert.equal(example(['textpoke', 'verify', '--linked', program]), '');
        const [dumped] = JSON.parse(example(['textpoke', 'dump', '--json', program])).files;
        const sizes = [dumped.jumpTable, dumped.staticCallSites, dumped.smpLocks].map(
          (table: unknown[]) => table.length,
        );
        assert.deepEqual(sizes, [1, 1, 1]);
      };
      prove('hello');
      if (check) example(check);

      const made = join(tree, 'samples', 'build', name, objects);
      const first = timesOf(made);
      const linked = statSync(join(tree, 'samples', 'build', name, program), { bigint: true }).mtimeNs;
      assert.ok(first.size >= 2, `${first.size} files`);
      await setTimeout(20);
      example(build);
      assert.deepEqual(timesOf(made), first);
      assert.equal(statSync(join(tree, 'samples', 'build', name, program), { bigint: true }).mtimeNs, linked);

      const source = join(tree, 'samples', 'build', 'program', 'greet.c');
      writeFileSync(source, readFileSync(source, 'utf8').replace('hello %s', 'hi %s'));
      example(build);
      prove('hi');
      const second = timesOf(made);
      assert.deepEqual([...second.keys()], [...first.keys()]);
      for (const [object, time] of second)
        assert.equal(time === first.get(object), object.includes('main'), object);
      if (end) example(end);
    },
  );
}

/** A build directory of a kernel, as Debian's package linux-headers-amd64 has it. */
const headers = existsSync('/usr/src')
  ? readdirSync('/usr/src').find((name) => /^linux-headers-.*-amd64$/.test(name))
  : undefined;

longTest(
  'kbuild: a module outside the tree has the entries that objtool gives it, and is not built twice',
  ['make', 'gcc', headers ? `/usr/src/${headers}/tools/objtool/objtool` : 'linux-headers-amd64'],
  (t) => {
    const sites = (more: readonly string[]) => {
      const tree = checkout(t);
      const kernel = `KDIR=/usr/src/${headers}`;
      const log = command(tree, 'kbuild', ['make', kernel, 'V=1', ...more]);
      const path = join(tree, 'samples', 'build', 'kbuild', 'greet_module.ko');
      const { mtimeNs } = statSync(path, { bigint: true });
      command(tree, 'kbuild', ['make', kernel, 'V=1', ...more]);
      assert.equal(statSync(path, { bigint: true }).mtimeNs, mtimeNs);
      const dumped = command(tree, 'kbuild', ['textpoke', 'dump', '--json', 'greet_module.ko']).replaceAll(
        tree,
        '',
      );
      const [file] = JSON.parse(dumped).files;
      const rows = [...file.jumpTable, ...file.staticCallSites, ...file.smpLocks].map(
        ({ index: _, ...row }) => row,
      );
      return { log, rows: rows.map((row) => JSON.stringify(row)).sort() };
    };
    const ours = sites([]);
    const theirs = sites([`TEXTPOKE_OBJTOOL=/usr/src/${headers}/tools/objtool/objtool`]);
    assert.match(ours.log, /bin\/kbuild-objtool .*greet_module\.o/);
    assert.doesNotMatch(theirs.log, /kbuild-objtool/);
    assert.equal(ours.rows.length, 4);
    assert.deepEqual(ours.rows, theirs.rows);
  },
);

longTest('make through distcc gives the bytes of make', ['make', 'gcc', 'distcc', 'distccd'], async (t) => {
  const tree = checkout(t);
  const port = 20000 + (process.pid % 20000);
  const listen = ['--listen', '127.0.0.1', '--port', `${port}`, '--allow', '127.0.0.1'];
  const flags = ['--no-detach', '--daemon', ...listen, '--log-stderr', '--log-level', 'info'];
  const daemon = spawn('distccd', [...flags, '--user', 'nobody'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  daemon.stderr.on('data', (data) => {
    log += data;
  });
  t.after(() => daemon.kill());
  const logged = async (pattern: RegExp) => {
    for (let i = 0; i < 1200 && !pattern.test(log); i++) await setTimeout(50);
    assert.match(log, pattern);
  };
  await logged(/listening on/);
  // With -g, gcc names what distcc has preprocessed in its line table, textpoke or not.
  command(tree, 'make', ['make', 'CFLAGS=-O2']);
  const names = ['main.o', 'greet.o'];
  const read = () => names.map((name) => digest(join(tree, 'samples', 'build', 'make', name)));
  const local = read();
  command(tree, 'make', ['make', 'clean']);
  const hosts = ['env', `DISTCC_HOSTS=127.0.0.1:${port}`, 'DISTCC_FALLBACK=0', `DISTCC_DIR=${tree}`];
  command(tree, 'make', [...hosts, 'make', 'CFLAGS=-O2', 'CC=textpoke cc -- distcc gcc']);
  assert.deepEqual(read(), local);
  await logged(/COMPILE_OK(.|\n)*COMPILE_OK/);
});

/** TEXTPOKE_OBJECTS asks for more; 500 take minutes. */
const many = Number(process.env.TEXTPOKE_OBJECTS) || 24;

/** A Makefile that compiles generated units through textpoke. */
function manyUnits(t: TestContext, count: number): string {
  const tree = checkout(t);
  const example = join(tree, 'samples', 'build', 'many');
  mkdirSync(example);
  const names = Array.from({ length: count }, (_, i) => `u${i}`);
  for (const [i, name] of names.entries()) {
    const calls = '  static_call(greet)("x");\n  __atomic_fetch_add(&greeted, 1, __ATOMIC_SEQ_CST);\n'.repeat(
      1 + (i % 5),
    );
    const body = `  if (static_branch_unlikely(&tracing))\n    greeted = ${i};\n${calls}`;
    writeFileSync(
      join(example, `${name}.c`),
      `#include "../program/greet.h"\nvoid ${name}(void) {\n${body}}\n`,
    );
  }
  const makefile = `CC = textpoke cc -- gcc\nCPPFLAGS = -I../../../include -MMD\nCFLAGS = -O2 -g\nall: ${names.map((n) => `${n}.o`).join(' ')}\n-include $(wildcard *.d)\n`;
  writeFileSync(join(example, 'Makefile'), makefile);
  return tree;
}

function contents(tree: string): string[] {
  const example = join(tree, 'samples', 'build', 'many');
  const names = readdirSync(example)
    .filter((name) => name.endsWith('.o'))
    .sort();
  return names.map((name) => `${name} ${digest(join(example, name))}`);
}

longTest(`make -j2 of ${many} objects gives the bytes of make -j1`, ['make', 'gcc'], (t) => {
  const tree = manyUnits(t, many);
  command(tree, 'many', ['make', '-j1']);
  const one = contents(tree);
  assert.equal(one.length, many);
  command(tree, 'many', ['make', '-j2', '-B']);
  assert.deepEqual(contents(tree), one);
});

longTest(
  'a build that is killed at any moment goes on to the bytes of one that was not',
  ['make', 'gcc'],
  async (t) => {
    const tree = manyUnits(t, 8);
    command(tree, 'many', ['make', '-j2']);
    const whole = contents(tree);
    const random = seeded(811);
    const cwd = join(tree, 'samples', 'build', 'many');
    const env = { ...process.env, PATH: `${tree}/path:${process.env.PATH}`, MAKEFLAGS: '' };
    for (let round = 0; round < 8; round++) {
      command(tree, 'many', ['sh', '-c', 'rm -f *.o *.d']);
      // A group of its own, so that compilers and textpoke die with make.
      const make = spawn('make', ['-j2'], { cwd, env, detached: true, stdio: 'ignore' });
      const ended = once(make, 'exit');
      await setTimeout(50 + random() * 400);
      try {
        process.kill(-(make.pid as number), round % 3 === 0 ? 'SIGINT' : 'SIGKILL');
      } catch {
        // It was faster.
      }
      await ended;
      await setTimeout(50);
      command(tree, 'many', ['make', '-j2']);
      assert.deepEqual(contents(tree), whole, `round ${round}`);
    }
  },
);
