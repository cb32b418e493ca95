// What small files may ask for whose headers claim much: refused, or done in work that follows from their size.
import assert from 'node:assert/strict';
import test from 'node:test';
import { annotate } from '../src/annotate/passes.ts';
import { blankCodeMap } from '../src/arch/code-map.ts';
import { startsInstruction } from '../src/arch/x86-64/sweep.ts';
import { patchedFile } from '../src/boot/patched-file.ts';
import { ByteView } from '../src/bytes/view.ts';
import { ET_EXEC, PT_LOAD, SHT_GROUP, SHT_RELA } from '../src/elf/constants.ts';
import type { Segment } from '../src/elf/file.ts';
import { type OutputSection, writeElf } from '../src/elf/layout.ts';
import { readElf } from '../src/elf/read.ts';
import { Shdr } from '../src/elf/records.ts';
import { rewriteObject } from '../src/elf/rewrite.ts';
import { asTooLarge, TextpokeError } from '../src/errors.ts';
import { Image } from '../src/image/image.ts';
import { linkObjects } from '../src/link/link.ts';
import { makeObject, noChange, symtabAfter, words } from './elf/objects.ts';
import { workOf } from './work.ts';

const fails = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && message.test(error.describe());

/** Gives sections 2 to the last of `count` the place and size of section 1. */
function overlap(bytes: Uint8Array, count: number): Uint8Array {
  const view = new ByteView(bytes, true);
  const shoff = Number(view.u64(40));
  const { size, offsets } = Shdr[64];
  for (let i = 2; i <= count; i++) {
    for (const field of [offsets.offset, offsets.size])
      view.setU64(shoff + i * size + field, view.u64(shoff + size + field));
  }
  return bytes;
}

test('sections that are read again and again from the same bytes are found by the second of them', () => {
  const count = 3000;
  const text = { name: '.text', flags: 6, data: new Uint8Array(16).fill(0x90) };
  const tables = {
    relocations: {
      type: SHT_RELA,
      link: symtabAfter(count),
      info: count,
      entsize: 24,
      data: new Uint8Array(24 * 5000),
    },
    groups: {
      type: SHT_GROUP,
      link: symtabAfter(count),
      info: 1,
      entsize: 4,
      data: words(true, ...Array<number>(5000).fill(count)),
    },
  };
  for (const [what, table] of Object.entries(tables)) {
    const first = { name: `.${what}`, ...table };
    const more = Array.from({ length: count - 2 }, () => ({ ...first, data: new Uint8Array(0) }));
    const made = makeObject({
      sections: [first, ...more, text],
      symbols: [{ name: 'f', section: count, info: 0x12 }],
    });
    const bytes = overlap(made, count - 1);
    const work = workOf(() =>
      assert.throws(
        () => (what === 'groups' ? rewriteObject(readElf('x.o', bytes), noChange) : annotate('x.o', bytes)),
        fails('elf-malformed', /section \d+ \(\..*\) overlaps section \d+/),
      ),
    );
    assert.ok(work < 20 * bytes.length, `${work} for ${bytes.length} bytes of ${what}`);
  }
});

const page = 0x1000;

function segment(fields: Partial<Segment>): Segment {
  return {
    type: PT_LOAD,
    flags: 5,
    offset: 0,
    vaddr: 0,
    paddr: 0,
    filesz: 0,
    memsz: 0,
    align: page,
    ...fields,
  };
}

/** An image without sections, of segments that have `data` behind the headers. */
function imageWith(segments: readonly Segment[], data: Uint8Array = new Uint8Array(page)): Uint8Array {
  const ident = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0, 0, 1);
  const header = {
    class: 64,
    little: true,
    ident,
    type: ET_EXEC,
    machine: 62,
    flags: 0,
    entry: 0,
    shstrndx: 0,
  } as const;
  const null0 = { nameOffset: 0, type: 0, flags: 0, addr: 0, link: 0, info: 0, addralign: 0, entsize: 0 };
  const sections: OutputSection[] = [
    { ...null0, data: new Uint8Array(0), size: 0 },
    { ...null0, type: 1, addralign: 1, data, size: data.length },
  ];
  return writeElf(header, sections, undefined, segments);
}

const open = (segments: readonly Segment[], data?: Uint8Array) =>
  new Image(readElf('image', imageWith(segments, data)));

test('an address is found among any number of segments by search', () => {
  const work = (count: number) => {
    const image = open(Array.from({ length: count }, (_, i) => segment({ vaddr: i * page, memsz: page })));
    return workOf(() => {
      for (let i = 0; i < count; i++) assert.equal(image.contains(((i * 7919) % count) * page + 1), true);
    });
  };
  const [small, large] = [work(500), work(5000)];
  assert.ok(large < 15 * small, `${large} after ${small}`);
});

test('of segments that overlap, as overlays do, the first has the addresses that both claim', () => {
  const image = open([
    segment({ vaddr: 0x3000, memsz: 0x1000 }),
    segment({ vaddr: 0x1000, memsz: 0x100, flags: 4 }),
    segment({ vaddr: 0x1000, memsz: 0x40, flags: 5 }),
    segment({ vaddr: 0x1080, memsz: 0x100, flags: 6 }),
  ]);
  const flagsAt = (address: number) => image.segmentAt(address)?.flags;
  assert.deepEqual([0xfff, 0x1000, 0x10ff, 0x1100, 0x117f, 0x1180, 0x3fff].map(flagsAt), [
    undefined,
    4,
    4,
    6,
    6,
    undefined,
    5,
  ]);
});

test('segments that no number can place, or that have the file many times over, are malformed', () => {
  const most = segment({ vaddr: Number.MAX_SAFE_INTEGER - 10, memsz: 10 });
  assert.equal(open([most]).contains(most.vaddr), true);
  for (const memsz of [11, 2 ** 52]) {
    assert.throws(() => open([{ ...most, memsz }]), fails('elf-malformed', /outside the address space/));
  }
  const same = Array.from({ length: 3 }, (_, i) =>
    segment({ vaddr: i * 2 * page, filesz: page, memsz: page }),
  );
  assert.throws(() => open(same, new Uint8Array(10)), fails('elf-truncated', /needs bytes/));
  const copies = (count: number) =>
    Array.from({ length: count }, (_, i) => segment({ vaddr: i * 2 * page, filesz: page, memsz: page }));
  assert.doesNotThrow(() => open(copies(2)));
  assert.throws(() => open(copies(3)), fails('elf-malformed', /have 12288 bytes of a file of \d+/));
});

test('zeros of a .bss that a header claims are not made by the terabyte', () => {
  const image = open([segment({ memsz: 2 ** 45 })]);
  assert.equal(image.read(2 ** 44, 1 << 20).length, 1 << 20);
  assert.throws(
    () => image.read(2 ** 44, 2 ** 40),
    fails('elf-malformed', /most of which the file does not have/),
  );
});

test('in code without symbols that repeats itself, any number of places is looked up in one walk', () => {
  const count = 20_000;
  const calls = new Uint8Array(5 * count).fill(0);
  for (let i = 0; i < count; i++) calls[5 * i] = 0xe8;
  const work = workOf(() => {
    for (let i = 0; i < count; i++) {
      const at = 5 * ((i * 7919) % count);
      assert.equal(startsInstruction(calls, blankCodeMap, at), true);
      assert.equal(startsInstruction(calls, blankCodeMap, at + 3), false);
    }
  });
  assert.ok(work < 40_000 * count, `${work} for ${count} places`);
});

test('a segment grows by the pages of segments alone, and not without end', () => {
  const grow = (bss: number, behind: Partial<Segment>) => {
    const first = segment({ offset: 0, vaddr: 0x400000, filesz: page, memsz: bss + page, flags: 6 });
    const image = open(
      [first, segment({ offset: page, vaddr: 2 ** 46, filesz: 16, memsz: 16, ...behind })],
      new Uint8Array(2 * page),
    );
    const address = first.vaddr + page + bss - 8;
    const record = {
      phase: '',
      symbol: '',
      before: new Uint8Array(8),
      reason: '',
      live: undefined,
      what: 'data',
    } as const;
    return patchedFile(image, [{ ...record, address, after: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }]);
  };
  const before = imageWith([segment({}), segment({})], new Uint8Array(2 * page)).length;
  const grown = grow(100, {});
  assert.equal(grown.size, before + page);
  assert.deepEqual([...grown.read(page + 92, 9)], [1, 2, 3, 4, 5, 6, 7, 8, 0]);
  const { segments } = readElf('grown', grown.read(0, grown.size));
  assert.deepEqual(
    segments.map(({ offset, filesz }) => [offset, filesz]),
    [
      [0, page + 100],
      [2 * page, 16],
    ],
  );
  // PT_GNU_STACK and the like are never moved: their alignment means nothing.
  assert.equal(grow(100, { type: 0x6474e551, align: 2 ** 41 }).size, before + 104);
  assert.throws(() => grow(100, { align: 2 ** 41 }), fails('store-refused', /grow by 2199023255552 bytes/));
  assert.throws(() => grow(2 ** 40, {}), fails('store-refused', /grow by/));
});

test('alignment may not make a gigabyte of a few bytes in a link', () => {
  const object = (addralign: number) =>
    readElf(
      'a.o',
      makeObject({
        sections: [
          { name: '.text', flags: 6, data: new Uint8Array(16).fill(0x90) },
          { name: '.data', flags: 3, data: new Uint8Array(8), addralign },
        ],
      }),
    );
  assert.doesNotThrow(() => linkObjects([object(2 << 20)]));
  assert.throws(() => linkObjects([object(1 << 30)]), fails('link-failed', /too large an alignment/));
});

test('what V8 refuses of its own is an error about the input, and any other error is not', () => {
  const thrownBy = (body: () => unknown): unknown => {
    try {
      body();
    } catch (error) {
      return error;
    }
    return assert.fail('nothing was thrown');
  };
  const deep = (n: number): number => deep(n + 1) + 1;
  for (const body of [
    () => deep(0),
    () => 'x'.repeat(2 ** 30),
    () => new Array(-1),
    () => new Uint8Array(2 ** 53 - 1),
  ]) {
    assert.equal(asTooLarge(thrownBy(body))?.code, 'too-large');
  }
  assert.equal(asTooLarge(thrownBy(() => (1).toFixed(200))), undefined);
  assert.equal(asTooLarge(new TypeError('Invalid array length')), undefined);
});
