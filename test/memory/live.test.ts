// Memory that changes while it is read.
import assert from 'node:assert/strict';
import test from 'node:test';
import { MemoryImage } from '../../src/memory/image.ts';
import type { ImagePlace } from '../../src/memory/memory.ts';
import { wrongBranches } from '../large-image.ts';
import { imageOf } from '../samples.ts';

const image = imageOf(wrongBranches(2000));
const { address } = image.code[0] ?? assert.fail('no code');

/** Memory whose bytes are other ones each time. */
function restless(isLive: boolean): MemoryImage {
  let reads = 0;
  const none = new Float64Array(0);
  const memory: ImagePlace['memory'] = {
    format: 'restless',
    addresses: 'virtual',
    fileSize: 0,
    runs: { starts: none, ends: none },
    ...(isLive && { isLive: true as const }),
    read: (_, into) => {
      into.fill(++reads);
      return true;
    },
  };
  const place = { memory, offset: 0, slide: 0, slideFrom: 'test', kernelMemory: undefined };
  return new MemoryImage(image, { ...place, kernelMemoryFrom: 'test' });
}

test('memory that changes stays as it was first seen, across the ends of blocks too', () => {
  const end = Math.ceil((address + 1) / 4096) * 4096;
  const live = restless(true);
  const seen = [live.read(end, 2), live.read(end - 2, 2)].map((bytes) => [...bytes]);
  assert.deepEqual(seen, [
    [1, 1],
    [2, 2],
  ]);
  assert.deepEqual([...live.read(end - 2, 4)], [2, 2, 1, 1]);
  assert.deepEqual([...restless(false).read(end - 2, 4)], [1, 1, 1, 1]);
});
