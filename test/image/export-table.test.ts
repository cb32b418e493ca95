// The table of exported symbols of a kernel that names neither it nor data.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STT_FUNC } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { exportTable } from '../../src/image/export-table.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { makeObject } from '../elf/objects.ts';

/** Names in order, and where each lies in the code or behind it. */
const values: readonly (readonly [name: string, value: number])[] = [
  ...Array.from({ length: 12 }, (_, i) => [`a_key_${i}`, 0x4000 + 16 * i] as const),
  ['kfree', 0x40],
  ['kstrdup', 0x80],
  ['zlib_inflate', 0xc0],
];
/** `kfree` is the end of another name, as linkers merge strings. */
const strings = Buffer.from(
  `vkfree\0${values
    .map(([name]) => name)
    .filter((name) => name !== 'kfree')
    .join('\0')}\0`,
);

/** A kernel that names its functions alone; `kfree` lies where it is said to lie, or elsewhere. */
function kernel(at = 0x40): Image {
  const table = new Uint8Array(0x1000);
  const view = new DataView(table.buffer);
  const start = 0x200;
  const names = 0x800;
  table.set(strings, names);
  const code = 0x1000;
  values.forEach(([name, value], i) => {
    const entry = start + 12 * i;
    view.setInt32(entry, value - code - entry, true);
    view.setInt32(entry + 4, names + strings.indexOf(`${name}\0`) - (entry + 4), true);
  });
  const functions = values.filter(([, value]) => value < 0x1000);
  const object = makeObject({
    sections: [
      {
        ...{ name: '.text', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_EXECINSTR },
        data: Uint8Array.from([...new Uint8Array(0x1000).fill(0xc3), ...table]),
      },
    ],
    symbols: functions.map(([name, value]) => ({
      ...{ name, section: 1, info: 0x10 + STT_FUNC },
      value: name === 'kfree' ? at : value,
    })),
  });
  return new Image(readElf('vmlinux', linkObjects([readElf('vmlinux.o', object)]).bytes));
}

test('data that no symbol names are found where the kernel exports them', () => {
  const image = kernel();
  const table = exportTable(image);
  const text = image.code[0]?.address ?? 0;
  assert.equal(table.size, values.length);
  assert.equal(table.get('a_key_3'), text + 0x4030);
  assert.equal(table.get('kfree'), image.symbols.addressOf('kfree'));
});

test('a table whose entries are not where the symbols are is none', () => {
  assert.equal(exportTable(kernel(0x44)).size, 0);
});
