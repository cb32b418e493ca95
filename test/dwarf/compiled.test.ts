// Lines of every byte of code that gcc, clang and the assemblers make, held against addr2line: each DWARF version
// and form, in objects and in what is linked of them.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { linesOfAddresses, linesOfPlaces } from '../../src/dwarf/source-lines.ts';
import { ET_REL, SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR } from '../../src/elf/constants.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { isAll, rowsOf, run, scratch, testOfTurn, toolTest, turnOf } from '../tools.ts';
import { askAddr2line, assertSame } from './addr2line.ts';

const functions = Array.from(
  { length: 12 },
  (_, i) => `
static inline int twist${i}(int a)
{
  while (a > ${i + 100})
    a -= sum(a, ${i});

  return a;
}

int work${i}(int a, int b)
{
  if (a == ${i})
    return twist${i}(b);
#line ${(i + 1) * 1000}
  for (int k = 0; k < a; k++)
    b += twist${i}(k) ^ sum(a, b);
  return b;
}
${i === 5 ? '__attribute__((section(".init.text"))) int early(int a)\n{\n  return sum(a,\n             a);\n}\n' : ''}`,
);
const header = `
static inline int sum(int a, int b)
{
  int c = a;
  c += b * 3;
  return c;
}
`;
const program = `#include "inc/./sum.h"\n${functions.join('\n')}
volatile int seen;
void entry(void) { for (;;) seen = work0(work1(seen, 2), work2(3, seen)); }
`;
const assembly = `
 .text
 .globl entry
entry:
 nop

 .macro twice
 nop
 nop
 .endm
 twice
 nop
 .section .text.other, "ax", %progbits
other:
 nop
 twice
 .long 0
`;

/** Asks for every byte of code of a file; `truth` is a file with the same code and lines that addr2line can read. */
function compare(file: ElfFile, addr2line: string, truth: string, what: string): void {
  // A .dwo file is not read, so nothing says what was inlined.
  const isSplit = what.includes('-gsplit-dwarf');
  const problems = new Set<string>();
  const ask = (section: string | undefined, places: readonly number[]) => {
    const answers = askAddr2line(addr2line, truth, section, places);
    return isSplit ? answers.map((frames) => frames.slice(0, 1)) : answers;
  };
  const code = file.sections.filter(
    (s) => (s.flags & SHF_ALLOC) !== 0 && (s.flags & SHF_EXECINSTR) !== 0 && s.size > 0,
  );
  let known = 0;
  for (const section of code) {
    const offsets = Array.from({ length: Math.min(section.size, 3000) }, (_, i) => i);
    if (file.header.type === ET_REL) {
      const { lines, problem } = linesOfPlaces(
        file,
        offsets.map((offset) => ({ section: section.index, offset })),
        undefined,
        { inlines: true },
      );
      if (problem !== undefined) problems.add(problem);
      known += assertSame(lines, ask(section.name, offsets), `${what}, ${section.name}`);
    } else {
      const addresses = offsets.map((offset) => section.addr + offset);
      const { lines, problem } = linesOfAddresses(file, addresses, undefined, { inlines: true });
      if (problem !== undefined) problems.add(problem);
      known += assertSame(lines, ask(undefined, addresses), `${what}, ${section.name}`);
    }
  }
  assert.ok(known > 5, `${what}: lines were found`);
  assert.equal(problems.size, isSplit ? 1 : 0, `${what}: ${[...problems].join('; ')}`);
  for (const problem of problems)
    assert.match(
      problem,
      /^callers of inlined code are missing: the unit at byte 0x\w+ of \.debug_info: its functions are in a \.dwo file, which is not read$/,
      what,
    );
}

const fileOf = (path: string) => readElf(path, new Uint8Array(readFileSync(path)));

function writeSources(directory: string): void {
  run('mkdir', ['-p', join(directory, 'inc')]);
  writeFileSync(join(directory, 'inc', 'sum.h'), header);
  writeFileSync(join(directory, 'work.c'), program);
  writeFileSync(join(directory, 'hand.S'), assembly);
}

interface Target {
  readonly name: string;
  readonly compiler: readonly [string, ...string[]];
  readonly addr2line: string;
  /** How it links without libraries: kinds of images it can make. */
  readonly images: readonly string[];
}

const arm = 'arm-linux-gnueabihf';
const aarch64 = 'aarch64-linux-gnu';
const images = ['-static', '-shared', '-pie'];
const targets: readonly Target[] = [
  { name: 'gcc', compiler: ['gcc'], addr2line: 'addr2line', images },
  { name: 'clang', compiler: ['clang'], addr2line: 'addr2line', images },
  { name: 'AArch64 gcc', compiler: [`${aarch64}-gcc`], addr2line: `${aarch64}-addr2line`, images },
  {
    ...{ name: 'AArch64 clang', compiler: ['clang', `--target=${aarch64}`, '-fuse-ld=lld'] },
    ...{ addr2line: `${aarch64}-addr2line`, images },
  },
  { name: 'ARM gcc', compiler: [`${arm}-gcc`, '-marm'], addr2line: `${arm}-addr2line`, images },
  { name: 'Thumb gcc', compiler: [`${arm}-gcc`, '-mthumb'], addr2line: `${arm}-addr2line`, images },
  {
    ...{ name: 'Thumb clang', compiler: ['clang', `--target=${arm}`, '-mthumb', '-fuse-ld=lld'] },
    ...{ addr2line: `${arm}-addr2line`, images },
  },
  {
    ...{ name: 'big-endian ARM gcc', compiler: [`${arm}-gcc`, '-marm', '-mbig-endian'] },
    ...{ addr2line: `${arm}-addr2line`, images: ['-static'] },
  },
  {
    ...{ name: 'big-endian AArch64 gcc', compiler: [`${aarch64}-gcc`, '-mbig-endian'] },
    ...{ addr2line: `${aarch64}-addr2line`, images: [] },
  },
];

/**
 * What the compilers are told, each with DWARF of its own. `extra` is what makes addr2line 2.40 fail, and changes
 * neither code nor lines: it is asked about the same without.
 */
const forms: readonly { readonly flags: readonly string[]; readonly extra?: string }[] = [
  { flags: ['-gdwarf-2'] },
  { flags: ['-gdwarf-3', '-O0'] },
  { flags: ['-gdwarf-4'] },
  { flags: ['-gdwarf-5'] },
  { flags: ['-gdwarf-5'], extra: '-gdwarf64' },
  { flags: ['-gdwarf-4', '-O0'], extra: '-gdwarf64' },
  { flags: ['-g', '-ffunction-sections', '-fPIC'] },
  { flags: ['-g'], extra: '-gsplit-dwarf' },
];

for (const [turn, { name, compiler, addr2line, images: kinds }] of targets.entries()) {
  const [driver, ...always] = compiler;
  const linker = always.includes('-fuse-ld=lld') ? ['ld.lld'] : [];
  testOfTurn(turn, 9)(
    `${name}: every byte of code has the line that addr2line gives it`,
    [driver, addr2line, ...linker],
    (t) => {
      const directory = scratch(t);
      writeSources(directory);
      const build = (args: readonly string[]) =>
        run(driver, [...always, '-ffreestanding', '-fno-stack-protector', ...args], directory);
      // DWARF of 64 bits is for machines of 64 bits.
      const possible = rowsOf(
        forms.filter(({ extra }) => extra !== '-gdwarf64' || !addr2line.startsWith(arm)),
        4,
      );
      const objects = new Map<string, string>();
      /** What an object is linked to, or the object; one that several images are made of is compiled once. */
      const make = (flags: readonly string[], link: readonly string[] | undefined, name: string): string => {
        const key = flags.join(' ');
        const object = objects.get(key) ?? join(directory, `${objects.size}.o`);
        if (!objects.has(key)) build([...flags, '-c', 'work.c', '-o', object]);
        objects.set(key, object);
        if (link === undefined) return object;
        build([...link, object, '-o', name]);
        return join(directory, name);
      };
      const both = (flags: readonly string[], extra: string | undefined, link?: readonly string[]) => {
        // addr2line 2.40 takes the base of clang's range lists in objects for 0.
        const readable = driver === 'clang' ? ['-gdwarf-4'] : [];
        const more = extra === undefined ? [] : [extra];
        const plain = make([...flags, ...readable], link, 'plain');
        const isOther = readable.length + more.length > 0;
        const asked = isOther ? make([...flags, ...more], link, 'asked') : plain;
        const what = [...(link ?? []), ...flags, extra ?? ''].join(' ');
        compare(fileOf(asked), addr2line, plain, what);
      };
      for (const { flags, extra } of possible) both(['-O2', ...flags], extra);
      build(['-g', '-c', 'hand.S', '-o', 'hand.o']);
      compare(fileOf(join(directory, 'hand.o')), addr2line, join(directory, 'hand.o'), 'hand.S');
      for (const kind of turnOf(kinds, turn)) {
        for (const { flags, extra } of isAll ? possible.slice(3) : possible.slice(-1)) {
          const collect = flags.includes('-ffunction-sections') ? ['-Wl,--gc-sections'] : [];
          both(['-O1', '-fPIC', ...flags], extra, ['-nostdlib', kind, ...collect, '-Wl,-e,entry']);
        }
      }
    },
  );
}

toolTest('compressed line tables say what plain ones do', ['gcc', 'addr2line'], (t) => {
  const directory = scratch(t);
  writeSources(directory);
  const compile = (flag: string, output: string) =>
    run(
      'gcc',
      ['-O1', '-g', `-Wa,--compress-debug-sections=${flag}`, '-c', 'work.c', '-o', output],
      directory,
    );
  const plain = join(directory, 'plain.o');
  compile('none', plain);
  for (const form of ['zlib', 'zlib-gnu', 'zstd']) {
    const packed = join(directory, `${form}.o`);
    compile(form, packed);
    const file = fileOf(packed);
    const section = file.sections.find((s) => /^\.z?debug_line$/.test(s.name));
    assert.ok(section && (section.name === '.zdebug_line' || (section.flags & SHF_COMPRESSED) !== 0), form);
    compare(file, 'addr2line', plain, form);
  }
});

toolTest(
  'objects that ld -r has put together and COMDAT functions have their lines',
  ['g++', 'ld', 'addr2line'],
  (t) => {
    const directory = scratch(t);
    writeSources(directory);
    writeFileSync(
      join(directory, 'pair.cpp'),
      'template <int N> int scale(int a)\n{\n  return a\n    * N;\n}\nint both(int a) { return scale<3>(a) + scale<5>(a); }\n',
    );
    run('g++', ['-O0', '-g', '-c', 'pair.cpp', '-o', 'pair.o'], directory);
    const pair = join(directory, 'pair.o');
    compare(fileOf(pair), 'addr2line', pair, 'COMDAT');
    run('gcc', ['-O1', '-gdwarf-4', '-c', 'work.c', '-o', 'work.o'], directory);
    run('ld', ['-r', 'pair.o', 'work.o', '-o', 'whole.o'], directory);
    const whole = join(directory, 'whole.o');
    compare(fileOf(whole), 'addr2line', whole, 'ld -r');
  },
);

toolTest('relocations that an image has kept are not applied again', ['gcc', 'addr2line'], (t) => {
  const directory = scratch(t);
  writeSources(directory);
  const link = (flags: string, image: string) =>
    run(
      'gcc',
      ['-O1', '-g', '-nostdlib', '-static', `-Wl,-e,entry${flags}`, 'work.c', '-o', image],
      directory,
    );
  link('', 'plain');
  link(',--emit-relocs', 'kept');
  const file = fileOf(join(directory, 'kept'));
  assert.ok(file.named('.rela.debug_line'), 'the linker has kept the relocations');
  compare(file, 'addr2line', join(directory, 'plain'), '--emit-relocs');
});
