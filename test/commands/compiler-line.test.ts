// What a compiler's line leaves behind. gcc and clang are asked themselves in cc.test.ts.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { type CompilerLine, readCompilerLine } from '../../src/commands/compiler-line.ts';
import { splitWords } from '../../src/files/response-file.ts';
import { scratch } from '../tools.ts';

const read = (line: string): CompilerLine => readCompilerLine(line.split(' '));
const paths = (line: string) => read(line).objects.map(({ path }) => path);

test('the objects of a line, whatever way they are named', () => {
  const rows: [string, string[]][] = [
    ['gcc -c x.c -o x.o', ['x.o']],
    ['gcc -ox.o -c x.c', ['x.o']],
    ['gcc --output=x.o -c x.c', ['x.o']],
    ['gcc --output x.o --compile x.c', ['x.o']],
    ['gcc -c x.c', ['x.o']],
    ['gcc -c dir.d/x.y.cpp', ['x.y.o']],
    ['gcc -c a.c b.S dir/c.s', ['a.o', 'b.o', 'c.o']],
    ['gcc -c x.c -o first.o -o last.o', ['last.o']],
    ['gcc -xc -c - -o x.o', ['x.o']],
    ['gcc -x assembler-with-cpp -c x.inc -o x.o', ['x.o']],
    ['gcc -DX=a.c -D y.c -I z.c -MF d.c -include i.c -c x.c', ['x.o']],
    ['ccache gcc -c x.c', ['x.o']],
    ['nice -n 5 distcc gcc -c x.c', ['x.o']],
    ['clang --target=aarch64-linux-gnu -target x.c -c x.ll', ['x.o']],
    ['gcc -c x.c -o /dev/null', ['/dev/null']],
  ];
  for (const [line, objects] of rows) assert.deepEqual(paths(line), objects, line);
});

test('lines that link, preprocess or only ask leave no object', () => {
  const lines = [
    'gcc a.o b.o -o program',
    'gcc -S x.c',
    'gcc -E x.c -o x.i',
    'gcc -M x.c -c',
    'gcc -MM x.c',
    'gcc -c -fsyntax-only x.c',
    'gcc -### -c x.c',
    'gcc --version',
    'gcc -print-file-name=libc.a',
    'gcc -dumpversion',
    'clang -c -emit-llvm x.c',
    'clang -c --precompile x.cpp',
    'gcc -c x.c -o -',
    'gcc -c x.h',
    'gcc -x c-header -c x.c -o x.h.gch',
    'gcc -shared a.o libb.a -Wl,-T,x.ld -o lib.so',
    'gcc',
  ];
  for (const line of lines) {
    const { objects, linkedAtOnce } = read(line);
    assert.deepEqual({ objects, linkedAtOnce }, { objects: [], linkedAtOnce: [] }, line);
  }
});

test('a line that links names its image', () => {
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['gcc a.o b.o -o program', 'program'],
    ['gcc a.o', 'a.out'],
    ['gcc -shared a.o libb.a -Wl,-T,x.ld -o lib.so', 'lib.so'],
    ['ccache gcc -flto a.o -oprogram', 'program'],
    ['gcc x.c', 'a.out'],
    ['gcc -c x.c', undefined],
    ['gcc -S x.c', undefined],
    ['gcc -print-file-name=libc.a', undefined],
    ['gcc', undefined],
  ];
  for (const [line, image] of rows) assert.equal(read(line).image, image, line);
});

test('an assembler by itself leaves one object', () => {
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['as --64 -o x.o x.s', ['x.o']],
    ['/usr/bin/aarch64-linux-gnu-as x.s -ox.o', ['x.o']],
    ['as x.s', ['a.out']],
    ['as --version', []],
  ];
  for (const [line, objects] of rows) assert.deepEqual(paths(line), objects, line);
});

test('sources that are compiled and linked at once are named', () => {
  assert.deepEqual(read('gcc x.c y.c z.o -o program').linkedAtOnce, ['x.c', 'y.c']);
  assert.deepEqual(read('gcc x.c y.c z.o -o program').objects, []);
});

test('the line for another name differs in the name alone, and keeps what follows from it', () => {
  const rows: [string, string][] = [
    ['gcc -O2 -c x.c -o d/x.o -Wall', 'gcc -O2 -c x.c -o NEW -Wall'],
    ['gcc -od/x.o -c x.c', 'gcc -o NEW -c x.c'],
    ['gcc -c d/x.c', 'gcc -c d/x.c -o NEW'],
    ['ccache gcc -c x.c', 'ccache gcc -c x.c -o NEW'],
    ['nice -n 5 gcc -c x.c -o x.o', 'nice -n 5 gcc -c x.c -o NEW'],
    ['gcc -MMD -c x.c -o d/x.o', 'gcc -MMD -c x.c -o NEW -MF d/x.d -MQ d/x.o'],
    ['gcc -MMD -c x.c -o d.e/x', 'gcc -MMD -c x.c -o NEW -MF d.e/x.d -MQ d.e/x'],
    ['gcc -MD -c x.c', 'gcc -MD -c x.c -o NEW -MF x.d -MQ x.o'],
    ['gcc -MD -MF y.d -c x.c -o x.o', 'gcc -MD -MF y.d -c x.c -o NEW -MQ x.o'],
    ['gcc -MD -MFy.d -MTx -c x.c -o x.o', 'gcc -MD -MFy.d -MTx -c x.c -o NEW'],
    ['gcc -MD -MQ x -c x.c -o x.o', 'gcc -MD -MQ x -c x.c -o NEW -MF x.d'],
    [
      'gcc -Wa,-march=generic64,--fatal-warnings -c x.c -o x.o',
      'gcc -Wa,-march=generic64,--fatal-warnings -c x.c -o NEW',
    ],
    ['gcc -Xassembler --fatal-warnings -c x.c -o x.o', 'gcc -Xassembler --fatal-warnings -c x.c -o NEW'],
    ['gcc --write-dependencies -c x.c', 'gcc --write-dependencies -c x.c -o NEW -MF x.d -MQ x.o'],
    [
      'ccache /usr/bin/x86_64-linux-gnu-gcc-12 -Wp,-MMD,.x.d -c x.c -o x.o',
      'ccache /usr/bin/x86_64-linux-gnu-gcc-12 -Wp,-MMD,.x.d -c x.c -o NEW',
    ],
    ['gcc -Wp,-MMD,d/.x.d -c x.c -o x.o', 'gcc -Wp,-MMD,d/.x.d -c x.c -o NEW'],
  ];
  for (const [line, changed] of rows) {
    assert.equal(read(line).objects[0]?.under?.('NEW').join(' '), changed, line);
  }
});

test('where the name means something, or there are several, there is no such line', () => {
  const lines = [
    'gcc -g -gsplit-dwarf -c x.c -o x.o',
    'gcc --coverage -c x.c -o x.o',
    'gcc -fprofile-arcs -c x.c -o x.o',
    'gcc -ftest-coverage -c x.c -o x.o',
    'gcc -fprofile-use -c x.c -o x.o',
    'gcc -fstack-usage -c x.c -o x.o',
    'gcc -save-temps -c x.c -o x.o',
    'gcc -save-temps=obj -c x.c -o x.o',
    'gcc -fdump-tree-all -c x.c -o x.o',
    'gcc -da -c x.c -o x.o',
    'gcc -c x.adb -o x.o',
    'clang -save-stats=obj -c x.c -o x.o',
    'clang -ftime-trace -c x.c -o x.o',
    'clang -grecord-command-line -c x.c -o x.o',
    'clang -MJ x.json -c x.c -o x.o',
    'clang -c -- x.c',
    'gcc -Wa,--MD,x.d -c x.S -o x.o',
    'gcc -Wa,-march=generic64,--MD=x.d -c x.S -o x.o',
    'gcc -Wa,-aghl=x.lst -c x.c -o x.o',
    'gcc -Wa,@words -c x.c -o x.o',
    'gcc -Xassembler --MD -Xassembler x.d -c x.S -o x.o',
    'gcc --for-assembler --MD -c x.S -o x.o',
    'gcc -fdeps-format=p1689r5 -c x.cc -o x.o',
    'gcc -fdiagnostics-add-output=sarif -c x.c -o x.o',
    'gcc --specs=x.specs -c x.c -o x.o',
    'clang -Wp,-MMD,x.d -c x.c -o x.o',
    'cc -Wp,-MD,x.d -c x.c -o x.o',
    'clang -gen-cdb-fragment-path d -c x.c -o x.o',
    'clang -index-store-path d -c x.c -o x.o',
    'clang -working-directory d -c x.c -o x.o',
    'clang --config x.cfg -c x.c -o x.o',
    'gcc -c a.c b.c',
    'gcc -c x.c -Xassembler',
    'gcc -c a.c b.c -o x.o',
    'gcc -c a.c other',
  ];
  for (const line of lines) {
    const { objects } = read(line);
    assert.ok(objects.length > 0, line);
    assert.ok(
      objects.every(({ under }) => under === undefined),
      line,
    );
  }
});

test('response files are read, also from each other, and one that is not there is a word', (t) => {
  const directory = scratch(t);
  const [outer, inner] = [join(directory, 'outer'), join(directory, 'inner')];
  writeFileSync(outer, `-c "a b.c"\n@${inner} -DX=\\"y\\"`);
  writeFileSync(inner, `-o 'c d.o'`);
  assert.deepEqual(readCompilerLine(['gcc', `@${outer}`]).objects, [{ path: 'c d.o' }]);
  assert.deepEqual(paths(`gcc @${directory}/none -c x.c`), ['x.o']);
  writeFileSync(inner, `@${inner}`);
  assert.throws(() => paths(`gcc @${inner} -c x.c`), /the response file names itself/);
});

test('words of a response file, as libiberty parts them', () => {
  const rows: [string, string[]][] = [
    ['a b\tc\nd', ['a', 'b', 'c', 'd']],
    ['"a b" \'c d\'', ['a b', 'c d']],
    ['a\\ b c\\\\d', ['a b', 'c\\d']],
    ['"a\\"b" \'a\\b\'', ['a"b', 'a\\b']],
    ['x"y z"w', ['xy zw']],
    ['"" \'\'', ['', '']],
    ['  ', []],
    ['\\', ['']],
  ];
  for (const [text, words] of rows) assert.deepEqual(splitWords(text), words, text);
});
