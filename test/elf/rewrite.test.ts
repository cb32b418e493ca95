// The rewriter on objects made by hand: every holder of a symbol or section number, and every limit of its fields.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ByteView } from '../../src/bytes/view.ts';
import type { ElfChange } from '../../src/elf/change.ts';
import { readElf } from '../../src/elf/read.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { rewriteObject } from '../../src/elf/rewrite.ts';
import { TextpokeError } from '../../src/errors.ts';
import { type Made, makeObject, named, noChange, symtabAfter, words } from './objects.ts';

const SHT = { note: 7, rela: 4, nobits: 8, rel: 9, group: 17, relr: 19, hash: 5, crel: 0x40000014 };
const addrsig = 0x6fff4c03;
const callGraph = 0x6fff4c09;
const local = { name: 'tp_local', binding: 'local', type: 0, section: 1, value: 0 } as const;
const global = { name: 'tp_global', binding: 'global', type: 0, section: 0, value: 0 } as const;
const withLocal: ElfChange = { ...noChange, symbols: [local] };
const symbols = [
  { name: 'a', section: 1, info: 2 },
  { name: 'b', section: 1, info: 0x12 },
  { name: 'c', info: 0x10 },
];

function rewrite(made: Made, change: ElfChange) {
  return recheck('new.o', rewriteObject(readElf('old.o', makeObject(made)), change));
}

function refused(made: Made, change: ElfChange, code: string, what: RegExp): void {
  assert.throws(
    () => rewrite(made, change),
    (error: unknown) => {
      assert.ok(error instanceof TextpokeError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, what);
      return true;
    },
  );
}

const text = { name: '.text', flags: 6, data: new Uint8Array(8).fill(0x90), addralign: 16 };

for (const [bits, little] of [
  [32, true],
  [32, false],
  [64, true],
  [64, false],
] as const) {
  const order = `${bits} bits, ${little ? 'little' : 'big'}-endian`;

  test(`LLVM's address-significance table follows the symbols, two-byte numbers included (${order})`, () => {
    const many = Array.from({ length: 130 }, (_, i) => ({ name: `s${i}`, info: i < 126 ? 0 : 0x10 }));
    const made = {
      class: bits,
      little,
      symbols: many,
      sections: [
        text,
        { name: '.llvm_addrsig', type: addrsig, link: 3, data: Uint8Array.of(126, 127, 0x82, 1) },
      ],
    };
    const file = rewrite(made, withLocal);
    assert.deepEqual([...file.data(named(file, '.llvm_addrsig'))], [126, 0x80, 1, 0x83, 1]);
    const unlinked = rewrite(
      { ...made, sections: [text, { ...made.sections[1], name: '.llvm_addrsig', link: 0 }] },
      withLocal,
    );
    assert.deepEqual([...unlinked.data(named(unlinked, '.llvm_addrsig'))], [126, 127, 0x82, 1]);
  });

  test(`the call graph of LLVM 12 and before follows in its bytes, later ones in relocations (${order})`, () => {
    const old = words(little, 2, 3, 10, 0, 1, 2, 20, 0);
    const profile = { name: '.llvm.call-graph-profile', type: callGraph, link: 3, data: old, entsize: 16 };
    const file = rewrite({ class: bits, little, symbols, sections: [text, profile] }, withLocal);
    assert.deepEqual(file.data(named(file, profile.name)), words(little, 3, 4, 10, 0, 1, 3, 20, 0));
    const later = rewrite(
      { class: bits, little, symbols, sections: [text, { ...profile, entsize: 8 }] },
      withLocal,
    );
    assert.deepEqual(later.data(named(later, profile.name)), old);
  });

  test(`a group's signature and members, sh_link and sh_info follow a new group in front (${order})`, () => {
    const made: Made = {
      class: bits,
      little,
      symbols,
      sections: [
        text,
        {
          name: '.group',
          type: SHT.group,
          link: 5,
          info: 2,
          entsize: 4,
          addralign: 4,
          data: words(little, 1, 3),
        },
        { name: '.text.b', flags: 0x206, data: Uint8Array.of(0xc3) },
        { name: '.ordered', flags: 0x82, link: 3, data: Uint8Array.of(1) },
      ],
    };
    const change: ElfChange = {
      ...withLocal,
      sections: [
        {
          name: 'table',
          type: 1,
          flags: 2,
          data: words(little, 7),
          addralign: 4,
          entsize: 4,
          relocations: [],
          group: 2,
        },
      ],
      groups: [{ signature: 2, members: [1], newMembers: [] }],
    };
    const file = rewrite(made, change);
    assert.equal(file.sections[1]?.type, SHT.group);
    assert.deepEqual(file.data(file.sections[1] as never), words(little, 0, 2));
    assert.equal(file.sections[1]?.info, 3);
    const old = file.sections[3] as (typeof file.sections)[0];
    assert.deepEqual(file.data(old), words(little, 1, 4, 9));
    assert.deepEqual([old.info, old.link, file.symbols(file.symtab as never).name(old.info)], [3, 6, 'b']);
    assert.equal(named(file, '.ordered').link, 4);
    assert.equal(named(file, '.text').flags, 0x206);
    assert.equal(named(file, 'table').flags, 0x202);
  });

  test(`relocations keep type, offset and addend while their symbols move (${order})`, () => {
    const view = new ByteView(new Uint8Array(bits === 64 ? 48 : 24), little);
    if (bits === 64) {
      for (const [i, symbol] of [1, 3].entries()) {
        view.setU64(i * 24, BigInt(i));
        view.setU64(i * 24 + 8, (BigInt(symbol) << 32n) | 0xfffffffen);
        view.setS64(i * 24 + 16, -5 - i);
      }
    } else {
      for (const [i, symbol] of [1, 3].entries()) {
        view.setU32(i * 12, i);
        view.setU32(i * 12 + 4, (symbol << 8) | 0xfe);
        view.setU32(i * 12 + 8, -5 - i);
      }
    }
    const rela = {
      name: '.rela.text',
      type: SHT.rela,
      link: 3,
      info: 1,
      entsize: bits === 64 ? 24 : 12,
      data: view.bytes,
    };
    const made = { class: bits, little, machine: 62, symbols, sections: [text, rela] };
    const file = rewrite(made, { ...withLocal, retyped: [{ section: 2, index: 1, type: 0 }] });
    const { symbol, type, addend, offset } = file.relocations(named(file, '.rela.text'));
    assert.deepEqual([...symbol], [1, 4]);
    assert.deepEqual([...type], [bits === 64 ? 0xfffffffe : 0xfe, 0]);
    assert.deepEqual([...addend], [-5, -6]);
    assert.deepEqual([...offset], [0, 1]);
  });
}

test('a little-endian MIPS64 r_info has the symbol first and its type bytes last', () => {
  const info = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 5, 24, 7, 0, 0, 0, 0, 0, 0, 0, 0);
  const rela = { name: '.rela.text', type: SHT.rela, link: 3, info: 1, entsize: 24, data: info };
  const table = { name: 'table', type: 1, flags: 2, data: new Uint8Array(8), addralign: 8, entsize: 8 };
  const relocations = [{ offset: 0, type: 0x00051807, symbol: 3, addend: 1 }];
  const file = rewrite(
    { machine: 8, symbols, sections: [text, rela] },
    { ...withLocal, sections: [{ ...table, relocations }] },
  );
  for (const name of ['.rela.text', '.relatable']) {
    assert.deepEqual([...file.data(named(file, name)).subarray(8, 16)], [4, 0, 0, 0, 0, 5, 24, 7], name);
  }
  assert.deepEqual([...file.relocations(named(file, '.rela.text')).type], [0x00051807]);
});

test('what a change does not name keeps its place in the file and the bytes in front of it', () => {
  const bytes = makeObject({
    symbols,
    sections: [text, { name: '.data', data: words(true, 1), addralign: 64 }],
  });
  const at = readElf('a.o', bytes).named('.data')?.offset as number;
  bytes[at - 1] = 0xee; // between two sections
  const file = readElf('a.o', bytes);
  const result = rewriteObject(file, {
    ...withLocal,
    patches: [{ section: 1, offset: 2, bytes: Uint8Array.of(0xcc) }],
  });
  const { sections } = recheck('a.o', result);
  for (const i of [1, 2, 3]) assert.equal(sections[i]?.offset, file.sections[i]?.offset);
  assert.equal(result[at - 1], 0xee);
  assert.equal(result[(file.sections[1]?.offset as number) + 2], 0xcc);
  assert.deepEqual(rewriteObject(file, noChange), bytes);
});

test('an empty section past the others and a .bss of any size do not move anything', () => {
  const huge = { name: '.bss', type: SHT.nobits, flags: 3, size: 2 ** 52, data: new Uint8Array(0) };
  const made = {
    symbols,
    sections: [text, huge, { name: '.empty' }, { name: '.data', data: words(true, 1) }],
  };
  const bytes = makeObject(made);
  assert.deepEqual(rewriteObject(readElf('a.o', bytes), noChange), bytes);
  assert.equal(named(rewrite(made, withLocal), '.bss').size, 2 ** 52);
});

test('an absurd alignment of a section that moves does not make the file huge', () => {
  const after = { name: '.data', data: words(true, 1), addralign: 2 ** 50 };
  const bytes = makeObject({ symbols, sections: [{ ...text, type: 1 }, after] });
  assert.ok(bytes.length < 2000, `${bytes.length} bytes`);
});

test('an empty string table gets the zero byte that nameless symbols name', () => {
  const file = rewrite(
    {
      symbols: [{ section: 1, info: 3 }],
      sections: [text],
      broken: { '.strtab': { data: new Uint8Array(0), size: 0 } },
    },
    { ...noChange, symbols: [global] },
  );
  const table = file.symbols(file.symtab as never);
  assert.deepEqual([table.name(0), table.name(1), table.name(2)], ['', '', 'tp_global']);
});

test('a name that ends another one shares its bytes, and one table may name sections and symbols', () => {
  const strings = new TextEncoder().encode('\0.symtab\0.strtab\0.rela.text\0my_tp_global\0a\0');
  const made = {
    symbols: [{ info: 0x10 }],
    sections: [text],
    broken: { '.strtab': { data: strings, size: strings.length } },
  };
  const file = rewrite(made, { ...noChange, symbols: [global] });
  assert.deepEqual(file.data(named(file, '.strtab')), strings);
  assert.equal(file.symbols(file.symtab as never).name(2), 'tp_global');
});

test('a lone SHT_REL call graph does not make an x86-64 object one without addends', () => {
  const rel = {
    name: '.rel.llvm.call-graph-profile',
    type: SHT.rel,
    link: 4,
    info: 2,
    entsize: 16,
    data: new Uint8Array(16),
  };
  const profile = {
    name: '.llvm.call-graph-profile',
    type: callGraph,
    link: 4,
    entsize: 8,
    data: new Uint8Array(8),
  };
  const section = {
    name: '.smp_locks',
    type: 1,
    flags: 2,
    data: new Uint8Array(4),
    addralign: 4,
    entsize: 4,
  };
  const relocations = [{ offset: 0, type: 2, symbol: 1, addend: 77 }];
  const file = rewrite(
    { symbols, sections: [text, profile, rel] },
    { ...noChange, sections: [{ ...section, relocations }] },
  );
  assert.deepEqual([...file.relocations(named(file, '.rela.smp_locks')).addend], [77]);
  const arm = rewrite(
    { class: 32, machine: 40, symbols, sections: [text] },
    { ...noChange, sections: [{ ...section, relocations }] },
  );
  assert.equal(named(arm, '.rel.smp_locks').name, '.rel.smp_locks');
});

test('opaque sections keep their bytes: compressed debug data, RELR, notes, unknown types', () => {
  const opaque = [
    { name: '.debug_info', flags: 0x800, data: words(true, 1, 0, 99, 0, 1, 0, 0x9c78) },
    { name: '.relr.dyn', type: SHT.relr, flags: 2, data: words(true, 8, 0), entsize: 8 },
    {
      name: '.note.gnu.property',
      type: SHT.note,
      flags: 2,
      data: words(true, 4, 16, 5, 0x554e47),
      addralign: 8,
    },
    { name: '.odd', type: 0x7fffffff, data: words(true, 1, 2, 3) },
  ];
  const file = rewrite({ symbols, sections: [text, ...opaque] }, withLocal);
  for (const { name, data } of opaque) assert.deepEqual(file.data(named(file, name)), data, name);
});

const symtab = symtabAfter(2);
const group = { name: '.group', type: SHT.group, link: symtab, info: 1, entsize: 4, data: words(true, 1, 1) };
const rela = {
  name: '.rela.text',
  type: SHT.rela,
  link: symtab,
  info: 1,
  entsize: 24,
  data: new Uint8Array(24),
};
const naming = (symbol: number) => words(true, 0, 0, 2, symbol, 0, 0);

/** What makes an object unfit for rewriting: sections beside .text, the change, the code, the message. */
const unfit: readonly (readonly [string, Made, ElfChange, string, RegExp])[] = [
  [
    'compact relocations',
    { sections: [text, { ...rela, type: SHT.crel }] },
    noChange,
    'elf-unsupported',
    /SHT_CREL/,
  ],
  [
    'a second symbol table',
    { sections: [text, { name: '.symtab2', type: 2, entsize: 24 }] },
    noChange,
    'elf-unsupported',
    /2 symbol tables/,
  ],
  [
    'an unknown section of the symbol table',
    { sections: [text, { name: '.x', type: SHT.hash, link: symtab }] },
    withLocal,
    'elf-unsupported',
    /type SHT_HASH/,
  ],
  [
    'a relocation against a symbol that does not exist',
    { sections: [text, { ...rela, data: naming(4) }] },
    withLocal,
    'elf-malformed',
    /symbol 4/,
  ],
  [
    'relocations of another symbol table',
    { sections: [text, { ...rela, link: 1 }] },
    noChange,
    'elf-malformed',
    /sh_link is 1/,
  ],
  [
    'relocations of a section that does not exist',
    { sections: [text, { ...rela, info: 99 }] },
    noChange,
    'elf-malformed',
    /sh_info is 99/,
  ],
  [
    'a section linked to one that does not exist',
    { sections: [text, { name: '.x', link: 99 }] },
    noChange,
    'elf-malformed',
    /sh_link is 99/,
  ],
  [
    'a group member that does not exist',
    { sections: [text, { ...group, data: words(true, 1, 99) }] },
    noChange,
    'elf-malformed',
    /section 99/,
  ],
  [
    'a group that holds itself',
    { sections: [text, { ...group, data: words(true, 1, 2) }] },
    noChange,
    'elf-malformed',
    /section 2/,
  ],
  [
    'a group that holds section 0',
    { sections: [text, { ...group, data: words(true, 1, 0) }] },
    noChange,
    'elf-malformed',
    /section 0/,
  ],
  [
    'a torn group',
    { sections: [text, { ...group, data: new Uint8Array(6) }] },
    noChange,
    'elf-malformed',
    /6 bytes/,
  ],
  [
    'a group without its flag word',
    { sections: [text, { ...group, data: new Uint8Array(0) }] },
    noChange,
    'elf-malformed',
    /0 bytes/,
  ],
  [
    'a group signed by a symbol that does not exist',
    { sections: [text, { ...group, info: 4 }] },
    noChange,
    'elf-malformed',
    /symbol 4/,
  ],
  [
    'a group of another symbol table',
    { sections: [text, { ...group, link: 1 }] },
    noChange,
    'elf-malformed',
    /sh_link is 1/,
  ],
  ['a symbol table without locals', { firstGlobal: 0 }, noChange, 'elf-malformed', /sh_info is 0/],
  ['more locals than symbols', { firstGlobal: 5 }, noChange, 'elf-malformed', /5 local symbols/],
  [
    'symbols of another size',
    { broken: { '.symtab': { entsize: 16 } } },
    noChange,
    'elf-malformed',
    /sh_entsize is 16/,
  ],
  [
    'a torn symbol table',
    { broken: { '.symtab': { data: new Uint8Array(25), size: 25 } } },
    noChange,
    'elf-malformed',
    /25 bytes/,
  ],
  [
    'a symbol table without string table',
    { broken: { '.symtab': { link: 1 } } },
    noChange,
    'elf-malformed',
    /names section 1/,
  ],
  [
    'a string table without its last zero',
    { broken: { '.strtab': { data: Uint8Array.of(0, 97), size: 2 } } },
    noChange,
    'elf-malformed',
    /zero byte/,
  ],
  [
    'a string table without its first zero',
    { broken: { '.strtab': { data: Uint8Array.of(97, 0), size: 2 } } },
    noChange,
    'elf-malformed',
    /zero byte/,
  ],
  [
    'an unfinished number in .llvm_addrsig',
    { sections: [text, { name: '.s', type: addrsig, link: symtab, data: Uint8Array.of(0x81) }] },
    withLocal,
    'elf-malformed',
    /ULEB128/,
  ],
  [
    'a symbol in .llvm_addrsig that does not exist',
    { sections: [text, { name: '.s', type: addrsig, link: symtab, data: Uint8Array.of(4) }] },
    withLocal,
    'elf-malformed',
    /symbol 4/,
  ],
  [
    'a section number with SHN_XINDEX but no table of them',
    { symbols: [{ shndx: 0xffff }] },
    noChange,
    'elf-malformed',
    /SHN_XINDEX/,
  ],
  [
    'a torn .symtab_shndx',
    { sections: [text, { name: '.x', type: 18, link: symtab, data: words(true, 0) }] },
    noChange,
    'elf-malformed',
    /4 bytes/,
  ],
  [
    'two tables of section numbers',
    { sections: [text, { name: '.x', type: 18, link: 4 }, { name: '.y', type: 18, link: 4 }] },
    noChange,
    'elf-malformed',
    /2 .symtab_shndx/,
  ],
  [
    'a symbol in a section that does not exist',
    { symbols: [{ section: 77 }] },
    noChange,
    'elf-malformed',
    /section 77/,
  ],
  ['an image', { type: 2 }, noChange, 'not-relocatable', /not a relocatable/],
  [
    'a patch past the end of its section',
    {},
    { ...noChange, patches: [{ section: 1, offset: 7, bytes: new Uint8Array(2) }] },
    'defect',
    /byte 7/,
  ],
  [
    'a new relocation against a symbol that does not exist',
    {},
    {
      ...noChange,
      sections: [
        { ...text, type: 1, entsize: 0, relocations: [{ offset: 0, type: 1, symbol: 9, addend: 0 }] },
      ],
    },
    'defect',
    /symbol 9/,
  ],
  [
    'a relocation to void that does not exist',
    { sections: [text, rela] },
    { ...noChange, retyped: [{ section: 2, index: 1, type: 0 }] },
    'defect',
    /relocation 1/,
  ],
];
for (const [what, made, change, code, message] of unfit) {
  test(`${what}: refused`, () => refused({ symbols, sections: [text], ...made }, change, code, message));
}

for (const [symbol, fits] of [
  [0xffffff, true],
  [0x1000000, false],
] as const) {
  test(`32-bit relocations name symbol ${symbol.toString(16)}: ${fits ? 'they do' : 'refused'}`, async () => {
    const { packInfo32 } = await import('../../src/elf/renumber.ts');
    if (fits) assert.equal(packInfo32(symbol, 0xff), 0xffffffff);
    else assert.throws(() => packInfo32(symbol, 0xff), /24 bits/);
    assert.throws(() => packInfo32(0, 0x100), /8 bits/);
  });
}

test('two sections that share bytes are refused, for moving them apart would multiply a file', () => {
  const bytes = makeObject({ symbols, sections: [text, { name: '.data', data: words(true, 1, 2) }] });
  const file = readElf('a.o', bytes);
  const view = new ByteView(bytes, true);
  const header = (section: number) => file.header.shoff + section * 64;
  for (const [offset, what] of [
    [file.named('.text')?.offset as number, /overlaps \.text|overlaps \.data/],
    [0, /the file header overlaps \.data/],
    [file.header.shoff, /overlaps the section header table|the section header table overlaps \.data/],
  ] as const) {
    view.setU64(header(2) + 24, BigInt(offset));
    assert.throws(() => rewriteObject(readElf('a.o', bytes), noChange), what);
  }
});
