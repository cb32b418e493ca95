// More sections than 16 bits count (gABI, extended section numbering): e_shnum 0, SHN_XINDEX, .symtab_shndx.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { ByteView } from '../../src/bytes/view.ts';
import type { ElfChange } from '../../src/elf/change.ts';
import { SHT_SYMTAB_SHNDX } from '../../src/elf/constants.ts';
import type { ElfFile, Section } from '../../src/elf/file.ts';
import { writeElf } from '../../src/elf/layout.ts';
import { readElf } from '../../src/elf/read.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { rewriteObject } from '../../src/elf/rewrite.ts';
import { longTest, rowsOf, run, scratch } from '../tools.ts';
import { type Made, makeObject, noChange, words } from './objects.ts';
import { type ReadelfView, readelfAll } from './readelf.ts';

const section = {
  name: 'table',
  type: 1,
  flags: 2,
  data: words(true, 0),
  addralign: 4,
  entsize: 4,
  relocations: [],
};
const group = { signature: 1, members: [1], newMembers: [] };

/** An object of `count` sections in all, with one symbol `last` in section `at`. */
function manySections(count: number, at: number, made: Made = {}): Made {
  const sections = Array.from({ length: count - 4 }, () => ({ name: '.text', flags: 6 }));
  return { symbols: [{ name: 'last', section: at, info: 0x12 }], sections, ...made };
}

function symbolSection(file: ElfFile, name: string): number {
  const symbols = file.symbols(file.symtab as Section);
  for (let i = 0; i < symbols.count; i++) if (symbols.name(i) === name) return symbols.section[i] as number;
  throw new Error(`no symbol ${name}`);
}

interface Row {
  readonly what: string;
  readonly sections: number;
  readonly change: Partial<ElfChange>;
  readonly result: number;
  /** e_shnum and e_shstrndx of the result. */
  readonly shnum: number;
  readonly shstrndx: number;
  readonly words: boolean;
}

// One row on each side of every limit. `last` lies in the section in front of .symtab, .strtab and .shstrtab.
const rows: readonly Row[] = [
  {
    what: 'the last count that fits',
    sections: 0xfefe,
    change: { sections: [section] },
    result: 0xfeff,
    shnum: 0xfeff,
    shstrndx: 0xfefd,
    words: false,
  },
  {
    what: 'a section that makes 0xff00',
    sections: 0xfeff,
    change: { sections: [section] },
    result: 0xff00,
    shnum: 0,
    shstrndx: 0xfefe,
    words: false,
  },
  {
    what: 'the last name table that fits',
    sections: 0xfeff,
    change: { groups: [group] },
    result: 0xff00,
    shnum: 0,
    shstrndx: 0xfeff,
    words: false,
  },
  {
    what: 'a name table that becomes 0xff00',
    sections: 0xff00,
    change: { groups: [group] },
    result: 0xff01,
    shnum: 0,
    shstrndx: 0xffff,
    words: false,
  },
  {
    what: 'a symbol in the last section that fits',
    sections: 0xff02,
    change: { groups: [group] },
    result: 0xff03,
    shnum: 0,
    shstrndx: 0xffff,
    words: false,
  },
  {
    what: 'a symbol whose section becomes 0xff00',
    sections: 0xff03,
    change: { groups: [group] },
    result: 0xff05,
    shnum: 0,
    shstrndx: 0xffff,
    words: true,
  },
];
const both = rows.flatMap((row) => ([32, 64] as const).map((bits) => ({ bits, ...row })));
for (const { bits, what, sections, change, ...expected } of rowsOf(both, 7)) {
  test(`${what}, ${bits} bits: counts stand where the gABI wants them`, () => {
    const last = sections - 4;
    const bytes = makeObject(manySections(sections, last, { class: bits, little: bits === 64, machine: 20 }));
    const result = rewriteObject(readElf('a.o', bytes), { ...noChange, ...change });
    const file = recheck('a.o', result);
    assert.equal(file.sections.length, expected.result);
    const view = new ByteView(result, bits === 64);
    assert.equal(view.u16(bits === 64 ? 60 : 48), expected.shnum);
    assert.equal(view.u16(bits === 64 ? 62 : 50), expected.shstrndx);
    assert.equal(file.sections[file.header.shstrndx]?.name, '.shstrtab');
    assert.equal(symbolSection(file, 'last'), last + (change.groups?.length ?? 0));
    assert.equal(file.ofType(SHT_SYMTAB_SHNDX).length, expected.words ? 1 : 0);
    assert.deepEqual(rewriteObject(file, noChange), result, 'an empty change changes nothing');
  });
}

test('a section symbol of a section numbered 0xff00 makes .symtab_shndx', () => {
  const bytes = makeObject(manySections(0xff10, 1));
  for (const [number, made] of [
    [0xfeff, 0],
    [0xff00, 1],
  ] as const) {
    const symbol = { name: '', binding: 'local', type: 3, section: number, value: 0 } as const;
    const file = recheck('a.o', rewriteObject(readElf('a.o', bytes), { ...noChange, symbols: [symbol] }));
    assert.equal(file.ofType(SHT_SYMTAB_SHNDX).length, made);
    assert.equal(file.symbols(file.symtab as Section).section[1], number);
  }
});

test('a file of 65,535 segments and more has their count in section 0', () => {
  for (const count of [0xfffe, 0xffff, 0x10001]) {
    const segments = Array.from({ length: count }, (_, i) => ({
      type: 4,
      flags: 4,
      offset: 0,
      vaddr: i,
      paddr: 0,
      filesz: 0,
      memsz: 0,
      align: 1,
    }));
    for (const bits of [32, 64] as const) {
      const header = {
        class: bits,
        little: true,
        ident: Uint8Array.of(0x7f, 69, 76, 70, 0, 0, 1),
        type: 4,
        machine: 62,
        flags: 0,
        entry: 0,
        shstrndx: 0,
      };
      const null0 = {
        nameOffset: 0,
        type: 0,
        flags: 0,
        addr: 0,
        link: 0,
        info: 0,
        addralign: 0,
        entsize: 0,
        size: 0,
        data: new Uint8Array(0),
      };
      const bytes = writeElf(header, [null0], undefined, segments);
      const file = readElf('core', bytes);
      assert.equal(new ByteView(bytes, true).u16(bits === 64 ? 56 : 44), Math.min(count, 0xffff));
      assert.equal(file.segments.length, count);
      assert.equal(file.segments[count - 1]?.vaddr, count - 1);
    }
  }
});

for (const [compiler, args] of [
  ['as', []],
  ['clang', ['-c', '-x', 'assembler']],
] as const) {
  // readelf and the linker take seconds to read it.
  longTest(
    `an object of 70,000 sections from ${compiler} takes symbols, sections and groups`,
    [compiler, 'readelf', 'ld.lld'],
    (t) => {
      const dir = scratch(t);
      const lines: string[] = [];
      for (let i = 0; i < 70000; i++)
        lines.push(
          `.section .text.f${i},"ax",@progbits\nf${i}: ${i % 1000 === 0 ? `jmp f${69999 - i}` : 'ret'}`,
        );
      lines.push('.globl _start', '_start: jmp f1', '');
      writeFileSync(join(dir, 'a.s'), lines.join('\n'));
      const path = join(dir, 'a.o');
      run(compiler, [...args, 'a.s', '-o', path], dir);
      const file = readElf(path, new Uint8Array(readFileSync(path)));
      assert.ok(file.sections.length > 70000, `${file.sections.length} sections`);
      assert.equal(file.ofType(SHT_SYMTAB_SHNDX).length, 1);
      const { count } = file.symbols(file.symtab as Section);
      const code = (name: string) => (file.named(name) as Section).index;
      const change: ElfChange = {
        ...noChange,
        symbols: [
          { name: '', binding: 'local', type: 3, section: code('.text.f69998'), value: 0 },
          { name: 'tp_global', binding: 'global', type: 0, section: code('.text.f69999'), value: 0 },
        ],
        sections: [
          { ...section, name: '.smp_locks', relocations: [{ offset: 0, type: 2, symbol: count, addend: 1 }] },
        ],
        groups: [{ signature: count + 1, members: [code('.text.f69998')], newMembers: [0] }],
      };
      const result = recheck(path, rewriteObject(file, change));
      for (const name of ['f0', 'f65279', 'f69999', '_start']) {
        assert.equal(symbolSection(result, name), symbolSection(file, name) + 1, name);
      }
      const after = join(dir, 'b.o');
      writeFileSync(after, result.source.read(0, result.source.size));
      const [was, is] = readelfAll([
        [path, 0],
        [after, 1],
      ]) as [ReadelfView, ReadelfView];
      assert.deepEqual(is.relocations.slice(0, was.relocations.length), was.relocations);
      assert.match(is.relocations.at(-1)?.[1] as string, /R_X86_64_PC32 .* \.text\.f69998 \+ 1$/);
      assert.match(
        is.groups[0] as string,
        /^ \.group \[tp_global\] \d+:\.text\.f69998 \d+:\.smp_locks \d+:\.rela\.smp_locks$/,
      );
      const known = new Set(is.symbols);
      assert.deepEqual(
        was.symbols.filter((line) => !known.has(line)),
        [],
      );
      assert.equal(is.symbols.length, was.symbols.length + 2);
      run('ld.lld', [after, '-o', join(dir, 'a.out')], dir);
    },
  );
}
