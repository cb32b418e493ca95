// Every class, byte order and relocation form that clang can make: whatever is inserted, what was there still
// means the same to readelf, and eu-elflint finds nothing new.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SHT_NOBITS, SHT_NULL, SHT_RELA } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { rewriteObject } from '../../src/elf/rewrite.ts';
import { rowsOf, run, scratch, toolTest } from '../tools.ts';
import { changeEverything, noChange } from './objects.ts';
import { newComplaints, type ReadelfView, readelfAll } from './readelf.ts';

const source = `
extern "C" int ext(int);
extern "C" int data_ext;
template <class T> __attribute__((noinline)) T twice(T x) { static T n; n += ext(x); return x + n; }
inline int inl(int x) { return ext(x) * 3 + data_ext; }
static int __attribute__((noinline)) helper(int x) { static int counter; counter += x; return ext(counter); }
__attribute__((weak)) int weak(int x) { return ext(x); }
int (*table[])(int) = { inl, helper, weak, ext };
int use(int x) { return twice<int>(x) + (int)twice<long>(x) + inl(x) + helper(x) + table[x](x); }
const char *message() { return "hello"; }
`;

const hosted = (name: string) => `${name}-linux-gnu`;

/** clang's target, class, byte order, relocation form. */
const targets: readonly (readonly [string, 32 | 64, 'little' | 'big', 'REL' | 'RELA'])[] = [
  ['x86_64-linux-gnu', 64, 'little', 'RELA'],
  ['x86_64-linux-gnux32', 32, 'little', 'RELA'],
  [hosted('i386'), 32, 'little', 'REL'],
  [hosted('aarch64_be'), 64, 'big', 'RELA'],
  [hosted('aarch64'), 64, 'little', 'RELA'],
  [hosted('armeb'), 32, 'big', 'REL'],
  [hosted('armv7'), 32, 'little', 'REL'],
  [hosted('powerpc'), 32, 'big', 'RELA'],
  [hosted('powerpc64'), 64, 'big', 'RELA'],
  [hosted('powerpc64le'), 64, 'little', 'RELA'],
  [hosted('mips'), 32, 'big', 'REL'],
  [hosted('mipsel'), 32, 'little', 'REL'],
  [hosted('mips64'), 64, 'big', 'RELA'],
  [hosted('mips64el'), 64, 'little', 'RELA'],
  [hosted('riscv32'), 32, 'little', 'RELA'],
  [hosted('riscv64'), 64, 'little', 'RELA'],
  ['sparc-linux-gnu', 32, 'big', 'RELA'],
  [hosted('sparcv9'), 64, 'big', 'RELA'],
  [hosted('s390x'), 64, 'big', 'RELA'],
  [hosted('m68k'), 32, 'big', 'RELA'],
  ['hexagon', 32, 'little', 'RELA'],
  [hosted('bpfel'), 64, 'little', 'REL'],
  [hosted('bpfeb'), 64, 'big', 'REL'],
];

for (const [target, bits, order, form] of rowsOf(targets, 2)) {
  toolTest(
    `a ${bits}-bit ${order}-endian ${form} object for ${target} keeps its meaning whatever is inserted`,
    ['clang', 'readelf', 'eu-elflint'],
    (t) => {
      const dir = scratch(t);
      const before = join(dir, 'before.o');
      const after = join(dir, 'after.o');
      writeFileSync(join(dir, 'a.cc'), source);
      const flags = ['-O2', '-faddrsig', '-fno-exceptions', '-fintegrated-as', '-c', 'a.cc', '-o', before];
      const debug = target.startsWith('bpf') ? [] : ['-g'];
      run('clang', [`--target=${target}`, ...debug, ...flags], dir);
      const bytes = new Uint8Array(readFileSync(before));
      const file = readElf(before, bytes);
      assert.equal(file.header.class, bits);
      assert.equal(file.header.little, order === 'little');
      assert.equal(file.ofType(SHT_RELA).length > 0, form === 'RELA');

      // Nothing to do: every section where it was, with its bytes.
      const same = recheck(before, rewriteObject(file, noChange));
      assert.deepEqual(
        same.sections.map((s) => ({ ...s })),
        file.sections.map((s) => ({ ...s })),
      );
      for (const section of file.sections) assert.deepEqual(same.data(section), file.data(section));

      const change = changeEverything(file);
      const rewritten = rewriteObject(file, change);
      assert.deepEqual(rewriteObject(readElf(before, bytes), change), rewritten, 'the same bytes each time');
      writeFileSync(after, rewritten);
      const result = recheck(after, rewritten);

      const [was, is] = readelfAll([
        [before, 0],
        [after, 1],
      ]) as [ReadelfView, ReadelfView];
      const grown = /\.(symtab|strtab|shstrtab|group|llvm_addrsig)\b/;
      const sizeless = (line: string) =>
        grown.test(line) ? line.replace(/size \S+/, '') : line.replace('AXG', 'AX');
      const old = is.sections.filter((_, i) => i !== 1).slice(0, was.sections.length);
      const joins = (line: string) =>
        /^\d+ \.(rela?\.)?text /.test(line) ? line.replace(/ (\w*)G(\w*) link/, ' $1$2 link') : line;
      assert.deepEqual(old.map(joins).map(sizeless), was.sections.map(sizeless));
      const ours = /tp_(new|other)_/;
      const added = is.symbols.filter((s) => ours.test(s));
      assert.equal(added.length, 3);
      const sectionSymbol = is.symbols.findIndex((s) => / LOCAL .* tp_new_local$/.test(s)) - 1;
      assert.match(is.symbols[sectionSymbol] as string, / SECTION +LOCAL +/);
      const kept = is.symbols.filter((s, i) => i !== sectionSymbol && !ours.test(s));
      assert.deepEqual(kept, was.symbols);
      assert.deepEqual(is.relocations.slice(0, was.relocations.length), was.relocations);
      assert.ok(was.relocations.length > 0, 'the object has relocations to lose');
      const table = is.relocations.at(-1) as string[];
      assert.equal(table[0], form === 'RELA' ? '.rela__tp_table' : '.rel__tp_table');
      for (const [i, name] of ['tp_new_global', '.text', 'tp_new_local'].entries()) {
        const rows = table.slice(1).filter((row) => !row.startsWith('Type'));
        assert.ok(rows[i]?.includes(` ${name}`), `${rows[i]} names ${name}`);
      }
      // Old groups have the same signature and members, and two more; the new one comes first.
      assert.match(is.groups[0] as string, /^ \.group \[tp_new_local\] /);
      assert.equal(is.groups.length, was.groups.length + 1);
      for (const [i, group] of was.groups.entries()) {
        const now = is.groups[i + 1] as string;
        assert.ok(now.startsWith(`${group} `), `${now} begins like ${group}`);
        assert.match(now.slice(group.length), /^ \d+:__tp_table \d+:\.rela?__tp_table$/);
      }
      assert.deepEqual(
        newComplaints(before, after).filter((line) => !line.includes('__tp_')),
        [],
      );
      // All that no number stands in has its bytes.
      for (const section of file.sections) {
        if (section.type === SHT_NULL || section.type === SHT_NOBITS || section.link !== 0) continue;
        if (/^\.(strtab|shstrtab)$/.test(section.name)) continue;
        const moved = result.sections[section.index + 1] as typeof section;
        assert.deepEqual(result.data(moved), file.data(section), section.name);
      }
    },
  );
}
