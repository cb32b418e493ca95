// What a static key says of itself, in every byte order and word size that compilers here make.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Address } from '../../src/bytes/named-numbers.ts';
import { isLoneKey, readKey } from '../../src/demand/keys.ts';
import { imageOf, linkedBytes } from '../samples.ts';

for (const set of ['gcc-O2', 'arm-gcc-O2', 'aarch64-gcc-O2', 'aarch64_be-gcc-O2', 'armeb-gcc-O2']) {
  test(`${set}: a key has its count and its initial value`, () => {
    const image = imageOf(linkedBytes(set, ['branch']));
    const keyOf = (name: string) => image.symbols.addressOf(name) as Address;
    assert.deepEqual(readKey(image, keyOf('on_key')), { enabled: 1, initial: true });
    assert.deepEqual(readKey(image, keyOf('off_key')), { enabled: 0, initial: false });
    assert.ok(isLoneKey(image, keyOf('on_key')), 'a key that no entry names is known by its bytes');
  });
}
