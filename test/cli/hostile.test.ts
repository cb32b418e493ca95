// Broken input and broken surroundings on the command line: a clear error, the right exit status, the input as it
// was, and no temporary left.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { builtProgram } from '../built.ts';
import { runBuilt } from '../e2e/warm.ts';
import { sampleBytes, samplePath } from '../samples.ts';
import { leftOut, run, scratch, toolTest, tryRun } from '../tools.ts';

const textpoke = runBuilt;

/** Every file below a directory with its contents. */
function contents(directory: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    files.set(path, entry.isFile() ? readFileSync(path).toString('base64') : 'not a file');
  }
  return files;
}

interface Refusal {
  readonly name: string;
  readonly make: (directory: string) => readonly string[];
  readonly status: number;
  readonly code: string;
}

function refuses(t: TestContext, { make, status, code }: Refusal): void {
  const directory = scratch(t);
  const args = make(directory);
  const before = contents(directory);
  const result = textpoke(args, directory);
  assert.equal(result.status, status, result.stderr);
  assert.match(result.stderr, new RegExp(`\\[${code}\\]`));
  assert.doesNotMatch(result.stderr, /\n {4}at /, 'a stack trace');
  assert.equal(result.stdout, '');
  assert.deepEqual(contents(directory), before, 'files changed');
}

const file = (name: string, bytes: Uint8Array | string) => (directory: string) => {
  writeFileSync(join(directory, name), bytes);
  return ['annotate', name];
};
const branch = sampleBytes('gcc-O2', 'branch');

const refusals: Refusal[] = [
  { name: 'an empty file', make: file('x.o', ''), status: 3, code: 'not-elf' },
  { name: 'a shell script', make: file('x.o', '#!/bin/sh\necho hello\n'), status: 3, code: 'not-elf' },
  { name: 'a file with wrong magic', make: file('x.o', branch.with(1, 0x46)), status: 3, code: 'not-elf' },
  {
    name: 'a class that does not exist',
    make: file('x.o', branch.with(4, 9)),
    status: 3,
    code: 'elf-malformed',
  },
  { name: 'a truncated object', make: file('x.o', branch.slice(0, 1000)), status: 3, code: 'elf-truncated' },
  {
    name: 'a truncated ARM object',
    make: file('x.o', sampleBytes('thumb-gcc-O2', 'branch').slice(0, 1000)),
    status: 3,
    code: 'elf-truncated',
  },
  {
    name: 'an ARM object whose keys are not named beside its markers',
    make: (d) => {
      const bytes = sampleBytes('arm-gcc-O2', 'branch');
      const name = Buffer.from('.textpoke.keys');
      const at = Buffer.from(bytes).indexOf(name);
      return file('x.o', bytes.with(at + name.length - 1, 0x7a))(d);
    },
    status: 1,
    code: 'site-mismatch',
  },
  {
    name: 'a Thumb branch that cannot be patched',
    make: file('x.o', sampleBytes('thumb-clang-O2', 'short')),
    status: 1,
    code: 'site-unpatchable',
  },
  { name: 'another machine', make: file('x.o', branch.with(18, 8)), status: 3, code: 'machine-unsupported' },
  { name: 'a torn archive', make: file('x.a', '!<arch>\nx.o/  '), status: 3, code: 'archive-malformed' },
  { name: 'a thin archive', make: file('x.a', '!<thin>\n'), status: 3, code: 'archive-thin' },
  {
    name: 'LLVM bitcode',
    make: file('x.o', Uint8Array.of(0x42, 0x43, 0xc0, 0xde, 0x35)),
    status: 3,
    code: 'lto-object',
  },
  { name: 'a missing file', make: () => ['annotate', 'x.o'], status: 4, code: 'read-failed' },
  {
    name: 'a directory',
    make: (directory) => {
      mkdirSync(join(directory, 'x.o'));
      return ['annotate', 'x.o'];
    },
    status: 4,
    code: 'read-failed',
  },
  {
    name: 'a read-only object',
    make: (directory) => {
      writeFileSync(join(directory, 'x.o'), branch);
      chmodSync(join(directory, 'x.o'), 0o444);
      return ['annotate', 'x.o'];
    },
    status: 4,
    code: 'write-failed',
  },
  {
    name: 'an output in a directory that does not exist',
    make: (directory) => {
      writeFileSync(join(directory, 'x.o'), branch);
      return ['annotate', 'x.o', '-o', 'no/such/place.o'];
    },
    status: 4,
    code: 'write-failed',
  },
  {
    name: 'an output that is a directory',
    make: (directory) => {
      writeFileSync(join(directory, 'x.o'), branch);
      mkdirSync(join(directory, 'out'));
      return ['annotate', 'x.o', '-o', 'out'];
    },
    status: 4,
    code: 'write-failed',
  },
  {
    name: 'a dangling symbolic link',
    make: (directory) => {
      symlinkSync('nowhere', join(directory, 'x.o'));
      return ['annotate', 'x.o'];
    },
    status: 4,
    code: 'read-failed',
  },
  {
    name: 'two inputs for one output',
    make: (directory) => {
      for (const name of ['x.o', 'y.o']) writeFileSync(join(directory, name), branch);
      return ['annotate', 'x.o', 'y.o', '-o', 'z.o'];
    },
    status: 2,
    code: 'usage',
  },
  {
    name: 'an image for verify that is an object',
    make: (d) => ['verify', ...file('x.o', branch)(d).slice(1)],
    status: 3,
    code: 'not-an-image',
  },
  {
    name: 'an empty image for boot',
    make: (d) => ['boot', ...file('x', '')(d).slice(1), '-o', 'y'],
    status: 3,
    code: 'not-elf',
  },
  {
    name: 'a script for dump',
    make: (d) => ['dump', ...file('x', '#!/bin/sh\n')(d).slice(1)],
    status: 3,
    code: 'not-elf',
  },
];
for (const refusal of refusals) {
  test(`${refusal.name} is refused with exit status ${refusal.status} and [${refusal.code}]`, (t) =>
    refuses(t, refusal));
}

toolTest('objects of gcc -flto and clang -flto are refused with advice', ['gcc', 'clang'], (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'x.c'), 'int f(int a) { return a + 1; }\n');
  for (const compiler of ['gcc', 'clang']) {
    run(compiler, ['-O2', '-flto', '-c', 'x.c', '-o', `${compiler}.o`], directory);
    const before = readFileSync(join(directory, `${compiler}.o`));
    const result = textpoke(['annotate', `${compiler}.o`], directory);
    assert.equal(result.status, 3, result.stderr);
    assert.match(result.stderr, /\[lto-object\]/);
    assert.match(result.stderr, /-r\b/);
    assert.deepEqual(readFileSync(join(directory, `${compiler}.o`)), before);
  }
});

toolTest('a full disk leaves the old object and no temporary', ['mount', 'umount', 'unshare'], (t) => {
  if (tryRun('unshare', ['-m', 'true']).status !== 0) return t.skip(`${leftOut}mount namespaces`);
  const directory = scratch(t);
  cpSync(samplePath('gcc-O2', 'branch'), join(directory, 'branch.o'));
  const before = readFileSync(join(directory, 'branch.o'));
  // A disk with room for the object and not for another one, in a mount namespace of its own.
  const script = `
    mkdir disk && mount -t tmpfs -o size=12k textpoke disk && cp branch.o disk/ &&
    { "$1" "$2" annotate disk/branch.o; echo "status $?"; ls -A disk; cp disk/branch.o after.o; umount disk; }`;
  const result = tryRun(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', process.execPath, builtProgram()],
    directory,
  );
  assert.match(result.stdout, /^status 4\nbranch\.o\n$/, result.stdout + result.stderr);
  assert.match(result.stderr, /ENOSPC.*\[write-failed\]/);
  assert.deepEqual(readFileSync(join(directory, 'after.o')), before);
});

test('a broken file among good ones stops the run with its own error, and no file is torn', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'a.o'), branch);
  writeFileSync(join(directory, 'b.o'), branch.slice(0, 100));
  const result = textpoke(['annotate', 'a.o', 'b.o'], directory);
  assert.equal(result.status, 3);
  assert.match(result.stderr, /b\.o: .*\[elf-truncated\]/);
  assert.deepEqual(readdirSync(directory).sort(), ['a.o', 'b.o']);
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, 'b.o'))), branch.slice(0, 100));
});

test('an object whose names hold control characters cannot move the terminal', (t) => {
  const directory = scratch(t);
  const name = 'x\u001b[2J.o';
  writeFileSync(join(directory, name), branch.slice(0, 100));
  const result = textpoke(['annotate', name], directory);
  assert.equal(result.status, 3);
  assert.equal(result.stderr.includes('\u001b'), false, result.stderr);
});
