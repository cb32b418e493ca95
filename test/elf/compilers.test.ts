// What compilers, assemblers and binutils make of objects, rewritten, and what linkers make of the result.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STT_SECTION } from '../../src/elf/constants.ts';
import type { ElfFile, Section } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { rewriteObject } from '../../src/elf/rewrite.ts';
import { run, scratch, testOfTurn } from '../tools.ts';
import { changeEverything, named } from './objects.ts';
import { newComplaints, type ReadelfView, readelfAll } from './readelf.ts';

const c = `
extern int ext(int); static int counter;
int one(int x) { return ext(x) + counter++; }
int two(int x) { return one(x) + ext(counter); }
`;
const cc = `
int ext(int); template <class T> T twice(T x) { static T n; return n += ext(x); }
int use(int x) { return twice(x) + (int)twice((long)x); }
`;
const ordered = `
.text
.globl one, two
one: call two@plt
two: ret
.section .meta,"ao",@progbits,.text
.long 1
.section .meta2,"ao",@progbits,.meta
.long 2
.section .init_array,"aw"
.quad one
`;
const graph = `
.globl one, two
one: call two@plt
two: call three@plt
.cg_profile one, two, 32
.cg_profile two, three, 11
.addrsig
.addrsig_sym one
.addrsig_sym three
`;

interface Row {
  readonly what: string;
  readonly make: readonly (readonly string[])[];
  /** Section whose bytes may not change. */
  readonly opaque?: RegExp;
}

const rows: readonly Row[] = [
  {
    what: 'gcc, DWARF compressed',
    make: [['gcc', '-g', '-gz', '-O2', '-c', 'c.c', '-o', 'a.o']],
    opaque: /debug/,
  },
  {
    what: 'clang, DWARF compressed',
    make: [['clang', '-g', '-gz', '-O2', '-c', 'c.c', '-o', 'a.o']],
    opaque: /debug/,
  },
  {
    what: 'gcc, COMDAT groups',
    make: [['g++', '-g', '-O0', '-ffunction-sections', '-c', 'cc.cc', '-o', 'a.o']],
  },
  { what: 'clang, address significance', make: [['clang', '-faddrsig', '-O2', '-c', 'cc.cc', '-o', 'a.o']] },
  {
    what: 'clang, address significance that ld -r left unlinked',
    make: [
      ['clang', '-faddrsig', '-O2', '-c', 'cc.cc', '-o', 'b.o'],
      ['ld', '-r', 'b.o', '-o', 'a.o'],
    ],
  },
  {
    what: 'clang, split DWARF',
    make: [['clang', '-g', '-gsplit-dwarf', '-O2', '-c', 'c.c', '-o', 'a.o']],
    opaque: /debug_str$/,
  },
  {
    what: 'LLVM, a call graph profile',
    make: [['clang', '-c', 'graph.s', '-o', 'a.o']],
    opaque: /call-graph-profile$/,
  },
  {
    what: 'gcc, indirect branch notes',
    make: [['gcc', '-fcf-protection', '-O2', '-c', 'c.c', '-o', 'a.o']],
    opaque: /note.gnu.property/,
  },
  { what: 'gas, SHF_LINK_ORDER', make: [['as', 'ordered.s', '-o', 'a.o']] },
  { what: 'clang, SHF_LINK_ORDER', make: [['clang', '-c', 'ordered.s', '-o', 'a.o']] },
  {
    what: 'ld -r of several',
    make: [
      ['gcc', '-g', '-O2', '-c', 'c.c', '-o', 'b.o'],
      ['clang', '-g', '-O2', '-c', 'cc.cc', '-o', 'c.o'],
      ['ld', '-r', 'b.o', 'c.o', '-o', 'a.o'],
    ],
  },
  {
    what: 'ld.lld -r',
    make: [
      ['gcc', '-g', '-O2', '-c', 'c.c', '-o', 'b.o'],
      ['ld.lld', '-r', 'b.o', '-o', 'a.o'],
    ],
  },
  {
    what: 'strip --strip-unneeded',
    make: [
      ['gcc', '-g', '-O2', '-c', 'c.c', '-o', 'a.o'],
      ['strip', '--strip-unneeded', 'a.o'],
    ],
  },
  {
    what: 'llvm-objcopy',
    make: [
      ['clang', '-g', '-O2', '-c', 'c.c', '-o', 'b.o'],
      ['llvm-objcopy', '--discard-all', '--strip-debug', 'b.o', 'a.o'],
    ],
  },
  {
    what: 'objcopy without section symbols',
    make: [
      ['clang', '-O2', '-c', 'c.c', '-o', 'b.o'],
      ['llvm-objcopy', '--strip-symbol=.bss', '--discard-all', 'b.o', 'a.o'],
    ],
  },
  {
    what: 'clang for i386, DWARF compressed',
    make: [['clang', '--target=i386-linux-gnu', '-g', '-gz', '-fPIC', '-O2', '-c', 'cc.cc', '-o', 'a.o']],
    opaque: /debug_str$/,
  },
];

for (const [turn, { what, make, opaque }] of rows.entries()) {
  testOfTurn(turn, 4)(
    `${what}: the rewritten object means the same and links`,
    [...make.map(([tool]) => tool as string), 'readelf', 'eu-elflint', 'ld', 'ld.lld'],
    (t) => {
      const dir = scratch(t);
      for (const [name, text] of Object.entries({
        'c.c': c,
        'cc.cc': cc,
        'ordered.s': ordered,
        'graph.s': graph,
      })) {
        writeFileSync(join(dir, name), text);
      }
      for (const [tool, ...args] of make) run(tool as string, args, dir);
      const [before, after] = [join(dir, 'a.o'), join(dir, 'after.o')];
      const file = readElf(before, new Uint8Array(readFileSync(before)));
      const rewritten = rewriteObject(file, changeEverything(file));
      const result = recheck(after, rewritten);
      writeFileSync(after, rewritten);
      const [was, is] = readelfAll([
        [before, 0],
        [after, 1],
      ]) as [ReadelfView, ReadelfView];
      assert.deepEqual(is.relocations.slice(0, was.relocations.length), was.relocations);
      const known = new Set(is.symbols);
      assert.deepEqual(
        was.symbols.filter((line) => !known.has(line)),
        [],
      );
      assert.equal(is.symbols.length, was.symbols.length + 4);
      for (const [i, group] of was.groups.entries())
        assert.ok(is.groups[i + 1]?.startsWith(group), is.groups[i + 1]);
      assert.deepEqual(
        newComplaints(before, after).filter((line) => !line.includes('__tp_')),
        [],
      );
      assert.deepEqual(holders(result), holders(file), 'every holder of a number names what it named');
      let checked = 0;
      for (const section of file.sections) {
        if (!opaque?.test(section.name) || section.type === 4 || section.type === 9) continue;
        assert.deepEqual(result.data(named(result, section.name)), file.data(section), section.name);
        checked++;
      }
      assert.ok(!opaque || checked > 0, 'there is such a section');
      const emulation = file.header.class === 32 ? ['-m', 'elf_i386'] : [];
      const linked = ['ld', 'ld.lld'].map((ld) => {
        const out = join(dir, `${ld}.o`);
        run(ld, [...emulation, '-r', after, '-o', out], dir);
        return [out, 0] as const;
      });
      readelfAll(linked);
    },
  );
}

/** Group signatures, address-significant symbols and link orders by the names that they stand for. */
function holders(file: ElfFile): unknown {
  const symbols = file.symbols(file.symtab as Section);
  const symbolName = (i: number) =>
    symbols.type(i) === STT_SECTION ? file.sections[symbols.section[i] as number]?.name : symbols.name(i);
  return file.sections
    .filter((s) => !s.name.startsWith('__tp_'))
    .filter((s) => s.type !== 17 || symbolName(s.info) !== 'tp_new_local')
    .filter((s) => (s.type !== 9 && s.type !== 4 ? true : !s.name.endsWith('__tp_table')))
    .map((s) => ({
      name: s.name,
      link: file.sections[s.link]?.name,
      signature: s.type === 17 ? symbolName(s.info) : undefined,
      target: s.type === 4 || s.type === 9 ? file.sections[s.info]?.name : undefined,
      significant:
        s.type === 0x6fff4c03 && s.link !== 0
          ? [...file.data(s)].map((n) => (n < 128 ? symbolName(n) : n))
          : [],
    }));
}
