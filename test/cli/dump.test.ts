// textpoke dump and boot of files as systems have them: many at once, and kernels without their symbols.
import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { builtProgram } from '../built.ts';
import { runBuilt } from '../e2e/warm.ts';
import { annotated } from '../samples.ts';
import { longTest, run, scratch, toolTest, tryRun } from '../tools.ts';

const plain = annotated('gcc-O2', 'call');

toolTest('more files are dumped than may be open at once', ['sh'], (t) => {
  const directory = scratch(t);
  const files = Array.from({ length: 150 }, (_, i) => join(directory, `${i}.o`));
  for (const file of files) writeFileSync(file, plain);
  const command = [
    '-c',
    `ulimit -n 60; "$0" "$@"`,
    process.execPath,
    builtProgram(),
    'dump',
    '--json',
    ...files,
  ];
  const { status, stdout, stderr } = tryRun('sh', command);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.equal(JSON.parse(stdout).files.length, files.length);
});

const bannerSource = 'const char linux_banner[] = "Linux version 6.1.0 (a@b) (gcc) #1 SMP\\n"; int main;';

toolTest('a kernel without its symbols says what it needs', ['gcc', 'ld', 'strip'], (t) => {
  const directory = scratch(t);
  const [source, object, image] = ['k.c', 'k.o', 'vmlinux'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(source, bannerSource);
  run('gcc', ['-c', '-fno-pic', source, '-o', object]);
  run('ld', ['-e', '0', object, '-o', image]);
  const stripped = join(directory, 'stripped');
  copyFileSync(image, stripped);
  run('strip', [stripped]);
  for (const [file, status] of [
    [image, 0],
    [stripped, 1],
  ] as const) {
    const dumped = runBuilt(['dump', '--table', 'jump', file]);
    assert.equal(dumped.status, status);
    assert.equal(/use the vmlinux with its symbols/.test(dumped.stdout), status === 1);
  }
  const booted = runBuilt(['boot', stripped]);
  assert.equal(booted.status, 3);
  assert.match(booted.stderr, /use the vmlinux with its symbols \[table-malformed\]/);
});

longTest('what is compressed expands to 64 MiB, or to what --expand-limit says', [], (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'a.o'), plain);
  writeFileSync(join(directory, 'a.ko.gz'), gzipSync(Buffer.concat([plain, new Uint8Array(65 << 20)])));
  const textpoke = (...args: string[]) => runBuilt(args, directory);
  for (const args of [
    ['dump', 'a.ko.gz'],
    ['diff', 'a.o', 'a.ko.gz'],
  ]) {
    const refused = textpoke(...args);
    assert.match(
      refused.stderr,
      /^textpoke: error: a\.ko\.gz: the gzip data, \d+ bytes, expand to more than 64 MiB; --expand-limit allows more \[compressed-too-large\]\n$/,
    );
    assert.equal(refused.status, 3);
    assert.equal(textpoke(...args, '--expand-limit', '66M').status, 0);
  }
  for (const size of ['0x10', '-1', '1T', 'much'])
    assert.equal(textpoke('dump', 'a.o', '--expand-limit', size).status, 2, size);
});
