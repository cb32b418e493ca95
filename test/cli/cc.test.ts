// textpoke cc: what a compiler leaves behind is what it leaves without textpoke, but that objects are annotated.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { runBuilt } from '../e2e/warm.ts';
import { startSync } from '../starter.ts';
import { longTest, rowsOf, scratch, testOfTurn, toolTest } from '../tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const samples = join(root, 'samples', 'objects');

function start(directory: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [command, ...args] = words as [string, ...string[]];
  return startSync(command, args, { cwd: directory, encoding: 'latin1', env: { ...process.env, ...env } });
}

const cc = (directory: string, words: readonly string[], options: readonly string[] = []) =>
  start(directory, [process.execPath, builtProgram(), 'cc', ...options, '--', ...words]);

function annotate(directory: string, objects: readonly string[]): void {
  const said = runBuilt(['annotate', '--mark', ...objects], directory);
  assert.equal(`${said.stderr}${said.status}`, '0');
}

/** Every file below a directory with its bytes in hexadecimal. */
function filesOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => lstatSync(join(directory, name)).isFile())
      .sort()
      .map((name) => [name, readFileSync(join(directory, name)).toString('hex')]),
  );
}

const unit = (name: string) => `#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
static DEFINE_STATIC_KEY_FALSE(key);
extern int counter;
int work(int a) { return a; }
DEFINE_STATIC_CALL(${name}_call, work);
int ${name}(int a) {
  if (static_branch_unlikely(&key)) a++;
  __atomic_fetch_add(&counter, a, __ATOMIC_SEQ_CST);
  return static_call(${name}_call)(a);
}
`;

/** A directory with sources of every kind. */
function sources(t: TestContext): string {
  const directory = scratch(t);
  for (const name of ['a', 'b']) writeFileSync(join(directory, `${name}.c`), unit(name));
  writeFileSync(join(directory, 'plain.c'), 'int plain(int a) { return a; }\n');
  writeFileSync(join(directory, 'hand.s'), '.text\n.type hand, @function\nhand: lock incl (%rax)\n');
  writeFileSync(
    join(directory, 'hand2.S'),
    '#define L lock\n.text\n.type hand, @function\nhand: L incl (%rax)\n',
  );
  writeFileSync(join(directory, 'words'), '-c a.c\n-o "of words.o"');
  mkdirSync(join(directory, 'sub.d'));
  return directory;
}

interface Row {
  readonly line: string;
  /** Objects among what it leaves. */
  readonly objects?: readonly string[];
  readonly only?: 'gcc' | 'clang';
}

const lines: readonly Row[] = [
  { line: '-c a.c -o a.o', objects: ['a.o'] },
  { line: '-c a.c -osub.d/out', objects: ['sub.d/out'] },
  { line: '-c a.c', objects: ['a.o'] },
  { line: '-c a.c plain.c b.c', objects: ['a.o', 'b.o', 'plain.o'] },
  { line: '@words', objects: ['of words.o'] },
  { line: '-g -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'] },
  { line: '-MD -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'] },
  { line: '-MMD -MP -c a.c', objects: ['a.o'] },
  { line: '-MMD -MF sub.d/x -c a.c -o a.o', objects: ['a.o'] },
  { line: '-MD -MT x -MF sub.d/x.d -c a.c -o a.o', objects: ['a.o'] },
  { line: '-Wp,-MMD,sub.d/.a.o.d -c a.c -o a.o', objects: ['a.o'], only: 'gcc' },
  { line: '-Wp,-MMD,sub.d/.a.o.d -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'], only: 'clang' },
  { line: '-Wa,--MD,sub.d/x.d -c hand.s -o sub.d/a.o', objects: ['sub.d/a.o'], only: 'gcc' },
  { line: '-Wa,--MD=sub.d/x.d -c hand.s -o sub.d/a.o', objects: ['sub.d/a.o'], only: 'gcc' },
  { line: '-Xassembler --MD -Xassembler x.d -c hand.s -o hand.o', objects: ['hand.o'], only: 'gcc' },
  { line: '-g -gsplit-dwarf -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'] },
  { line: '-g -gsplit-dwarf -MD -c a.c', objects: ['a.o'] },
  { line: '-frandom-seed=a --coverage -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'] },
  { line: '-fstack-usage -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'] },
  { line: '-save-temps=obj -c a.c -o sub.d/a.o', objects: ['sub.d/a.o'] },
  { line: '-frecord-gcc-switches -c a.c -o a.o', objects: ['a.o'] },
  { line: '-c hand.s', objects: ['hand.o'] },
  { line: '-c hand2.S -o hand.o', objects: ['hand.o'] },
  { line: '-x c -c words -o a.o' },
  { line: '-S a.c' },
  { line: '-E a.c' },
  { line: '-M a.c' },
  { line: '-c a.c -o /dev/null' },
  { line: '-c a.c -o missing/a.o' },
  { line: '-c missing.c -o a.o' },
  { line: '-c plain.c -Wall -Wextra -Wmissing-prototypes -o plain.o', objects: ['plain.o'] },
  { line: '-shared -fPIC plain.o -o plain.so' },
  { line: '--version' },
];

for (const compiler of ['gcc', 'clang'] as const) {
  toolTest(
    `${compiler}: every line leaves what it leaves without textpoke, its objects annotated`,
    [compiler],
    (t) => {
      for (const { line, objects = [], only } of rowsOf(lines, compiler === 'gcc' ? 11 : 13)) {
        if (only && only !== compiler) continue;
        const directory = sources(t);
        const flags = ['-O2', '-ffile-prefix-map=/nowhere=/', `-I${root}include`, ...line.split(' ')];
        if (line.includes('plain.o -o')) start(directory, [compiler, '-fPIC', '-c', 'plain.c']);
        const before = filesOf(directory);
        const bare = start(directory, [compiler, ...flags]);
        assert.ok(
          objects.every((name) => existsSync(join(directory, name))),
          `${line}: ${bare.stderr}`,
        );
        if (objects.length > 0) annotate(directory, objects);
        const wanted = filesOf(directory);
        for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
        mkdirSync(join(directory, 'sub.d'));
        for (const [name, bytes] of Object.entries(before))
          writeFileSync(join(directory, name), bytes, 'hex');
        const said = cc(directory, [compiler, ...flags]);
        // Names of temporary files are never the same twice.
        const plain = (text: string) => text.replace(/\/tmp\/\w+\.[os]/g, '');
        assert.deepEqual(
          [said.status, said.stdout, plain(said.stderr)],
          [bare.status, bare.stdout, plain(bare.stderr)],
          line,
        );
        const made = filesOf(directory);
        assert.deepEqual(Object.keys(made), Object.keys(wanted), line);
        for (const [name, bytes] of Object.entries(wanted)) {
          // gcc puts a stamp of the time into notes of coverage.
          if (!name.endsWith('.gcno')) assert.equal(made[name] === bytes, true, `${line}: ${name}`);
        }
      }
    },
  );
}

for (const [turn, compiler] of (['gcc', 'clang'] as const).entries()) {
  testOfTurn(turn, 2)(
    `${compiler}: a link is written through or replaced as without textpoke`,
    [compiler],
    (t) => {
      const compile = [compiler, '-O2', `-I${root}include`, '-c', 'a.c', '-o', 'link.o'];
      for (const target of [undefined, '', 'old']) {
        const [bare, wrapped] = [sources(t), sources(t)];
        for (const directory of [bare, wrapped]) {
          symlinkSync('sub.d/real.o', join(directory, 'link.o'));
          if (target !== undefined) writeFileSync(join(directory, 'sub.d/real.o'), target);
        }
        assert.equal(start(bare, compile).status, 0);
        annotate(bare, ['link.o']);
        const said = cc(wrapped, compile);
        assert.deepEqual([said.status, said.stderr], [0, '']);
        assert.deepEqual(filesOf(wrapped), filesOf(bare), `${compiler}, target ${target}`);
        const isLink = (directory: string) => lstatSync(join(directory, 'link.o')).isSymbolicLink();
        assert.equal(isLink(wrapped), isLink(bare));
      }
    },
  );
}

const sh = (script: string) => ['sh', '-c', script, 'sh'];
const siblings = (directory: string) => readdirSync(directory).filter((name) => name.endsWith('.tmp'));
/** A compiler that copies an object of the samples to where `-o` wants it. */
const copying = (object: string, rest = '') => sh(`cp -p ${join(samples, object)} "$4"; ${rest}`);
const sampled = ['-c', 'x.c', '-o', 'x.o'];

test('an object that is annotated already stays the file that the compiler made, to the time', (t) => {
  const directory = scratch(t);
  const source = join(directory, 'made.o');
  copyFileSync(join(samples, 'gcc-O2/call.o'), source);
  annotate(directory, ['made.o']);
  utimesSync(source, 1e9, 1e9);
  const said = cc(directory, [...sh(`cp -p ${source} "$4"`), ...sampled]);
  assert.deepEqual([said.status, said.stderr], [0, '']);
  assert.deepEqual(readFileSync(join(directory, 'x.o')), readFileSync(source));
  assert.equal(statSync(join(directory, 'x.o')).mtimeMs, 1e12);
  assert.deepEqual(siblings(directory), []);
});

test('what goes into a pipe goes there as the compiler made it, and a word is said', (t) => {
  const directory = scratch(t);
  const object = join(samples, 'gcc-O2/call.o');
  const word = (name: string) =>
    `textpoke: ${name}: not annotated: the compiler wrote no regular file of this name\n`;
  const line = (name: string) => ['-c', 'x.c', '-o', name];
  const wrapped = [process.execPath, builtProgram(), 'cc', '--', ...sh(`cat ${object} > "$4"`)];
  const out = start(directory, ['sh', '-c', '"$@" | cat', 'sh', ...wrapped, ...line('/dev/stdout')]);
  assert.equal(out.stderr, word('/dev/stdout'));
  assert.equal(out.stdout, readFileSync(object, 'latin1'));
  const fifo = sh(`mkfifo "$4"; cat "$4" > got & cat ${object} > "$4"; wait`);
  const said = cc(directory, [...fifo, ...line('fifo'), '--coverage']);
  assert.deepEqual([said.status, said.stderr], [0, word('fifo')]);
  assert.deepEqual(readFileSync(join(directory, 'got')), readFileSync(object));
  assert.equal(lstatSync(join(directory, 'fifo')).isFIFO(), true);
  const none = cc(directory, [...sh('true'), ...line('x.o')]);
  assert.deepEqual([none.status, none.stderr], [0, word('x.o')]);
  const dropped = cc(directory, [...sh(`cat ${object} > "$4"`), ...line('/dev/null')]);
  assert.deepEqual([dropped.status, dropped.stderr], [0, '']);
});

test('the environment gives the options of cc that its line does not name', (t) => {
  const directory = scratch(t);
  const wrapped = (env: NodeJS.ProcessEnv, options: readonly string[] = []) =>
    start(
      directory,
      [process.execPath, builtProgram(), 'cc', ...options, '--', ...copying('gcc-O2/lock.o'), ...sampled],
      env,
    );
  const locks = () => runBuilt(['dump', 'x.o'], directory).stdout.includes('.smp_locks');
  const rows: readonly (readonly [NodeJS.ProcessEnv, readonly string[], boolean])[] = [
    [{}, [], true],
    [{ TEXTPOKE_LOCKS: 'none' }, [], false],
    [{ TEXTPOKE_LOCKS: 'none' }, ['--locks', 'all'], true],
    [{ TEXTPOKE_LOCKS: '' }, [], true],
    [{ TEXTPOKE_STATIC_CALL: '1' }, [], false],
    [{ TEXTPOKE_STATIC_CALL: '0' }, [], true],
  ];
  for (const [env, options, listed] of rows) {
    const said = wrapped(env, options);
    assert.deepEqual([said.status, said.stderr], [0, ''], JSON.stringify(env));
    assert.equal(locks(), listed, JSON.stringify([env, options]));
  }
  for (const env of [{ TEXTPOKE_LOCKS: 'some' }, { TEXTPOKE_MODULE: 'yes' }]) {
    const said = wrapped(env);
    assert.equal(said.status, 2);
    assert.match(said.stderr, /TEXTPOKE_\w+="\w+": (one of|1 or 0).*\[usage\]/);
  }
});

longTest('a program that was built with textpoke cc and has no site verifies', ['gcc'], (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'x.c'), 'int main(void) { return 0; }\n');
  const verify = () => runBuilt(['verify', 'x', '--linked'], directory);
  assert.equal(cc(directory, ['gcc', '-c', 'x.c']).status, 0);
  assert.equal(cc(directory, ['gcc', 'x.o', '-o', 'x']).status, 0);
  assert.deepEqual([verify().status, verify().stdout, verify().stderr], [0, '', '']);
  assert.equal(cc(directory, ['gcc', 'x.c', '-o', 'x']).status, 0);
  assert.deepEqual([verify().status, verify().stdout], [0, '']);
  start(directory, ['gcc', 'x.c', '-o', 'x']);
  assert.match(verify().stdout, /TP016/);
});

test('an object may have as long a name as there can be', (t) => {
  const directory = scratch(t);
  const name = `${'\u20ac'.repeat(84)}.o`;
  const said = cc(directory, [...copying('gcc-O2/call.o'), '-c', 'x.c', '-o', name]);
  assert.deepEqual([said.status, said.stderr, readdirSync(directory)], [0, '', [name]]);
});

test('an object that cannot be annotated is removed, and so is an older one; the status is annotate\u2019s', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'x.o'), 'old');
  const said = cc(directory, [...copying('gcc-O2/short.o'), ...sampled]);
  assert.equal(said.status, 1);
  assert.match(said.stderr, /^textpoke: error: x\.o: .*\[site-unpatchable\]\n$/);
  assert.deepEqual(readdirSync(directory), []);
});

test('a compiler that fails leaves what was there', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'x.o'), 'old');
  const said = cc(directory, [...copying('gcc-O2/call.o', 'exit 7'), ...sampled]);
  assert.deepEqual([said.status, said.stderr], [7, '']);
  assert.deepEqual(filesOf(directory), { 'x.o': Buffer.from('old').toString('hex') });
});

test('a compiler that is not there, or is none, ends as in a shell', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'text'), '');
  for (const [command, status] of [
    ['./none', 127],
    ['./text', 126],
  ] as const) {
    const said = cc(directory, [command, '-c', 'x.c']);
    assert.equal(said.status, status);
    assert.match(said.stderr, /^textpoke: error: cannot run \.\/\w+: E\w+\n$/);
  }
  assert.equal(cc(directory, []).status, 2);
});

test('options of annotate stand in front of --, and everything behind it is the compiler\u2019s', (t) => {
  const directory = scratch(t);
  const listsLocks = () => readFileSync(join(directory, 'x.o')).includes('.smp_locks');
  cc(directory, [...copying('gcc-O2/lock.o'), ...sampled], ['--locks', 'none']);
  assert.equal(listsLocks(), false);
  cc(directory, [...copying('gcc-O2/lock.o'), ...sampled]);
  assert.equal(listsLocks(), true);
  const said = cc(directory, ['printf', '%s|', '--help', '--', '-o', '--locks']);
  assert.equal(said.stdout, '--help|--|-o|--locks|');
});

test('without --, the compiler\u2019s name ends the options; textpoke-cc is both words in one', (t) => {
  const directory = scratch(t);
  const words = ['printf', '%s|', '--help', '-o', 'x'];
  for (const command of [[builtProgram(), 'cc'], [builtProgram('textpoke-cc')]]) {
    const said = start(directory, [process.execPath, ...command, ...words]);
    assert.deepEqual([said.status, said.stdout, said.stderr], [0, '--help|-o|x|', '']);
  }
});

test('a compiler that dies of a signal takes textpoke with it', (t) => {
  const directory = scratch(t);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGHUP'] as const) {
    const said = cc(directory, [...copying('gcc-O2/call.o', `kill -${signal.slice(3)} $$`), ...sampled]);
    assert.deepEqual([said.signal, said.stderr, readdirSync(directory)], [signal, '', []]);
  }
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
  test(`${signal} for textpoke is one for the compiler, which decides`, async (t) => {
    const directory = scratch(t);
    const script = `trap 'echo told; exit 5' ${signal.slice(3)}; cp ${samples}/gcc-O2/call.o "$4"; echo ready; while :; do sleep 0.05; done`;
    const args = [builtProgram(), 'cc', '--', ...sh(script), ...sampled];
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      if (output === 'ready\n') child.kill(signal);
    });
    assert.deepEqual(await once(child, 'close'), [5, null]);
    assert.equal(output, 'ready\ntold\n');
    assert.deepEqual(readdirSync(directory), []);
  });
}

test('killed between compiler and annotate, it leaves no object that make would take for done', (t) => {
  const directory = scratch(t);
  const said = cc(directory, [...copying('gcc-O2/call.o', 'kill -9 $PPID'), ...sampled]);
  assert.equal(said.signal, 'SIGKILL');
  const [left, ...more] = readdirSync(directory);
  assert.match(left as string, /^\.x\.o\.\d+\.\d+\.textpoke\.tmp$/);
  assert.deepEqual(more, []);
  // It is removed by whoever comes by a minute later, unless it belongs to a process that runs.
  const own = join(directory, `.y.o.${process.pid}.0.textpoke.tmp`);
  writeFileSync(own, '');
  for (const path of [join(directory, left as string), own]) utimesSync(path, 1e9, 1e9);
  assert.equal(cc(directory, [...copying('gcc-O2/call.o'), ...sampled]).status, 0);
  assert.deepEqual(readdirSync(directory).sort(), [own.slice(directory.length + 1), 'x.o']);
});

test('a read-only object of a cache is replaced and never written to', (t) => {
  const directory = scratch(t);
  const cached = join(directory, 'cached');
  copyFileSync(join(samples, 'gcc-O2/call.o'), cached);
  chmodSync(cached, 0o444);
  for (const _ of [1, 2]) {
    const said = cc(directory, [...sh(`ln -f ${cached} "$4"`), ...sampled]);
    assert.deepEqual([said.status, said.stderr], [0, '']);
  }
  assert.deepEqual(readFileSync(cached), readFileSync(join(samples, 'gcc-O2/call.o')));
  assert.notDeepEqual(readFileSync(join(directory, 'x.o')), readFileSync(cached));
});

toolTest(
  'objects for link-time optimisation are left with a note, also with machine code beside',
  ['gcc', 'clang'],
  (t) => {
    const directory = sources(t);
    const flags = ['-O2', `-I${root}include`, '-flto', '-c', 'a.c', '-o', 'a.o'];
    for (const compiler of ['gcc', 'clang']) {
      const said = cc(directory, [compiler, ...flags]);
      assert.equal(said.status, 0);
      assert.match(said.stderr, /^textpoke: a\.o: not annotated, left unchanged: .*ld\.lld -r.*\n$/);
      assert.equal(existsSync(join(directory, 'a.o')), true);
    }
    const fat = cc(directory, ['gcc', '-ffat-lto-objects', ...flags]);
    assert.equal(fat.status, 0);
    assert.match(fat.stderr, /^textpoke: a\.o: not annotated, left unchanged: .*\n$/);
    const refused = start(directory, [process.execPath, builtProgram(), 'annotate', 'a.o']);
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /GCC LTO bytecode beside its machine code.* -fno-lto.*\[lto-object\]/);
  },
);

test('what is compiled and linked at once is named, and what textpoke knows nothing of is left', (t) => {
  const directory = scratch(t);
  const linked = cc(directory, ['true', 'x.c', '-o', 'x']);
  assert.match(
    linked.stderr,
    /^textpoke: x\.c: not annotated, because the command compiles and links at once; .*\n$/,
  );
  const foreign = readFileSync(join(samples, 'gcc-O2/call.o'));
  foreign.writeUInt16LE(3, 18); // EM_386
  writeFileSync(join(directory, 'foreign'), foreign);
  const small = cc(directory, [...sh('mv foreign "$4"'), ...sampled]);
  assert.match(
    small.stderr,
    /^textpoke: x\.o: not annotated, left unchanged: textpoke does not support the machine .*\n$/,
  );
  const other = cc(directory, [...sh('echo coff > "$4"'), ...sampled]);
  assert.deepEqual([linked.status, small.status, other.status], [0, 0, 0]);
  assert.equal(other.stderr, 'textpoke: x.o: not annotated, left unchanged: the file is not an ELF object\n');
  assert.deepEqual(readdirSync(directory), ['x.o']);
});

longTest(
  'ccache serves objects behind textpoke, and annotated ones in front of it',
  ['gcc', 'ccache'],
  (t) => {
    const directory = sources(t);
    const compile = ['ccache', 'gcc', '-O2', `-I${root}include`, '-MMD', '-c', 'a.c', '-o', 'a.o'];
    const env = { CCACHE_DIR: join(directory, 'cache') };
    const prefix = {
      CCACHE_PREFIX: builtProgram('textpoke-cc'),
      CCACHE_EXTRAFILES: join(root, 'dist', 'textpoke.cjs'),
    };
    const behind = [process.execPath, builtProgram(), 'cc', '--', ...compile];
    const hits = () =>
      /^(?:direct_cache_hit)\s+(\d+)$/m.exec(start(directory, ['ccache', '--print-stats'], env).stdout)?.[1];
    assert.equal(start(directory, compile, env).status, 0);
    const plain = readFileSync(join(directory, 'a.o'));
    annotate(directory, ['a.o']);
    const annotated = readFileSync(join(directory, 'a.o'));
    const runs: [string[], NodeJS.ProcessEnv, Buffer, string][] = [
      [behind, {}, annotated, '0'],
      [behind, {}, annotated, '1'],
      [behind, { CCACHE_HARDLINK: '1' }, annotated, '2'],
      [behind, { CCACHE_HARDLINK: '1' }, annotated, '3'],
      [compile, prefix, annotated, '3'],
      [compile, prefix, annotated, '4'],
      [compile, { ...prefix, CCACHE_HARDLINK: '1' }, annotated, '5'],
      [compile, {}, plain, '6'],
    ];
    for (const [words, more, object, hit] of runs) {
      rmSync(join(directory, 'a.d'), { force: true });
      const said = start(directory, words, { ...env, ...more });
      assert.deepEqual([said.status, said.stderr], [0, '']);
      assert.ok(readFileSync(join(directory, 'a.o')).equals(object), `a.o of ${words.join(' ')}`);
      assert.match(readFileSync(join(directory, 'a.d'), 'utf8'), /^a\.o: a\.c /);
      assert.equal(hits(), hit);
    }
  },
);
