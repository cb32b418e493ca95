// A file that is made of another one's pieces, read range by range and written with holes.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { writeContent } from '../../src/files/content.ts';
import { editedSource } from '../../src/files/edited.ts';
import { memorySource, partOf } from '../../src/files/source.ts';
import { scratch } from '../tools.ts';

const ten = () => memorySource(Uint8Array.from({ length: 10 }, (_, i) => i + 1));

test('pieces stand where they are put, zeros between them, and of two writes the later one wins', () => {
  const pieces = [
    { from: 0, to: 0, size: 4 },
    { from: 4, to: 7, size: 6 },
  ];
  const writes = [
    { at: 3, bytes: Uint8Array.of(40, 41, 42) },
    { at: 9, bytes: Uint8Array.of(90) },
    { at: 5, bytes: Uint8Array.of(50) },
  ];
  const source = ten();
  const edited = editedSource(source, 13, pieces, writes);
  const all = [1, 2, 3, 40, 41, 50, 0, 5, 6, 90, 8, 9, 10];
  assert.deepEqual([...edited.read(0, 13)], all);
  for (let from = 0; from < 13; from++) {
    for (let to = from; to <= 13; to++)
      assert.deepEqual([...edited.read(from, to - from)], all.slice(from, to));
  }
  assert.deepEqual([...source.read(0, 10)], [...ten().read(0, 10)], 'the other file is as it was');
  assert.throws(() => edited.read(10, 4), /ends at byte 13/);
  assert.deepEqual([...partOf(edited, 3, 4).read(1, 2)], [41, 50]);
  assert.throws(() => partOf(edited, 3, 4).read(1, 4), /ends at byte 4/);
});

test('what is nothing but zeros becomes a hole in the file that is written', (t) => {
  const path = join(scratch(t), 'sparse');
  const size = (64 << 20) + 5;
  const content = editedSource(
    ten(),
    size,
    [{ from: 0, to: 0, size: 10 }],
    [{ at: size - 7, bytes: Uint8Array.of(7) }],
  );
  const fd = openSync(path, 'wx');
  writeContent(fd, content);
  closeSync(fd);
  const bytes = readFileSync(path);
  assert.equal(bytes.length, size);
  assert.deepEqual([...bytes.subarray(0, 11)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]);
  assert.deepEqual([...bytes.subarray(-8)], [0, 7, 0, 0, 0, 0, 0, 0]);
  assert.ok(statSync(path).blocks * 512 < 8 << 20, 'most of it takes no room');
});
