// Cores of real processes, made by gdb and by the kernel: a library and a program that patched themselves are found
// and compared, others are refused, and code that is not in the core is not taken for compared.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hasTool, isAll, leftForAll, leftOut, longTest, rowsOf, run, toolTest } from '../tools.ts';
import { fresh, textpoke } from './programs.ts';

const library = fileURLToPath(new URL('../../runtime/textpoke.c', import.meta.url));
const include = fileURLToPath(new URL('../../include', import.meta.url));

const librarySource = `#include <textpoke/runtime.h>
static int english(int n) { return n + 1; }
static int german(int n) { return n + 2; }
DEFINE_STATIC_KEY_FALSE(verbose);
DEFINE_STATIC_CALL(greet, english);
__attribute__((visibility("default"))) int work(int n)
{
  if (static_branch_unlikely(&verbose)) n += VERSION;
  return static_call(greet)(n);
}
__attribute__((visibility("default"))) int start(void)
{
  if (textpoke_init()) return 1;
  static_branch_enable(&verbose);
  static_call_update(greet, german);
  return 0;
}
`;
const mainSource = `#include <stdio.h>
#include <stdlib.h>
int work(int), start(void);
int main(int argc, char **argv)
{
  if (argc > 1 && start()) return 1;
  if (argc > 1 && argv[1][0] == 'w') return puts("patched"), fflush(stdout), getchar() != EOF;
  return work(1) ? abort(), 0 : 0;
}
`;

const flags = ['-O2', '-fPIC', '-fvisibility=hidden', `-I${include}`];

let made: string | undefined;

/** A directory with libwork.so, ./program that uses it, ./alone that has the same linked in, and another build. */
function build(): string {
  if (made !== undefined) return made;
  const directory = fresh('cores');
  run('mkdir', [directory]);
  writeFileSync(join(directory, 'lib.c'), librarySource);
  writeFileSync(join(directory, 'main.c'), mainSource);
  writeFileSync(join(directory, 'other.c'), 'int main(void) { __builtin_trap(); }');
  writeFileSync(join(directory, 'tp.ld'), textpoke(['ldscript'], directory).stdout);
  const gcc = (...args: string[]) => run('gcc', args, directory);
  gcc(...flags, '-c', library, '-o', 'rt.o');
  const link = ['rt.o', '-Wl,-T,tp.ld', '-Wl,--build-id'];
  for (const [version, name] of [
    ['7', 'libwork.so'],
    ['8', 'libnew.so'],
  ] as const) {
    gcc(...flags, `-DVERSION=${version}`, '-c', 'lib.c', '-o', `${name}.o`);
    assert.equal(textpoke(['annotate', `${name}.o`], directory).status, 0);
    gcc('-shared', `${name}.o`, ...link, '-o', name);
  }
  gcc('main.c', '-L.', '-lwork', `-Wl,-rpath,${directory}`, '-o', 'program');
  gcc('-pie', 'main.c', 'libwork.so.o', ...link, '-o', 'alone');
  gcc('other.c', '-o', 'other');
  made = directory;
  return directory;
}

/** Runs a program to its end under gdb, which then writes a core. */
function coreOfGdb(directory: string, name: string, args: readonly string[]): string {
  const core = fresh('core');
  run(
    'gdb',
    ['-batch', '-ex', `run ${args.join(' ')}`, '-ex', `generate-core-file ${core}`, name],
    directory,
  );
  return core;
}

/** The core that the kernel writes; `filter` is what /proc/PID/coredump_filter is set to. */
function coreOfKernel(directory: string, name: string, args: readonly string[], filter?: string): string {
  const place = fresh('kernel-core');
  const set = filter === undefined ? '' : `echo ${filter} > /proc/self/coredump_filter;`;
  run('sh', [
    '-c',
    `mkdir ${place}; cd ${place}; ulimit -c unlimited; ${set} ${directory}/${name} ${args.join(' ')} || true`,
  ]);
  const [core] = readdirSync(place);
  assert.ok(core, `no core in ${place}`);
  return join(place, core);
}

interface Row {
  readonly image: string;
  readonly program: string;
  readonly from: string;
}
const rows: readonly Row[] = [
  { image: 'libwork.so', program: './program', from: 'NT_FILE' },
  { image: 'alone', program: './alone', from: 'AT_ENTRY' },
];

function assertCompared(directory: string, image: string, core: string, from: string): void {
  const { status, stdout, stderr } = textpoke(['verify', image, '--memory', core], directory);
  assert.equal(stderr, '');
  assert.match(stdout, new RegExp(`slide 0x[0-9a-f]+, from ${from} of the core`));
  assert.match(stdout, /__jump_table: 1 compared, 0 wrong\n.*static_call_sites: 2 compared, 0 wrong\n/);
  assert.equal(status, 0);
}

function assertRefused(directory: string, image: string, core: string, what: RegExp): void {
  const { status, stderr } = textpoke(['verify', image, '--memory', core], directory);
  assert.match(stderr, what);
  assert.match(stderr, /\[memory-mismatch\]\n$/);
  assert.equal(status, 3);
}

longTest(
  'cores of gdb: what patched itself is compared, what is something else is refused',
  ['gcc', 'gdb'],
  () => {
    const directory = build();
    for (const { image, program, from } of rowsOf(rows, 2)) {
      const core = coreOfGdb(directory, program, ['start']);
      assertCompared(directory, image, core, from);
      assertRefused(directory, 'libnew.so', core, /does not contain the image; it is of .*build id/);
    }
    const other = coreOfGdb(directory, './other', []);
    for (const image of ['libwork.so', 'alone']) assertRefused(directory, image, other, /it is of ".*other"/);
    run('sh', ['-c', 'mkdir new && cp libnew.so new/libwork.so'], directory);
    const core = coreOfGdb(directory, './program', ['start']);
    assertRefused(
      directory,
      'new/libwork.so',
      core,
      /another build .*build id [0-9a-f]{40}; the image has build id/,
    );
  },
);

toolTest(
  'the memory of a process that runs is compared, and of the libraries that it has',
  ['gcc'],
  async () => {
    const directory = build();
    const start = async (program: string) => {
      const child = spawn(program, ['wait'], { cwd: directory, stdio: ['pipe', 'pipe', 'ignore'] });
      // It says when it has patched itself, and ends when its input does.
      await once(child.stdout, 'data');
      return child;
    };
    for (const { image, program } of rowsOf(rows, 2)) {
      const child = await start(program);
      try {
        const at = `${child.pid}`;
        for (const args of [
          ['--pid', at],
          [image, '--pid', at],
        ]) {
          const { status, stdout, stderr } = textpoke(['verify', ...args], directory);
          assert.deepEqual([status, stderr], [0, '']);
          assert.match(
            stdout,
            /mem: the memory of the process; slide 0x[0-9a-f]+, from (AT_ENTRY|the mappings) of the process\n/,
          );
          assert.match(
            stdout,
            /__jump_table: 1 compared, 0 wrong\n.*static_call_sites: 2 compared, 0 wrong\n/,
          );
        }
        const other = textpoke(['verify', 'libnew.so', '--pid', at], directory);
        assert.match(other.stderr, /does not contain the image; it is of .*build id/);
        assert.equal(other.status, 3);
      } finally {
        child.stdin.end();
        await once(child, 'exit');
      }
    }
  },
);

const pattern = '/proc/sys/kernel/core_pattern';
const writesCores = existsSync(pattern) && readFileSync(pattern, 'utf8').trim() === 'core';
const missing = !hasTool('gcc') ? 'gcc' : writesCores ? undefined : 'a kernel that writes cores to files';

test(
  'cores of the kernel have code that was written to, or all of it with coredump_filter 0x3f',
  missing ? { skip: `${leftOut}${missing}` } : isAll ? {} : { skip: leftForAll },
  () => {
    const directory = build();
    for (const { image, program, from } of rows) {
      assertCompared(directory, image, coreOfKernel(directory, program, ['start']), from);
      const untouched = coreOfKernel(directory, program, []);
      const args = ['verify', image, '--memory', untouched];
      const { status, stdout } = textpoke(args, directory);
      assert.match(
        stdout,
        /error TP029 nothing-compared.*\n(.*nothing was compared: the code of .* coredump_filter is 0x3f.*\n)+/,
      );
      assert.equal(status, 1);
      assert.match(
        textpoke([...args, '--format', 'github'], directory).stdout,
        /^::error title=TP029 nothing-compared/,
      );
      // What never patched itself has the calls of the link, and all of its code shows it.
      const all = coreOfKernel(directory, program, [], '0x3f');
      const { stdout: compared } = textpoke(['verify', image, '--memory', all], directory);
      assert.match(compared, /__jump_table: 1 compared, 0 wrong\n.*static_call_sites: 2 compared, 2 wrong\n/);
    }
  },
);

after(() => {
  if (made !== undefined) run('rm', ['-rf', made]);
});
