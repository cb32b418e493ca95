// Symbols of an image by address.
import assert from 'node:assert/strict';
import test from 'node:test';
import { archOf } from '../../src/arch/registry.ts';
import { readElf } from '../../src/elf/read.ts';
import { SymbolIndex } from '../../src/image/symbols.ts';
import { makeObject } from '../elf/objects.ts';

test('a symbol of a section that is not in memory has no address: clang puts $d into debug sections', () => {
  const bytes = makeObject({
    ...{ machine: 183, type: 3 },
    sections: [
      { name: '.text', flags: 6, data: new Uint8Array(16) },
      { name: '.debug_str', data: new Uint8Array(16) },
    ],
    symbols: [
      { name: '$x', section: 1, value: 0 },
      { name: '$d', section: 2, value: 6 },
      { name: 'text', section: 1, value: 4 },
      { name: 'debug', section: 2, value: 5 },
    ],
  });
  const file = readElf('image', bytes);
  const index = new SymbolIndex(file, archOf(file.header));
  assert.deepEqual(
    index.between(0, 16).map((i) => index.table?.name(i)),
    ['$x', 'text'],
  );
  assert.equal(index.nearest(8)?.name, 'text');
  assert.deepEqual([index.addressOf('text'), index.addressOf('debug')], [4, undefined]);
});
