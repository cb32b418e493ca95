// Images of many entries at whose sites something is wrong, for tests of what a report of all of them costs.
import { SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_PROGBITS, STB_GLOBAL } from '../src/elf/constants.ts';
import { readElf } from '../src/elf/read.ts';
import { Image } from '../src/image/image.ts';
import { linkObjects } from '../src/link/link.ts';
import { makeObject } from './elf/objects.ts';

const wrong = Uint8Array.of(0xb8, 1, 2, 3, 4); // mov $0x4030201,%eax, where a branch must be a NOP
const entrySize = 16;

/** An x86-64 image of so many static branches, each of which holds another instruction. */
export function wrongBranches(count: number): Uint8Array {
  return branchesOf(count, wrong, { code: 'f', key: 'key' });
}

/** The same with other bytes at each site, and with names of one's own. */
export function branchesOf(
  count: number,
  site: Uint8Array,
  names: { readonly code: string; readonly key: string },
): Uint8Array {
  const text = new Uint8Array(count * site.length + 1).fill(0xc3);
  for (let i = 0; i < count; i++) text.set(site, i * site.length);
  const progbits = { type: SHT_PROGBITS, addralign: 16 };
  const object = makeObject({
    sections: [
      { ...progbits, name: '.text', flags: SHF_ALLOC | SHF_EXECINSTR, data: text },
      {
        ...progbits,
        name: '__jump_table',
        flags: SHF_ALLOC | SHF_WRITE,
        data: new Uint8Array(count * entrySize),
      },
      { ...progbits, name: '.data', flags: SHF_ALLOC | SHF_WRITE, data: new Uint8Array(16) },
    ],
    symbols: [
      { name: names.code, section: 1, size: text.length, info: (STB_GLOBAL << 4) | 2 },
      { name: names.key, section: 3, size: 16, info: (STB_GLOBAL << 4) | 1 },
    ],
  });
  const { bytes } = linkObjects([readElf('a.o', object)]);
  const image = new Image(readElf('image', bytes));
  const at = (name: string) => image.symbols.addressOf(name) as number;
  const [code, key, table] = [at(names.code), at(names.key), at('__start___jump_table')];
  const from = image.fileOffset(table, count * entrySize) as number;
  const view = new DataView(bytes.buffer, bytes.byteOffset + from);
  for (let i = 0; i < count; i++) {
    const entry = i * entrySize;
    const address = code + i * site.length;
    view.setInt32(entry, address - (table + entry), true);
    view.setInt32(entry + 4, address + site.length - (table + entry + 4), true);
    view.setBigInt64(entry + 8, BigInt(key - (table + entry + 8)), true);
  }
  return bytes;
}
