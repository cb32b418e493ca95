// bin/kbuild-objtool: what is left for objtool, and what textpoke does to the object.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { annotate } from '../../src/annotate/passes.ts';
import { builtProgram } from '../built.ts';
import { everything, sampleBytes, samplePath } from '../samples.ts';
import { scratch, toolTest, tryRun } from '../tools.ts';

const tools = ['sh', 'env', 'dirname', 'grep'];
const passes = { ...everything, smpLocks: false };
const sample = sampleBytes('gcc-O2', 'call');

interface Outcome {
  /** Words that objtool was given, one a line; undefined where it did not run. */
  readonly seen: string | undefined;
  readonly status: number | null;
  readonly signal: string | null;
  readonly stderr: string;
  readonly object: Uint8Array;
}

/** Runs the stand-in over an object of samples/; objtool is a script with `body` that keeps its words. */
function standIn(
  t: TestContext,
  args: readonly string[],
  { body = '', env = [], bytes = sample }: { body?: string; env?: readonly string[]; bytes?: Uint8Array },
): Outcome {
  const directory = scratch(t);
  const objtool = join(directory, 'objtool');
  writeFileSync(objtool, `#!/bin/sh\nprintf '%s\\n' "$@" >seen\n${body}\n`, { mode: 0o755 });
  const object = join(directory, 'call.o');
  writeFileSync(object, bytes);
  const { status, signal, stderr } = tryRun(
    'env',
    [`OBJTOOL=${objtool}`, ...env, builtProgram('kbuild-objtool'), ...args],
    directory,
  );
  const seen = join(directory, 'seen');
  return {
    seen: existsSync(seen) ? readFileSync(seen, 'utf8').trimEnd() : undefined,
    ...{ status, signal, stderr },
    object: new Uint8Array(readFileSync(object)),
  };
}

const split = [
  {
    name: 'the passes of a kernel: textpoke does two of them, objtool the rest',
    args: ['--hacks=jump_label', '--hacks=noinstr', '--orc', '--retpoline', '--static-call', '--uaccess'],
    left: ['--hacks=noinstr', '--orc', '--retpoline', '--uaccess'],
    options: passes,
  },
  {
    name: 'the passes of Linux 7.3',
    args: [
      ...['--hacks=jump_label', '--hacks=noinstr', '--hacks=skylake', '--ibt', '--prefix=16', '--cfi'],
      ...['--fineibt', '--mcount', '--mnop', '--orc', '--retpoline', '--rethunk', '--sls', '--static-call'],
      ...['--uaccess', '--werror', '--klp-symids', '--noabs', '--link'],
    ],
    left: [
      ...['--hacks=noinstr', '--hacks=skylake', '--ibt', '--prefix=16', '--cfi', '--fineibt', '--mcount'],
      ...['--mnop', '--orc', '--retpoline', '--rethunk', '--sls', '--uaccess', '--werror', '--klp-symids'],
      ...['--noabs', '--link'],
    ],
    options: passes,
  },
  {
    name: 'hacks in one list are taken apart',
    args: ['--hacks=jump_label,noinstr,skylake', '--static-call', '--link'],
    left: ['--hacks=noinstr,skylake', '--link'],
    options: passes,
  },
  {
    name: 'a module is told to both',
    args: ['--orc', '--static-call', '--module'],
    left: ['--orc', '--module'],
    options: { ...passes, staticBranch: false, module: true },
  },
  {
    name: 'objtool is not run for nothing',
    args: ['--static-call', '--hacks=jump_label', '--module', '--werror'],
    left: undefined,
    options: { ...passes, module: true },
  },
  {
    name: 'a backup and what is said of warnings are objtool’s',
    args: ['--orc', '--static-call', '--backup', '--Werror', '--stats', '-v'],
    left: ['--orc', '--backup', '--Werror', '--stats', '-v'],
    options: { ...passes, staticBranch: false },
  },
  {
    name: 'options of the environment are left to objtool',
    args: ['--orc', '--static-call'],
    env: ['OBJTOOL_ARGS=--backup --verbose'],
    left: ['--orc'],
    options: { ...passes, staticBranch: false },
  },
];

for (const { name, args, left, options, env = [] } of split) {
  toolTest(`kbuild-objtool: ${name}`, tools, (t) => {
    const outcome = standIn(t, [...args, 'call.o'], { env });
    assert.equal(outcome.stderr, '');
    assert.equal(outcome.status, 0);
    assert.equal(outcome.seen, left && [...left, 'call.o'].join('\n'));
    assert.deepEqual(outcome.object, annotate('call.o', sample, options).bytes);
  });
}

const because = (why: string) => `kbuild-objtool: call.o: objtool does all passes, because of ${why}\n`;
const both = ['--static-call', '--hacks=jump_label'];
/** What goes to objtool whole, and what is said of it where passes of textpoke are among it. */
const whole: readonly { args: readonly string[]; says?: string; env?: readonly string[] }[] = [
  { args: ['--orc', 'call.o'] },
  { args: ['klp', 'checksum', '--debug-checksum=f', 'call.o'] },
  { args: ['klp', 'diff', '--debug', 'a.o', 'b.o', 'out.o'] },
  { args: ['klp', 'post-link', 'call.ko'] },
  { args: ['klp'] },
  { args: ['--disas=f*', 'call.o'] },
  { args: ['-d', 'call.o'] },
  { args: ['--dump=orc', 'call.o'] },
  { args: ['orc', 'generate', '--no-fp', 'call.o'] },
  { args: [] },
  { args: ['--help'] },
  { args: ['--hacks=noinstr', 'a name with blanks.o'] },
  { args: ['--hacks=*', 'call.o'], says: '' },
  ...['--disas', '--dry-run', '-o', '--output=x.o', '--trace', '--whatever', '--no-orc', '--stat', '-t'].map(
    (word) => ({ args: [...both, word, '--orc', 'call.o'], says: because(word) }),
  ),
  { args: [...both, '--orc', '--output', 'x.o', 'call.o'], says: because('--output') },
  { args: [...both, 'call.o', 'klp'], says: because('klp') },
  ...['--hacks', '--hacks=', '--hacks=jump_label,', '--hacks=jump_label,,noinstr', '--hacks=jump_label2'].map(
    (word) => ({ args: ['--static-call', '--orc', word, 'call.o'], says: because(word) }),
  ),
  // Without another pass objtool refuses these words, or they mean something else.
  ...['--prefix=16', '--mnop', '--unret', '--stats', '--backup', '--hacks=skylake'].map((word) => ({
    args: [...both, word, 'call.o'],
    says: because(word),
  })),
  { args: [...both, '--orc', 'call.o'], env: ['OBJTOOL_ARGS=--stats --dry-run'], says: because('--dry-run') },
  {
    args: ['--orc', '--static-call', 'call.o'],
    env: ['OBJTOOL_ARGS=--hacks=jump_label'],
    says: because('OBJTOOL_ARGS'),
  },
  { args: [...both, 'call.o'], env: ['OBJTOOL_ARGS=--verbose'], says: because('OBJTOOL_ARGS') },
];

for (const { args, env = [], says = '' } of whole) {
  toolTest(`kbuild-objtool ${args.join(' ')} (${env.join(' ')}) goes to objtool whole`, tools, (t) => {
    const outcome = standIn(t, args, { env, body: 'exit 7' });
    assert.equal(outcome.seen, args.join('\n'));
    assert.equal(outcome.status, 7);
    assert.equal(outcome.stderr, says);
    assert.deepEqual(outcome.object, sample);
  });
}

toolTest('kbuild-objtool: a missing object is for objtool to refuse', tools, (t) => {
  const { seen, status } = standIn(t, both, { body: 'exit 129' });
  assert.deepEqual([seen, status], [both.join('\n'), 129]);
});

toolTest('kbuild-objtool: the entries of a livepatch are those that `objtool klp diff` chose', tools, (t) => {
  const bytes = Buffer.concat([sample, Buffer.from('\0livepatch=Y\0')]);
  const livepatch = standIn(t, [...both, '--orc', '--module', 'call.o'], { bytes });
  assert.equal(livepatch.seen, [...both, '--orc', '--module', 'call.o'].join('\n'));
  assert.equal(livepatch.stderr, because('livepatch'));
  assert.deepEqual(livepatch.object, new Uint8Array(bytes));
  const other = standIn(t, [...both, '--orc', 'call.o'], { bytes });
  assert.equal(other.seen, '--orc\ncall.o', 'what is no module is none');
});

const endings = [
  { body: 'exit 1', status: 1, signal: null },
  { body: 'exit 3', status: 3, signal: null },
  { body: 'exit 129', status: 129, signal: null },
  { body: 'exit 255', status: 255, signal: null },
  { body: 'kill -s SEGV $$', status: null, signal: 'SIGSEGV' },
  { body: 'kill -s ABRT $$', status: null, signal: 'SIGABRT' },
  { body: 'kill -s KILL $$', status: null, signal: 'SIGKILL' },
];
for (const { body, status, signal } of endings) {
  for (const args of [['--orc', '--static-call'], ['--orc']]) {
    toolTest(
      `kbuild-objtool ${args.join(' ')}: \`${body}\` of objtool ends the build so, and the object is not annotated`,
      tools,
      (t) => {
        const outcome = standIn(t, [...args, 'call.o'], { body });
        assert.deepEqual([outcome.status, outcome.signal], [status, signal]);
        assert.deepEqual(outcome.object, sample);
      },
    );
  }
}

toolTest('kbuild-objtool finds objtool where Kbuild builds, in a module’s directory too', tools, (t) => {
  const directory = scratch(t);
  const build = join(directory, 'build', 'tools', 'objtool');
  mkdirSync(build, { recursive: true });
  writeFileSync(join(build, 'objtool'), '#!/bin/sh\nexit 9\n', { mode: 0o755 });
  const program = builtProgram('kbuild-objtool');
  copyFileSync(samplePath('gcc-O2', 'call'), join(directory, 'call.o'));
  const from = (cwd: string, ...env: string[]) =>
    tryRun('env', ['-u', 'OBJTOOL', '-u', 'objtree', ...env, program, '--orc', 'call.o'], cwd).status;
  assert.equal(from(join(directory, 'build')), 9);
  assert.equal(from(directory, `objtree=${join(directory, 'build')}`), 9);
});
