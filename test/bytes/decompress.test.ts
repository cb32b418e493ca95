// Decompression against the tools that compress, and of damaged streams.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { type Compression, decompress, expandLimit, inflate, unzstd } from '../../src/bytes/decompress.ts';
import { TooLong } from '../../src/bytes/output.ts';
import { decodeZstd } from '../../src/bytes/zstd.ts';
import { TextpokeError } from '../../src/errors.ts';
import { flipped, seeded } from '../seeded.ts';
import { casesOf, longTest, rowsOf, run, scratch, toolTest } from '../tools.ts';

/** Text with words that come back, and bytes that do not. */
function content(size: number): Uint8Array {
  const random = seeded(size);
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    bytes[i] = random() < 0.7 ? (bytes[Math.floor(i / 3)] as number) : Math.floor(random() * 256);
  }
  return bytes;
}

const malformed = (error: unknown) => error instanceof TextpokeError && error.code === 'compressed-malformed';

/** An answer that is no longer than it may be, or our error. */
function survives(body: () => Uint8Array, size: number): void {
  try {
    const { length } = body();
    assert.ok(length <= size, `${length} bytes, where ${size} are room for`);
  } catch (error) {
    assert.ok(malformed(error), String(error));
  }
}

test('zlib streams come out as they were, and no longer than they may be', () => {
  for (const size of [0, 1, 100, 200_000]) {
    const bytes = content(size);
    assert.deepEqual(new Uint8Array(inflate(deflateSync(bytes), size)), bytes);
  }
  assert.throws(() => inflate(deflateSync(content(5000)), 4999), malformed);
  assert.throws(() => inflate(content(100), 100), malformed);
});

toolTest('zstd and gzip streams come out as they were', ['zstd', 'gzip'], (t) => {
  const file = join(scratch(t), 'content');
  for (const size of [1, 100, 200_000, 1_000_000]) {
    const bytes = content(size);
    writeFileSync(file, bytes);
    for (const level of rowsOf(['-1', '-19'], 2)) {
      run('zstd', ['-qf', level, file, '-o', `${file}.zst`]);
      const packed = new Uint8Array(readFileSync(`${file}.zst`));
      assert.ok(Buffer.from(bytes).equals(unzstd(packed, 2 * size)), `${size} ${level}`);
      assert.ok(Buffer.from(bytes).equals(unzstd(packed, size)), `${size} ${level}, the size given`);
      // The last four bytes are a checksum.
      for (let cut = 0; cut < packed.length - 4; cut += Math.ceil(packed.length / 7)) {
        assert.throws(
          () => unzstd(packed.subarray(0, cut), size),
          malformed,
          `${size} ${level} cut at ${cut}`,
        );
      }
    }
    const random = seeded(size);
    for (let i = 0; i < casesOf(20); i++) {
      const broken = flipped(new Uint8Array(readFileSync(`${file}.zst`)), random);
      survives(() => unzstd(broken, size), size);
    }
    run('gzip', ['-kf', file]);
    const gz = new Uint8Array(readFileSync(`${file}.gz`));
    assert.ok(Buffer.from(bytes).equals(inflate(gz, size)), `${size} gzip`);
  }
});

/** A frame of zstd as a pipe gives it: blocks that each say `size` zeros. */
function zeros(blocks: number, size = 1 << 17): Uint8Array {
  const block = (isLast: number) => [(isLast | 2 | (size << 3)) & 255, (size >> 5) & 255, size >> 13, 0];
  const frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
  for (let i = 0; i < blocks; i++) frame.push(...block(i === blocks - 1 ? 1 : 0));
  return Uint8Array.from(frame);
}

const mebibyte = 2 ** 20;
const large = gzipSync(new Uint8Array(65 * mebibyte));

for (const [form, bytes, size] of [
  ['zstd', zeros(65 * 8), 65 * mebibyte],
  ['gzip', large, 65 * mebibyte],
] as [Compression, Uint8Array, number][]) {
  longTest(`${form} data expand to 64 MiB at most, and to what is allowed`, [], async () => {
    const tooLarge = (limit: number) => (error: unknown) =>
      error instanceof TextpokeError &&
      error.code === 'compressed-too-large' &&
      error.message.includes(`more than ${limit} MiB; --expand-limit allows more`);
    await assert.rejects(decompress(form, bytes), tooLarge(64));
    await assert.rejects(decompress(form, bytes, size - 1), tooLarge(64));
    assert.equal((await decompress(form, bytes, size)).length, size);
    await assert.rejects(decompress(form, bytes, Number.NaN), /a number of bytes is required/);
  });
}

test('what is large already may expand to 20 times its size', () => {
  assert.deepEqual(
    [0, 4, 100].map((size) => expandLimit(size * mebibyte) / mebibyte),
    [64, 80, 2000],
  );
});

toolTest('xz data are read no further than they may expand', ['xz'], async (t) => {
  const file = join(scratch(t), 'zeros');
  writeFileSync(file, new Uint8Array(5 * mebibyte));
  run('xz', [file]);
  const bytes = new Uint8Array(readFileSync(`${file}.xz`));
  assert.equal((await decompress('xz', bytes, 5 * mebibyte)).length, 5 * mebibyte);
  await assert.rejects(decompress('xz', bytes, 5 * mebibyte - 1), /expand to more than 4 MiB/);
});

for (const [what, bytes] of [
  ['no bytes', []],
  ['another magic number', [0x28, 0xb5, 0x2f, 0xfc, 0, 0x38, 1, 0, 0]],
  ['a frame without blocks', [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38]],
  ['a block of the reserved type', [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 7, 0, 0]],
  ['a block that is larger than a block can be', [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, 3, 0, 0x80, 0]],
  ['a dictionary', [0x28, 0xb5, 0x2f, 0xfd, 1, 0x38, 9, 1, 0, 0]],
  ['another size than the frame says', [0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 3, 0, 0, 0]],
] as const) {
  test(`zstd data with ${what} are an error`, () => {
    assert.throws(() => decodeZstd(Uint8Array.from(bytes), 1000), Error);
  });
}

test('frames of zstd follow each other, and others are skipped', () => {
  const skipped = [0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
  const frames = Uint8Array.from([...zeros(1, 3), ...skipped, ...zeros(2, 5)]);
  assert.deepEqual(decodeZstd(frames, 13), new Uint8Array(13));
  assert.throws(() => decodeZstd(frames, 12), TooLong);
});

// The tables of the highest levels cost a second for each pipe; --long has the same window with small ones.
const levels = ['--fast=7', '-1', '--long=27', '-19', '-6', '--ultra -22', '--no-check -3'];

toolTest('zstd is read as every level writes it, from files and from pipes', ['zstd'], (t) => {
  const file = join(scratch(t), 'content');
  const script = readFileSync(new URL(import.meta.url));
  for (const plain of [
    script,
    Buffer.from(content(300_000)),
    Buffer.alloc(400_000, 'abc'),
    Buffer.alloc(0),
  ]) {
    writeFileSync(file, plain);
    for (const level of rowsOf(levels, 6)) {
      for (const line of [
        `zstd -qc ${level} ${file}`,
        `cat ${file} | zstd -qc ${level}`,
        // Its last bits are in the last bytes of the data.
        `zstd -qc --no-check ${level} ${file}`,
      ]) {
        run('sh', ['-c', `${line} > ${file}.zst`]);
        const packed = new Uint8Array(readFileSync(`${file}.zst`));
        assert.ok(plain.equals(decodeZstd(packed, plain.length)), `${line}, ${plain.length} bytes`);
        if (plain.length > 0) assert.throws(() => decodeZstd(packed, plain.length - 1), TooLong);
      }
    }
  }
});
