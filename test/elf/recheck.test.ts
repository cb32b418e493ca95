// The second reader: it agrees on every class and byte order, and it notices what our writer could get wrong.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ByteView } from '../../src/bytes/view.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { Ehdr, identSize, Shdr } from '../../src/elf/records.ts';
import { TextpokeError } from '../../src/errors.ts';
import { makeObject, words } from './objects.ts';

const make = (bits: 32 | 64, little: boolean) =>
  makeObject({
    class: bits,
    little,
    sections: [
      { name: '.text', flags: 6, data: words(little, 1, 2), addralign: 16 },
      { name: '.bss', type: 8, flags: 3, size: 0x12345, data: new Uint8Array(0), addralign: 64 },
      { name: '.odd', type: 0x6fff4c03, flags: 0x80000000, link: 4, data: Uint8Array.of(1) },
      {
        name: '.high',
        flags: 0x200407,
        addr: bits === 64 ? -0x7eff_fffb : 0x80001000,
        data: words(little, 3),
      },
    ],
    symbols: [{ name: 'a', section: 1, info: 2 }],
  });

for (const bits of [32, 64] as const) {
  for (const little of [true, false]) {
    const order = `${bits} bits, ${little ? 'little' : 'big'}-endian`;

    test(`both readers agree on section types, flags and addresses of every kind (${order})`, () => {
      const bytes = make(bits, little);
      const file = recheck('a.o', bytes);
      assert.equal(file.named('.high')?.addr, bits === 64 ? -0x7efffffb : 0x80001000);
      assert.equal(file.named('.odd')?.flags, 0x80000000);
      // A view into a larger buffer is no trouble.
      const larger = new Uint8Array(bytes.length + 20);
      larger.set(bytes, 13);
      recheck('a.o', larger.subarray(13, 13 + bytes.length));
    });

    test(`bytes that one reader sees otherwise than the other are noticed (${order})`, () => {
      const bytes = make(bits, little);
      const view = new ByteView(bytes, little);
      const shoff = Number(bits === 64 ? view.u64(identSize + Ehdr[64].offsets.shoff) : view.u32(32));
      // A count that only section 0 has: our reader follows it, elfy reads e_shnum.
      const shnum = identSize + Ehdr[bits].offsets.shnum;
      const count = view.u16(shnum);
      view.setU16(shnum, 0);
      const sizeAt = shoff + Shdr[bits].offsets.size;
      if (bits === 64) view.setU64(sizeAt, BigInt(count));
      else view.setU32(sizeAt, count);
      assert.throws(
        () => recheck('a.o', bytes),
        (e: unknown) =>
          e instanceof TextpokeError && e.code === 'defect' && /elfy|section count/.test(e.message),
      );
    });

    test(`a section header with a damaged byte is refused, or reads the same twice (${order})`, () => {
      const good = make(bits, little);
      const view = new ByteView(good, little);
      const shoff = Number(bits === 64 ? view.u64(identSize + Ehdr[64].offsets.shoff) : view.u32(32));
      for (let at = shoff; at < good.length; at++) {
        const bytes = good.slice();
        bytes[at] = (bytes[at] as number) ^ 0x80;
        try {
          recheck('a.o', bytes);
        } catch (error) {
          assert.ok(error instanceof TextpokeError, `byte ${at}: ${error}`);
        }
      }
    });
  }
}

test('files without sections and without section names have no second reading', () => {
  const bytes = make(64, true);
  const view = new ByteView(bytes, true);
  view.setU16(62, 0);
  assert.equal(recheck('a.o', bytes).sections[1]?.name, '');
  view.setU64(40, 0n);
  assert.equal(recheck('a.o', bytes).sections.length, 0);
});

test('beside the file that it was made of, a result is read where it changed, and names that moved spare nothing', () => {
  const good = make(64, true);
  const file = recheck('a.o', good);
  const before = { file, inFront: 0 };
  assert.equal(recheck('a.o', good, before).sections.length, file.sections.length);
  const refused = (change: (bytes: Uint8Array, view: ByteView) => void) => {
    const bytes = good.slice();
    change(bytes, new ByteView(bytes, true));
    assert.throws(() => recheck('a.o', bytes, before), TextpokeError);
  };
  const last = file.sections.length - 1;
  const header = (index: number) => file.header.shoff + index * Shdr[64].size;
  // Our reader follows the count in section 0, elfy reads e_shnum.
  refused((_, view) => {
    view.setU16(identSize + Ehdr[64].offsets.shnum, 0);
    view.setU64(header(0) + Shdr[64].offsets.size, BigInt(file.sections.length));
  });
  refused((_, view) => view.setU32(header(last) + Shdr[64].offsets.type, 1));
});
