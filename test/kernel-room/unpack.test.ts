// Kernel files are taken apart: containers in one another, compressions, and what is said of those that cannot be.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { TextpokeError } from '../../src/errors.ts';
import { memorySource } from '../../src/files/source.ts';
import { unpackKernel } from '../../src/kernel/files/unpack.ts';
import { withoutContainers } from '../../src/kernel/plain.ts';
import { dump } from '../../src/library/dump.ts';
import { xzOf, zstdOf } from '../fuzz/compressed.ts';
import { linkedBytes, programUnits } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';
import { bzImageOf, lz4Of, lzoOf, unifiedOf, zbootOf, zImageOf } from './made-files.ts';

const elf = linkedBytes('gcc-O2', programUnits);
const gzip = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes));

async function unpacked(bytes: Uint8Array, limit?: number) {
  const found = await unpackKernel(memorySource(bytes), limit);
  return found && { ...found, bytes: found.source.read(0, found.source.size) };
}

const fails = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && message.test(error.message);

for (const [steps, bytes] of [
  [['bzImage', 'gzip'], bzImageOf(gzip(elf))],
  [['bzImage', 'zstd'], bzImageOf(zstdOf(elf), elf.length)],
  [['bzImage', 'lz4'], bzImageOf(lz4Of(elf), elf.length)],
  [['bzImage', 'lzo'], bzImageOf(lzoOf(elf), elf.length)],
  [['bzImage'], bzImageOf(elf)],
  [['unified kernel image', 'bzImage', 'lz4'], unifiedOf(bzImageOf(lz4Of(elf), elf.length))],
  [['EFI zboot image', 'gzip'], zbootOf(gzip(elf), 'gzip')],
  [['EFI zboot image', 'zstd'], zbootOf(zstdOf(elf), 'zstd')],
  [['gzip'], gzip(elf)],
  [[], elf],
] as const) {
  test(`an ELF kernel comes out of: ${steps.join(', ') || 'nothing'}`, async () => {
    const found = await unpacked(bytes);
    assert.deepEqual(found?.steps, steps);
    assert.equal(found?.kind, 'elf');
    assert.ok(Buffer.from(elf).equals(found?.bytes ?? []), 'the payload as it was packed');
  });
}

for (const [form, packed] of [
  ['gzip', gzip(elf)],
  ['lz4', lz4Of(elf)],
  ['lzo', lzoOf(elf)],
] as const) {
  test(`the kernel in a zImage is found by its magic number: ${form}`, async () => {
    const bytes = zImageOf(packed, elf.length);
    const found = await unpacked(bytes);
    assert.deepEqual(found?.steps, ['zImage', form]);
    assert.equal(found?.kind, 'flat arm');
    assert.equal(found?.bssSize, 0x1000);
    assert.ok(Buffer.from(elf).equals(found?.bytes ?? []), 'the payload as it was packed');
  });
}

test('what comes out of a zImage is held against the size behind it', async () => {
  await assert.rejects(
    unpacked(zImageOf(lz4Of(elf), elf.length + 1)),
    fails('elf-unsupported', /no kernel was found/),
  );
  await assert.rejects(
    unpacked(zImageOf(lz4Of(elf).subarray(0, 40), 5)),
    fails('compressed-malformed', /too early/),
  );
});

test('a payload whose size is not what stands behind it is refused', async () => {
  await assert.rejects(
    unpacked(bzImageOf(zstdOf(elf), elf.length - 1)),
    fails('compressed-malformed', /has \d+ bytes; the size behind it says \d+/),
  );
});

test('a payload that leads out of the file, or of an old protocol, is refused', async () => {
  const far = bzImageOf(gzip(elf));
  new DataView(far.buffer).setUint32(0x24c, 0xffff_ffff, true);
  await assert.rejects(unpacked(far), fails('elf-truncated', /payload of the bzImage has 4294967295 bytes/));
  const old = bzImageOf(gzip(elf));
  new DataView(old.buffer).setUint16(0x206, 0x207, true);
  await assert.rejects(unpacked(old), fails('elf-unsupported', /boot protocol 0x207; 0x208 or later/));
  const boot = zbootOf(gzip(elf), 'gzip');
  new DataView(boot.buffer).setUint32(8, 0x8000_0000, true);
  await assert.rejects(unpacked(boot), fails('elf-truncated', /payload of the EFI zboot image/));
  const cut = unifiedOf(bzImageOf(gzip(elf)));
  await assert.rejects(
    unpacked(cut.subarray(0, cut.length - 1024)),
    fails('elf-truncated', /\.linux needs bytes/),
  );
});

test('a compression that is not known is named', async () => {
  const payload = Uint8Array.from([0x04, 0x22, 0x4d, 0x18, 1, 2, 3, 4]);
  await assert.rejects(
    unpacked(bzImageOf(payload, 8)),
    fails('elf-unsupported', /begins with 04 22 4d 18.*Known are gzip/),
  );
  await assert.rejects(
    unpacked(zbootOf(payload, 'lz77')),
    fails('elf-unsupported', /the header calls it "lz77"/),
  );
});

test('what a payload expands to has a limit', async () => {
  const zeros = gzip(new Uint8Array(1 << 20));
  await assert.rejects(unpacked(bzImageOf(zeros), 1 << 19), fails('compressed-too-large', /--expand-limit/));
});

test('an EFI program without a kernel, and anything else, is no kernel file', async () => {
  assert.equal(await unpacked(unifiedOf(elf, '.text')), undefined);
  assert.equal(await unpacked(Uint8Array.from({ length: 4096 }, () => 0x90)), undefined);
  assert.equal(await unpacked(new Uint8Array(0)), undefined);
});

test('what is compressed and no kernel is given on, and what is in a container has to be one', async () => {
  const text = new Uint8Array(Buffer.from('no kernel'));
  const found = await unpacked(gzip(text));
  assert.equal(found?.kind, 'other');
  assert.deepEqual(found?.bytes, text);
  await assert.rejects(
    unpacked(bzImageOf(gzip(text))),
    fails('not-elf', /is a kernel file \(bzImage, gzip\)/),
  );
});

test('containers in one another have an end', async () => {
  let bytes = elf;
  for (let i = 0; i < 12; i++) bytes = gzip(bytes);
  await assert.rejects(unpacked(bytes), fails('elf-unsupported', /too many containers/));
});

test('dump takes a kernel file, and says what was unpacked', async () => {
  const { document } = await dump({ name: 'vmlinuz', bytes: bzImageOf(xzOf(elf), elf.length) });
  const plain = await dump({ name: 'vmlinuz', bytes: elf });
  const [{ unpacked: form, ...rest } = assert.fail()] = document.files;
  assert.match(form ?? '', /^bzImage, xz, [\d,]+ bytes$/);
  assert.deepEqual(rest, plain.document.files[0]);
});

test('an ELF file with symbols is not touched', async () => {
  const source = memorySource(elf);
  assert.equal((await withoutContainers('a', source)).source, source);
});

for (const [tool, args, form] of [
  ['gzip', ['-9'], 'gzip'],
  ['bzip2', ['-9'], 'bzip2'],
  ['xz', ['--format=lzma'], 'lzma'],
  ['xz', ['--check=crc32', '--x86', '--lzma2=dict=1MiB'], 'xz'],
  ['lzop', ['-9'], 'lzo'],
  ['lz4', ['-l', '-9'], 'lz4'],
  ['zstd', ['-19', '--no-progress'], 'zstd'],
] as const) {
  toolTest(`a bzImage whose payload ${tool} ${args.join(' ')} made comes out as it was`, [tool], (t) => {
    const file = join(scratch(t), 'vmlinux');
    writeFileSync(file, elf);
    run('sh', ['-c', `${tool} ${args.join(' ')} -c < ${file} > ${file}.packed`]);
    const packed = new Uint8Array(readFileSync(`${file}.packed`));
    return unpacked(bzImageOf(packed, form === 'gzip' ? undefined : elf.length)).then((found) => {
      assert.deepEqual(found?.steps, ['bzImage', form]);
      assert.ok(Buffer.from(elf).equals(found?.bytes ?? []), 'the payload as it was packed');
    });
  });
}
