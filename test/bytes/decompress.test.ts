// Decompression against the tools that compress, and of damaged streams.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { deflateSync } from 'node:zlib';
import { inflate, unzstd } from '../../src/bytes/decompress.ts';
import { TextpokeError } from '../../src/errors.ts';
import { flipped, seeded } from '../seeded.ts';
import { run, scratch, toolTest } from '../tools.ts';

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
  assert.throws(() => inflate(content(100)), malformed);
});

toolTest('zstd and gzip streams come out as they were', ['zstd', 'gzip'], (t) => {
  const file = join(scratch(t), 'content');
  for (const size of [1, 100, 200_000, 1_000_000]) {
    const bytes = content(size);
    writeFileSync(file, bytes);
    for (const level of ['-1', '-19']) {
      run('zstd', ['-qf', level, file, '-o', `${file}.zst`]);
      const packed = new Uint8Array(readFileSync(`${file}.zst`));
      assert.ok(Buffer.from(bytes).equals(unzstd(packed)), `${size} ${level}`);
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
    for (let i = 0; i < 20; i++) {
      const broken = flipped(new Uint8Array(readFileSync(`${file}.zst`)), random);
      survives(() => unzstd(broken, size), size);
    }
    run('gzip', ['-kf', file]);
    assert.ok(Buffer.from(bytes).equals(inflate(new Uint8Array(readFileSync(`${file}.gz`)))), `${size} gzip`);
  }
});
