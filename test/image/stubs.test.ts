// Veneers: known by their names, read as what they are.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  EM_AARCH64,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_PROGBITS,
  STB_GLOBAL,
  STT_FUNC,
} from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { makeObject, words } from '../elf/objects.ts';

const ret = 0xd65f_03c0;
const nop = 0xd503_201f;
const leap = [0x5800_0050, 0xd61f_0200, 0, 0]; // ldr x16, .+8; br x16; .xword
const jumpOver = [0x1400_0006, nop]; // b .+24; nop
const layout = [
  ['f', [ret]],
  ['g', [ret]],
  ['__f_veneer', leap],
  ['like_a_veneer', leap],
  ['over', jumpOver],
  ['__far_f_veneer', leap],
  ['__loop_veneer', leap],
  ['last', [ret]],
] as const;

/** The layout's functions one behind the other, each stub leading to the function that `targets` names. */
function imageOf(targets: Readonly<Record<string, string>>): Image {
  let size = 0;
  const symbols = layout.map(([name, code]) => {
    const value = size;
    size += code.length * 4;
    return { name, section: 1, value, info: (STB_GLOBAL << 4) | STT_FUNC };
  });
  const data = words(true, ...layout.flatMap(([, code]) => code));
  const text = {
    name: '.text',
    type: SHT_PROGBITS,
    flags: SHF_ALLOC | SHF_EXECINSTR,
    addralign: 8,
    data,
  };
  const object = makeObject({ machine: EM_AARCH64, sections: [text], symbols });
  const image = new Image(readElf('image', linkObjects([readElf('stubs.o', object)]).bytes));
  for (const [stub, target] of Object.entries(targets))
    image.write(at(image, stub) + 8, words(true, at(image, target)));
  return image;
}

const at = (image: Image, name: string): number => image.symbols.addressOf(name) ?? assert.fail(name);
const address = (image: Image, name: string) => ({ kind: 'address', address: at(image, name) });

const targets = { __f_veneer: 'f', like_a_veneer: 'f', __far_f_veneer: 'f', __loop_veneer: '__f_veneer' };

test('calls are followed through veneers, and through no function that looks like one', () => {
  const image = imageOf(targets);
  for (const name of ['f', '__f_veneer', '__loop_veneer'])
    assert.deepEqual(image.stubs.callee(at(image, name)), address(image, 'f'));
  assert.deepEqual(image.stubs.callee(at(image, 'like_a_veneer')), address(image, 'like_a_veneer'));
  assert.equal(image.stubs.isVeneer(at(image, 'like_a_veneer')), false);
});

test('a veneer that leads to itself ends the search', () => {
  const image = imageOf({ ...targets, __loop_veneer: '__loop_veneer' });
  assert.deepEqual(image.stubs.callee(at(image, '__loop_veneer')), address(image, '__loop_veneer'));
});

test('veneers to a function come with the nearest first, those through other veneers included', () => {
  const image = imageOf(targets);
  const named = (...names: string[]) => names.map((name) => at(image, name));
  const { stubs } = image;
  assert.deepEqual(
    stubs.veneersTo(at(image, 'f'), at(image, 'f')),
    named('__f_veneer', '__far_f_veneer', '__loop_veneer'),
  );
  assert.deepEqual(
    stubs.veneersTo(at(image, 'f'), at(image, 'last')),
    named('__loop_veneer', '__far_f_veneer', '__f_veneer'),
  );
  assert.deepEqual(stubs.veneersTo(at(image, 'g'), at(image, 'g')), []);
});

test('a place in a veneer belongs to it, the next function does not', () => {
  const image = imageOf(targets);
  const veneer = at(image, '__f_veneer');
  const inside = [veneer, veneer + 12, at(image, 'like_a_veneer'), at(image, 'f')];
  assert.deepEqual(
    inside.map((place) => image.stubs.isInVeneer(place)),
    [true, true, false, false],
  );
});

test('the jump in front of veneers is told from others', () => {
  const image = imageOf(targets);
  assert.equal(image.stubs.jumpsOverStubs(at(image, 'over')), true);
  assert.equal(image.stubs.jumpsOverStubs(at(image, 'f')), false);
});
