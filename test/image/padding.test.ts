// A kernel's table of locks, which its linker script fills with zeros up to the end of a page.
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot } from '../../src/boot/passes.ts';
import { patchableStates } from '../../src/boot/states.ts';
import { sitesByFunction } from '../../src/diff/sites.ts';
import { dumpFile } from '../../src/dump/passes.ts';
import { SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STB_GLOBAL } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { checkImage } from '../../src/verify/passes.ts';
import { makeObject } from '../elf/objects.ts';

const page = 4096;
const lock = [0xf0, 0xff, 0x00, 0xc3]; // lock incl (%rax); ret

/** An image of `locks` locks and a table of `size` bytes, of whose entries those in `zeroed` are zeros. */
function imageOf(locks: number, size: number, zeroed: readonly number[] = []): Image {
  const text = Uint8Array.from(Array.from({ length: locks }, () => lock).flat());
  const object = makeObject({
    sections: [
      { name: '.text', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_EXECINSTR, addralign: 16, data: text },
      {
        name: '.smp_locks',
        type: SHT_PROGBITS,
        flags: SHF_ALLOC,
        addralign: page,
        data: new Uint8Array(size),
      },
    ],
    symbols: [{ name: 'f', section: 1, size: text.length, info: (STB_GLOBAL << 4) | 2 }],
  });
  const image = new Image(readElf('image', linkObjects([readElf('a.o', object)]).bytes));
  const start = image.symbols.addressOf('__smp_locks') ?? assert.fail('no table');
  const f = image.symbols.addressOf('f') ?? assert.fail('no function');
  for (let i = 0; i < locks; i++) {
    const field = new Uint8Array(4);
    new DataView(field.buffer).setInt32(0, zeroed.includes(i) ? 0 : f + 4 * i - (start + 4 * i), true);
    image.write(start + 4 * i, field);
  }
  return image;
}

/** How many locks every command counts; dump: entries, and those of discarded code. */
async function counts(image: Image): Promise<{ dumped: [number, number]; counted: number[] }> {
  for await (const file of dumpFile('image', image.file)) {
    const entries = [...(file.tables.smpLocks?.entries ?? [])];
    const discarded = entries.filter((entry) => 'discarded' in entry).length;
    const runtime = replayBoot(image, { cpus: 2, upFill: 'ds', steps: [] });
    return {
      dumped: [entries.length - discarded, discarded],
      counted: [
        checkImage(image, { cpus: 2 }).counts.locks ?? 0,
        patchableStates(runtime, new Map()).length,
        [...sitesByFunction(file).values()].flat().length,
      ],
    };
  }
  return assert.fail('no file');
}

for (const [what, locks, size, zeroed, live, discarded] of [
  ['zeros up to the end of a page are no entries', 5, page, [], 5, 0],
  ['a table that fills its page has no padding', page / 4, page, [], page / 4, 0],
  ['the padding is in the last page alone', page / 4 + 1, 2 * page, [], page / 4 + 1, 0],
  ['a whole page of zeros is no padding', page / 4, 2 * page, [], page / 4, page / 4],
  ['zeros among entries are what a linker discarded', 5, page, [1, 3], 3, 2],
  ['a table that ends in no page has no padding', 5, 20, [4], 4, 1],
] as const) {
  test(`${what}, to dump, boot, verify, states and diff alike`, async () => {
    const found = await counts(imageOf(locks, size, zeroed));
    assert.deepEqual(found, { dumped: [live, discarded], counted: [live, live, live] });
  });
}
