// How the loader of arm64 kernels links a module: entries of .plt for what branches do not reach, and code round the erratum
// 843419 (arch/arm64/kernel/module-plts.c).
import assert from 'node:assert/strict';
import test from 'node:test';
import { EM_AARCH64, SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, SHT_RELA } from '../../src/elf/constants.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { arm64Loader, entryWords } from '../../src/link/aarch64-loader.ts';
import { linkLoaded } from '../../src/link/link.ts';
import { makeObject, symtabAfter } from '../elf/objects.ts';
import { wordsOf } from '../text/made-image.ts';

const [JUMP26, CALL26, HI21, LO12] = [282, 283, 275, 277] as const;
const [B, BL, ADRP, ADD, NOP] = [0x1400_0000, 0x9400_0000, 0x9000_0000, 0x9100_0000, 0xd503_201f] as const;
const base = -0x4000_0000;
const slide = 0x20_0000;
const plt = base + 0x8000;
/** Out of reach of a branch, and of an address that adr makes. */
const far = { away: -0x7000_0000, other: -0x7000_1230 };
const near = { here: base - 0x100_0000 };
const external: Record<string, number> = { ...far, ...near };
const names = ['away', 'other', 'here'] as const;

interface Field {
  readonly offset: number;
  readonly type: number;
  readonly symbol: (typeof names)[number];
  readonly addend?: number;
}

function moduleOf(code: readonly number[], fields: readonly Field[]): ElfFile {
  const data = new Uint8Array(24 * fields.length);
  const view = new DataView(data.buffer);
  for (const [i, { offset, type, symbol, addend = 0 }] of fields.entries()) {
    view.setBigUint64(24 * i, BigInt(offset), true);
    view.setBigUint64(24 * i + 8, (BigInt(names.indexOf(symbol) + 1) << 32n) | BigInt(type), true);
    view.setBigInt64(24 * i + 16, BigInt(addend), true);
  }
  const flags = SHF_ALLOC | SHF_EXECINSTR;
  return readElf(
    'made.ko',
    makeObject({
      machine: EM_AARCH64,
      sections: [
        { name: '.text', type: SHT_PROGBITS, flags, data: wordsOf(...code), addralign: 8 },
        { name: '.plt', type: SHT_PROGBITS, flags, data: new Uint8Array(1) },
        { name: '.rela.text', type: SHT_RELA, data, info: 1, link: symtabAfter(3), entsize: 24 },
      ],
      symbols: names.map((name) => ({ name, info: 0x10 })),
    }),
  );
}

function link(code: readonly number[], fields: readonly Field[], { hasErratum = false, at = base } = {}) {
  const file = moduleOf(code, fields);
  const loader = arm64Loader({ hasErratum, tracingEntries: 1 })(file);
  const size = loader.sizeOf(file.sections[2] as never) as number;
  const { bytes } = linkLoaded(file, {
    filled: 'all',
    slide,
    loader,
    places: ({ index }) =>
      index === 1
        ? { address: at, state: 'here' }
        : index === 2
          ? { address: plt, state: 'here' }
          : undefined,
    external: (name) => external[name],
  });
  const image = new Image(readElf('made', bytes));
  const wordsIn = (address: number, count: number) =>
    Array.from({ length: count }, (_, i) => image.readS32(address + 4 * i) >>> 0);
  return { code: wordsIn(at, code.length), entries: wordsIn(plt, size / 4), size };
}

const branch = (opcode: number, from: number, to: number) =>
  (opcode | (((to - from) / 4) & 0x3ff_ffff)) >>> 0;
const entry = (number: number, to: number) => entryWords(plt + slide + 12 * number, to + slide) as number[];
const nothing = [0, 0, 0];

test('a branch that reaches is a branch, and others share an entry that leads there', () => {
  const fields: Field[] = [
    { offset: 0, type: CALL26, symbol: 'away' },
    { offset: 4, type: CALL26, symbol: 'here' },
    { offset: 8, type: CALL26, symbol: 'away' },
    { offset: 12, type: CALL26, symbol: 'other' },
  ];
  const { code, entries, size } = link([BL, BL, BL, BL], fields);
  assert.deepEqual(code, [
    branch(BL, base, plt),
    branch(BL, base + 4, near.here),
    branch(BL, base + 8, plt),
    branch(BL, base + 12, plt + 12),
  ]);
  // Of three that are counted one is never needed, and one more is always there.
  assert.equal(size, 48);
  assert.deepEqual(entries, [...entry(0, far.away), ...entry(1, far.other), ...nothing, ...nothing]);
});

test('jumps come before calls, and the copy that tells that an entry is there already stays behind the last one', () => {
  const fields: Field[] = [
    { offset: 0, type: CALL26, symbol: 'away' },
    { offset: 4, type: JUMP26, symbol: 'away' },
    { offset: 8, type: JUMP26, symbol: 'other' },
    // What is no branch goes behind them; the last one of all is not sorted.
    { offset: 12, type: LO12, symbol: 'here' },
  ];
  const { code, entries } = link([BL, B, B, ADD], fields);
  assert.deepEqual(code.slice(0, 3), [
    branch(BL, base, plt + 24),
    branch(B, base + 4, plt),
    branch(B, base + 8, plt + 12),
  ]);
  assert.deepEqual(entries.slice(0, 9), [
    ...entry(0, far.away),
    ...entry(1, far.other),
    ...entry(2, far.away),
  ]);
  const again = link([BL, BL], [fields[0] as Field, { offset: 4, type: CALL26, symbol: 'away' }]);
  assert.deepEqual(again.entries, [...entry(0, far.away), ...entry(1, far.away)]);
});

/** adrp x3 at the end of a page, behind NOPs. */
const late = [...new Array<number>(0xff8 / 4).fill(NOP), ADRP | 3, ADD | (3 << 5) | 3];
const addresses = (symbol: Field['symbol']): Field[] => [
  { offset: 0xff8, type: HI21, symbol },
  { offset: 0xffc, type: LO12, symbol },
];
const last = (code: readonly number[]) => code.at(-2) as number;
const place = base + 0xff8;

test('an address at the end of a page is made elsewhere on processors with the erratum, or by adr where it reaches', () => {
  const plain = link(late, addresses('away'));
  assert.equal(last(plain.code) & 0x9f00_001f, ADRP | 3 | 0);
  assert.equal(plain.size, 12);
  const { code, entries, size } = link(late, addresses('away'), { hasErratum: true });
  assert.equal(last(code), branch(B, place, plt));
  // One for the address, one of slack for each page of entries, and the one that is always there.
  assert.equal(size, 36);
  assert.equal((entries[0] as number) & 0x9f00_001f, ADRP | 3 | 0);
  assert.deepEqual(
    entries.slice(1, 3),
    [ADD | (3 << 5) | 3, branch(B, plt + 8, place + 4)].map((word) => word >>> 0),
  );
  external.here = base + 0x2345;
  const close = link(late, addresses('here'), { hasErratum: true });
  external.here = near.here;
  const distance = base + 0x2000 - place;
  assert.equal(last(close.code), (0x1000_0003 | ((distance & 3) << 29) | ((distance >> 2) << 5)) >>> 0);
});

test('code that cannot lie at the end of a page needs no entry', () => {
  const code = [ADRP, ADD, NOP];
  const fields: Field[] = [
    { offset: 0, type: HI21, symbol: 'away' },
    { offset: 4, type: LO12, symbol: 'away' },
  ];
  assert.equal(link(code, fields, { hasErratum: true }).size, 12);
});
