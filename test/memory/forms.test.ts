// verify --memory over the forms of dumps that say where physical memory lies, and over those that do not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { TextpokeError } from '../../src/errors.ts';
import { type ByteSource, memorySource } from '../../src/files/source.ts';
import { kernelBannerAt } from '../../src/image/kernel.ts';
import { encodeImageEntry } from '../../src/image/tables.ts';
import { branchFields, jumpTable, readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { bytesAt, type ImagePlace } from '../../src/memory/memory.ts';
import { readSnapshot } from '../../src/memory/open.ts';
import type { RawLayout } from '../../src/memory/raw.ts';
import { kernelFileOf, openRunning } from '../../src/memory/running.ts';
import { verifyMemory } from '../../src/verify/memory.ts';
import { imageOf } from '../samples.ts';
import {
  core,
  kdump,
  kernelBytes,
  type Page,
  pageSize,
  physicalOffset,
  run,
  vmcoreinfoNote,
} from './dumps.ts';
import { avml, byLzo, bySnappy, lime, pageOf, withTables } from './forms.ts';

const kernel = kernelBytes('gcc-O2');
const image = imageOf(kernel);
const banner = kernelBannerAt(image)!;
const slide = 0x600000;
const pages = run(kernel, slide);
const physical = physicalOffset - slide; // of what runs at an address
const told = (offset: number) =>
  `OSRELEASE=6.1.0\nPAGESIZE=4096\nNUMBER(phys_base)=${physicalOffset - offset - 2 ** 31}\nKERNELOFFSET=${offset.toString(16)}\n`;

function locate(dump: Uint8Array | ByteSource, raw?: RawLayout, given?: number, of = image): ImagePlace {
  const source = dump instanceof Uint8Array ? memorySource(dump) : dump;
  return locateImage(of, readSnapshot('dump', source, of, raw), given);
}

/** Everything is found, compared and right. */
function assertGood(dump: Uint8Array | ByteSource, format: RegExp, raw?: RawLayout): void {
  const place = locate(dump, raw);
  assert.match(place.memory.format, format);
  assert.equal(place.slide, slide);
  const { findings, tables } = verifyMemory(image, place, undefined);
  assert.deepEqual(findings, []);
  for (const { compared, missing, name } of tables)
    assert.ok(compared > 0 && missing === 0, `${name}: ${compared} compared, ${missing} missing`);
}

const isError = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && words.test(error.message);

/** A page of text in the memory of the machine. */
const textPage = (at: number, text: string) => pageOf(at, at - physical, text);

test('LiME: ranges of physical memory are read where their headers say', () => {
  assertGood(lime(pages), /^a dump of LiME$/);
  // The last of two that overlap counts, as if they were written one after the other.
  const wrong = pages.map((page) => ({ ...page, bytes: new Uint8Array(pageSize).fill(0xcc) }));
  assertGood(lime([...wrong, ...pages]), /^a dump of LiME$/);
});

test('AVML: frames of snappy are read, beside plain ranges', () => {
  assertGood(avml(pages), /^a dump of AVML, with snappy frames$/);
  assertGood(Buffer.concat([lime(pages.slice(0, 1)), avml(pages.slice(1))]), /^a dump of AVML/);
});

test('AVML: a damaged frame is missing, whatever it says', () => {
  const whole = avml(pages);
  for (const [what, at] of [
    ['checksum', 32 + 10 + 4],
    ['content', 32 + 10 + 200],
  ] as const) {
    const bad = whole.slice();
    bad[at] = ~(bad[at] as number);
    const bytes = new Uint8Array(8);
    const [memory] = readSnapshot('dump', memorySource(bad), image, undefined).memories;
    const [first] = pages as [Page];
    assert.equal(memory?.read(first.physical, bytes), false, what);
    assert.equal(memory?.read(first.physical + pageSize / 2, bytes), true, 'the next frame is sound');
  }
});

for (const [what, dump, words] of [
  [
    'a header of another kind',
    Buffer.concat([lime(pages.slice(0, 1)), Buffer.alloc(32, 'x')]),
    /a header of LiME or AVML/,
  ],
  [
    'a range that ends before it begins',
    lime([{ ...(pages[0] as Page), bytes: new Uint8Array(0) }]),
    /a range from/,
  ],
  ['a range past all memory', lime([{ ...(pages[0] as Page), physical: 2 ** 52 }]), /below 2\^52/],
  ['a frame that must not be skipped', edited(avml(pages), 32, 0x02), /a snappy frame of type 2/],
  ['a frame of nothing', edited(avml(pages), 32 + 10 + 8, 0), /a snappy frame of \d+ bytes with 0 in it/],
  // 2048 bytes are written as 80 90 00.
  ['frames of less than their range', edited(avml(pages), 32 + 10 + 9, 0x8f), /a snappy frame of type/],
  [
    'frames of more than their range',
    edited(avml(pages), 32 + 10 + 9, 0xff),
    /have more than its 4096 bytes/,
  ],
  ['another size behind its frames', edited(avml(pages.slice(0, 1)), -8, 1), /stands behind them/],
] as const) {
  test(`a dump of LiME or AVML with ${what} is refused`, () => {
    assert.throws(() => locate(new Uint8Array(dump)), isError('memory-malformed', words));
  });
}

function edited(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at] = value;
  return copy;
}

test('a dump of LiME or AVML that is cut off has what stands in front of the cut', () => {
  for (const whole of [lime(pages), avml(pages)]) {
    for (const cut of [whole.length - 1, whole.length - 3000, whole.length - pageSize - 40]) {
      const { findings, tables } = verifyMemory(image, locate(whole.subarray(0, cut)), undefined);
      assert.deepEqual(
        findings.filter(({ rule }) => rule !== 'TP029'),
        [],
      );
      assert.notEqual(tables.length, 0);
    }
  }
});

for (const [what, pack] of [
  ['lzo', byLzo],
  ['snappy', bySnappy],
] as const) {
  test(`a kdump whose pages are compressed with ${what}`, () => {
    assertGood(kdump(pages, { vmcoreinfo: told(slide), pack }), /^a kdump-compressed dump$/);
    const damaged = kdump(pages, {
      vmcoreinfo: told(slide),
      pack: (bytes) => ({ ...pack(bytes), bytes: new Uint8Array(9) }),
    });
    assert.throws(() => locate(damaged), isError('memory-mismatch', /does not contain the kernel/));
  });
}

test('VMCOREINFO is found in the memory of a guest without the note; other texts of its kind are not believed', () => {
  const at = physicalOffset + 0x700000;
  // Of somebody who would have it moved, of a kernel before a kexec, of another release, of a file that is no kernel's.
  const others = [
    textPage(at - 0x4000, told(slide + 0x200000)),
    textPage(at - 0x3000, told(slide + 0x200000).replace(/phys_base\)=-?\d+/, 'phys_base)=0')),
    textPage(at - 0x2000, told(slide).replace('6.1.0', '6.1.1')),
    textPage(at - 0x1000, 'OSRELEASE=6.1.0\nPAGESIZE=4096\n'),
  ];
  const place = locate(core([...pages, ...others, textPage(at, told(slide))], { addresses: ['physical'] }));
  assert.equal(place.slideFrom, 'VMCOREINFO in the memory');
  assert.equal(place.slide, slide);
  const without = locate(core([...pages, ...others], { addresses: ['physical'] }));
  assert.match(without.slideFrom, /functions of static calls/);
  const virtual = locate(core([...pages, ...others, textPage(at, told(slide))], { addresses: ['virtual'] }));
  assert.equal(virtual.slideFrom, 'VMCOREINFO in the memory');
});

const heaps = { 4: -0x7777_0000_0000, 5: -0xee_1234_5678_9000 } as const;
for (const levels of [4, 5] as const) {
  test(`the kernel's own memory is read through page tables of ${levels} levels, which the tables tell by themselves`, () => {
    const { memory, root } = withTables(pages, levels, heaps[levels]);
    // Where the tables run: as VMCOREINFO says it of a kernel without symbols.
    const note = `${told(slide)}SYMBOL(swapper_pg_dir)=${root.toString(16)}\n`;
    for (const dump of [
      core(memory, { addresses: ['physical'], notes: [vmcoreinfoNote(note)] }),
      core(memory, { addresses: ['physical', 'virtual'], notes: [vmcoreinfoNote(note)] }),
      kdump(memory, { vmcoreinfo: note, pack: bySnappy }),
    ]) {
      const { kernelMemory, kernelMemoryFrom } = locate(dump);
      assert.match(
        kernelMemoryFrom,
        levels === 4 ? /x86-64 with four levels, from swapper/ : /with five levels/,
      );
      const heap = kernelMemory && bytesAt(kernelMemory, heaps[levels], 8);
      assert.equal(Buffer.from(heap ?? []).toString(), 'a module');
      assert.deepEqual(
        kernelMemory && bytesAt(kernelMemory, banner.address + slide, 13),
        Uint8Array.from(banner.bytes.subarray(0, 13)),
      );
    }
  });
}

test('why there is no memory of the kernel is said; virtual addresses are taken where page tables are not', () => {
  const alone = locate(core(pages, { addresses: ['physical'] }));
  assert.equal(alone.kernelMemory, undefined);
  assert.match(alone.kernelMemoryFrom, /^no symbol says where the page tables lie/);
  const note = `${told(slide)}SYMBOL(swapper_pg_dir)=${(slide + 0x700000).toString(16)}\n`;
  const damaged = locate(core(pages, { addresses: ['physical'], notes: [vmcoreinfoNote(note)] }));
  assert.equal(damaged.kernelMemory, undefined);
  assert.match(
    damaged.kernelMemoryFrom,
    /^through the page tables at swapper_pg_dir of VMCOREINFO the kernel is not where/,
  );
  const both = locate(core(pages, { addresses: ['physical', 'virtual'] }));
  assert.equal(both.kernelMemory?.addresses, 'virtual');
  assert.equal(both.kernelMemoryFrom, 'the virtual addresses of the dump');
});

/** A file of zeros in which pages stand, as large as a machine. */
function sparse(size: number, placed: readonly (readonly [offset: number, bytes: Uint8Array])[]): ByteSource {
  return {
    size,
    read(offset, length) {
      const bytes = new Uint8Array(length);
      for (const [at, content] of placed) {
        const from = Math.max(at, offset);
        const to = Math.min(at + content.length, offset + length);
        if (from < to) bytes.set(content.subarray(from - at, to - at), from - offset);
      }
      return bytes;
    },
    close() {},
  };
}

test('a raw image of physical memory, from 0 on or in parts', () => {
  const size = Math.max(...pages.map((page) => page.physical)) + pageSize;
  const bytes = new Uint8Array(size);
  for (const page of pages) bytes.set(page.bytes, page.physical);
  assertGood(bytes, /^a raw image of physical memory \(0x0 at byte 0x0\)$/, {
    physical: [{ address: 0, offset: 0 }],
  });
  // What lies in front of the kernel is left out.
  const first = Math.min(...pages.map((page) => page.physical));
  assertGood(bytes.slice(first - pageSize), /\(0x13ff000 at byte 0x0, 0x1400000 at byte 0x1000\)/, {
    physical: [
      { address: first - pageSize, offset: 0 },
      { address: first, offset: pageSize },
    ],
  });
});

test('the hole below 4 GiB is found where the file leaves it out, by what the kernel knows of its memory', () => {
  const gib = 2 ** 30;
  const words = { max_pfn: (6 * gib) / pageSize, max_low_pfn: (3 * gib - 2 ** 20) / pageSize };
  const sized = kernelBytes('gcc-O2', undefined, undefined, words);
  const of = imageOf(sized);
  const own = run(sized, slide).map(({ physical: at, bytes }) => [at, bytes] as const);
  const far = Uint8Array.of(1, 2, 3);
  const raw = { physical: [{ address: 0, offset: 0 }] };
  for (const [size, at, format] of [
    [
      5 * gib,
      3 * gib,
      /0x0 at byte 0x0, 0x100000000 at byte 0xc0000000, as max_pfn of the kernel in it says/,
    ],
    [6 * gib, 4 * gib, /physical memory \(0x0 at byte 0x0\)/],
    [5.5 * gib, undefined, /physical memory \(0x0 at byte 0x0\)/],
  ] as const) {
    const { memory } = locate(sparse(size, [...own, [at ?? 0, far]]), raw, slide, of);
    assert.match(memory.format, format);
    if (at !== undefined) assert.deepEqual(bytesAt(memory, 2 ** 32, 3), far);
  }
});

test('parts of a raw image that are out of order, or of a file that is none, are refused', () => {
  const raw = (...physical: { address: number; offset: number }[]) => ({ physical });
  for (const parts of [
    raw({ address: 0, offset: 1 }),
    raw({ address: 0, offset: 0 }, { address: 2 ** 32, offset: 2 ** 40 }),
    raw({ address: 0, offset: 0 }, { address: 2 ** 32, offset: 0 }),
    raw({ address: -1, offset: 0 }),
  ])
    assert.throws(() => locate(new Uint8Array(8192), parts), isError('usage', /in order of the file/));
  for (const dump of [lime(pages), kdump(pages), core(pages, { addresses: ['virtual'] })])
    assert.throws(
      () => locate(dump, raw({ address: 0, offset: 0 })),
      isError('usage', /--physical is for raw images/),
    );
});

test('the memory of the running machine is read by its virtual addresses, and not searched', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'textpoke-kcore-'));
  try {
    const path = join(scratch, 'kcore');
    writeFileSync(
      path,
      core(pages, { addresses: ['virtual', 'physical'], notes: [vmcoreinfoNote(told(slide))] }),
    );
    const memory = openRunning(image, path);
    const place = locateImage(image, memory, undefined);
    assert.equal(place.memory.format, 'the memory of the running machine');
    assert.equal(place.kernelMemory, place.memory);
    assert.deepEqual(verifyMemory(image, place, undefined).findings, []);
    // What cannot be read is missing: here the file ends in front of it.
    assert.equal(place.memory.read(-0x1000, new Uint8Array(8)), false);
    memory.close();
    writeFileSync(path, core(pages, { addresses: ['virtual'] }));
    const untold = openRunning(image, path);
    assert.throws(
      () => locateImage(image, untold, undefined),
      isError('memory-mismatch', /does not contain/),
    );
    untold.close();
    const reason = (at: string, words: RegExp) =>
      assert.throws(() => openRunning(image, at), isError('read-failed', words));
    reason(join(scratch, 'none'), /CONFIG_PROC_KCORE.*or verify a dump of its memory with --memory/);
    reason('/dev/null', /is not a regular file; containers hide it/);
    assert.throws(
      () => kernelFileOf('1.2.3-none'),
      isError('read-failed', /\/boot\/vmlinuz-1\.2\.3-none, .*give it: textpoke verify --running FILE/),
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test('a static branch that lost its entry is found in memory, as in the image', () => {
  const [first, second] = readBranchSites(image);
  const broken = kernel.slice();
  const bytes = encodeImageEntry(image, jumpTable, second!.entry.address, branchFields(first!));
  broken.set(bytes, image.fileOffset(second!.entry.address, bytes.length) as number);
  const of = imageOf(broken);
  const { findings } = verifyMemory(of, locate(lime(pages), undefined, undefined, of), undefined);
  assert.deepEqual(
    findings.map(({ rule, address }) => [rule, address]),
    [['TP032', second!.address]],
  );
});
