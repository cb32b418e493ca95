// Memory of an image by address: what the file has, what it has not, and modules beside it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { makeObject } from '../elf/objects.ts';
import { imageOf, linkedBytes, programUnits, sampleBytes } from '../samples.ts';

const global = 1 << 4;
const nops = new Uint8Array(32).fill(0x90);

/** Code at `text`, 8 bytes of data at `data` and 16 of .bss right behind them at `bss`. */
function small(base = 0x400000): Image {
  const object = makeObject({
    sections: [
      { name: '.text', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_EXECINSTR, data: nops },
      {
        name: '.data',
        type: SHT_PROGBITS,
        flags: SHF_ALLOC | SHF_WRITE,
        data: Uint8Array.of(1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff),
      },
      { name: '.bss', type: SHT_NOBITS, flags: SHF_ALLOC | SHF_WRITE, size: 16 },
    ],
    symbols: ['text', 'data', 'bss'].map((name, i) => ({ name, section: i + 1, info: global })),
  });
  return new Image(readElf('small', linkObjects([readElf('small.o', object)], { base }).bytes));
}

const addressOf = (image: Image, name: string): number =>
  image.symbols.addressOf(name) ?? assert.fail(`no ${name}`);

const fails = (code: string) => (error: unknown) => error instanceof TextpokeError && error.code === code;

test('memory without bytes in the file reads as zeros and keeps what is written', () => {
  const image = small();
  const bss = addressOf(image, 'bss');
  const data = addressOf(image, 'data');
  assert.equal(image.fileOffset(bss, 1), undefined);
  assert.deepEqual(
    [image.isStored(data, 8), image.isStored(bss, 1), image.isStored(data, 9)],
    [true, false, false],
  );
  assert.deepEqual([...image.read(bss, 16)], new Array(16).fill(0));
  image.write(bss + 1, Uint8Array.of(7, 8));
  assert.deepEqual([...image.read(bss, 4)], [0, 7, 8, 0]);
  assert.deepEqual([...image.read(bss - 1, 4)], [0xff, 0, 7, 8]);
});

test('writes to bytes of the file change what every reader sees', () => {
  const image = small();
  const data = addressOf(image, 'data');
  const before = image.read(data, 4);
  image.write(data + 3, Uint8Array.of(9));
  assert.deepEqual([...before], [1, 2, 3, 9]);
  assert.deepEqual([image.readS32(data + 4), image.readWord(data)], [-1, 0x0903_0201 - 2 ** 32]);
});

test('reads end where the segment does, or fail', () => {
  const image = small();
  const bss = addressOf(image, 'bss');
  assert.equal(image.readUpTo(bss + 12, 100).length, 4);
  assert.equal(image.readUpTo(0, 100).length, 0);
  assert.deepEqual([image.contains(bss + 15), image.contains(bss + 15, 2)], [true, false]);
  assert.throws(() => image.read(bss + 12, 5), fails('elf-malformed'));
  assert.throws(() => image.write(0, Uint8Array.of(1)), fails('elf-malformed'));
});

test('a module answers for its addresses as long as it is mapped', () => {
  const image = small();
  const module = small(0x500000);
  const place = addressOf(module, 'data');
  const guest = { name: 'small', image: module };
  const end = image.end;
  assert.equal(image.contains(place), false);
  image.map(guest);
  assert.deepEqual(image.guests, [guest]);
  assert.equal(image.end, module.end);
  assert.deepEqual([...image.readUpTo(place, 4)], [1, 2, 3, 4]);
  image.write(place, Uint8Array.of(5));
  assert.equal(module.read(place, 1)[0], 5);
  assert.deepEqual([image.isStored(place, 1), image.fileOffset(place, 1)], [true, undefined]);
  assert.deepEqual([image.describe(place + 1), image.sectionAt(place)?.name], ['data+0x1', '.data']);
  assert.equal(image.codeAt(addressOf(module, 'text'))?.name, '.text');
  image.unmap(guest);
  assert.deepEqual([image.contains(place), image.end], [false, end]);
  assert.throws(() => image.read(place, 1), fails('elf-malformed'));
});

test('addresses of 32 bits wrap round, those of 64 bits do not', () => {
  const narrow = imageOf(linkedBytes('arm-gcc-O2', programUnits));
  assert.deepEqual([narrow.addressAt(0xffff_fff0, 0x20), narrow.distance(0xffff_fff0, 0x10)], [0x10, 0x20]);
  const wide = small();
  assert.deepEqual([wide.addressAt(-0x10, 0x20), wide.distance(0x10, -0x10)], [0x10, -0x20]);
});

test('an object is no image', () => {
  assert.throws(() => imageOf(sampleBytes('gcc-O2', 'main')), fails('not-an-image'));
});
