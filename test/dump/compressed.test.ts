// Files as distributions ship them: compressed modules, boot images that hold no ELF file, kernels without symbols.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { dumpFile } from '../../src/dump/passes.ts';
import { TextpokeError } from '../../src/errors.ts';
import { type FileDocument, fileJson } from '../../src/output/dump.ts';
import { annotated, linkedBytes, programUnits } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';

const plain = annotated('gcc-O2', 'call');

async function dump(bytes: Uint8Array): Promise<FileDocument[]> {
  const files: FileDocument[] = [];
  for await (const file of dumpFile('a.ko', bytes)) files.push(fileJson(file));
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
  run('xz', ['--sparc', '--lzma2', path]);
  await assert.rejects(
    dump(readFileSync(`${path}.xz`)),
    isCode('compressed-malformed', /the filters 0x9, 0x21 are not supported; those of x86/),
  );
});

function withMagic(magic: string, offset: number): Uint8Array {
  const bytes = new Uint8Array(1024).fill(0x90);
  bytes.set(Buffer.from(magic, 'latin1'), offset);
  return bytes;
}

for (const [magic, offset, what, code] of [
  ['U\xaa\x90\x90HdrS', 0x1fe, /payload of the bzImage/, 'elf-truncated'],
  ['ARM\x64', 0x38, /the kernel has no kallsyms.*vmlinux/, 'elf-unsupported'],
  ['\x18\x28\x6f\x01', 0x24, /no kernel was found in the zImage/, 'elf-unsupported'],
] as const) {
  test(`what ${what.source} is and where its ELF file is to be found is said`, async () => {
    await assert.rejects(dump(withMagic(magic, offset)), isCode(code, what));
    await assert.rejects(dump(withMagic(magic, offset + 1)), isCode('not-elf', /^the file starts with 90/));
  });
}

test('a program without symbols is not taken for a kernel', async () => {
  const [file] = await dump(linkedBytes('gcc-O2', programUnits));
  assert.notEqual(file?.jumpTable?.length ?? 0, 0);
  assert.equal(file?.problems, undefined);
});
