// Files as distributions ship them: compressed modules, boot images that hold no ELF file, kernels without symbols.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import type { DumpedFile } from '../../src/dump/model.ts';
import { dumpFile } from '../../src/dump/passes.ts';
import { TextpokeError } from '../../src/errors.ts';
import { annotated, linkedBytes, programUnits } from '../samples.ts';
import { run, scratch, toolTest, tryRun } from '../tools.ts';

const cli = join(import.meta.dirname, '..', '..', 'bin', 'textpoke.js');
const plain = annotated('gcc-O2', 'call');

async function dump(bytes: Uint8Array): Promise<DumpedFile[]> {
  const files: DumpedFile[] = [];
  for await (const file of dumpFile('a.ko', bytes)) files.push(file);
  return files;
}

const isCode = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && pattern.test(error.message);

test('a gzip-compressed object dumps like the object', async () => {
  assert.deepEqual(await dump(gzipSync(plain)), await dump(plain));
});

test('a damaged gzip file is an error with a code', async () => {
  const bytes = gzipSync(plain);
  await assert.rejects(dump(bytes.subarray(0, 600)), isCode('compressed-malformed', /^the zlib data/));
  bytes[300] = (bytes[300] as number) ^ 0xff;
  await assert.rejects(dump(bytes), isCode('compressed-malformed', /^the zlib data/));
});

const compressors = [
  // As scripts/Makefile.modinst compresses modules.
  { name: 'xz', args: ['--check=crc32', '--lzma2=dict=2MiB'], end: 'xz' },
  { name: 'xz', args: ['-9', '--check=crc64'], end: 'xz' },
  { name: 'zstd', args: ['-q', '-T0', '--rm', '-f'], end: 'zst' },
  { name: 'zstd', args: ['-q', '-19', '--no-check'], end: 'zst' },
];

for (const { name, args, end } of compressors) {
  toolTest(
    `an object compressed by ${[name, ...args].join(' ')} dumps like the object`,
    [name],
    async (t) => {
      const path = join(scratch(t), 'a.ko');
      writeFileSync(path, plain);
      run(name, [...args, path]);
      const bytes = readFileSync(`${path}.${end}`);
      assert.deepEqual(await dump(bytes), await dump(plain));
      const cut = dump(bytes.subarray(0, bytes.length - 40));
      await assert.rejects(cut, isCode('compressed-malformed', new RegExp(`^the ${name} data`)));
    },
  );
}

toolTest('an xz file with filters that kernels do not use is refused by name', ['xz'], async (t) => {
  const path = join(scratch(t), 'a.ko');
  writeFileSync(path, plain);
  run('xz', ['--x86', '--lzma2', path]);
  await assert.rejects(
    dump(readFileSync(`${path}.xz`)),
    isCode('compressed-malformed', /the filters are not supported/),
  );
});

function withMagic(magic: string, offset: number): Uint8Array {
  const bytes = new Uint8Array(1024).fill(0x90);
  bytes.set(Buffer.from(magic, 'latin1'), offset);
  return bytes;
}

for (const [magic, offset, what] of [
  ['HdrS', 0x202, /bzImage.*extract-vmlinux/],
  ['ARM\x64', 0x38, /arm64 kernel Image/],
  ['\x18\x28\x6f\x01', 0x24, /arm zImage/],
] as const) {
  test(`what ${what.source} is and where its ELF file is to be found is said`, async () => {
    await assert.rejects(dump(withMagic(magic, offset)), isCode('not-elf', what));
    await assert.rejects(dump(withMagic(magic, offset + 1)), isCode('not-elf', /^the file starts with 90/));
  });
}

toolTest('more files are dumped than may be open at once', ['sh'], (t) => {
  const directory = scratch(t);
  const files = Array.from({ length: 150 }, (_, i) => join(directory, `${i}.o`));
  for (const file of files) writeFileSync(file, plain);
  const command = ['-c', `ulimit -n 60; "$0" "$@"`, process.execPath, cli, 'dump', '--json', ...files];
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
    const dumped = tryRun(process.execPath, [cli, 'dump', '--table', 'jump', file]);
    assert.equal(dumped.status, status);
    assert.equal(/use the vmlinux with its symbols/.test(dumped.stdout), status === 1);
  }
  const booted = tryRun(process.execPath, [cli, 'boot', stripped]);
  assert.equal(booted.status, 3);
  assert.match(booted.stderr, /use the vmlinux with its symbols \[table-malformed\]/);
});

test('a program without symbols is not taken for a kernel', async () => {
  const [file] = await dump(linkedBytes('gcc-O2', programUnits));
  assert.deepEqual(file?.tables.jumpTable?.problems, []);
});
