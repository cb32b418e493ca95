// The matrix of docs/linking.md: every linker, every way to link. A cell is right before boot and after, or verify finds
// what the linker lost; that is what `proveCell` holds it against. Here stands which of the two a cell is.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { longTest, run, scratch, testOfTurn, toolTest, turnOf } from '../tools.ts';
import {
  type Cell,
  cellsOf,
  headers,
  kinds,
  type MatrixLinker,
  matrixLinkers,
  proveCell,
} from './link-matrix.ts';
import { textpoke } from './programs.ts';

/**
 * What verify finds where a linker drops tables of live code: gold and mold do not keep the members of a section group
 * together under --gc-sections, and gold keeps no section because of SHF_GNU_RETAIN after -r.
 */
function lostIn({ linker, way, split }: Cell): readonly string[] {
  if (!way.startsWith('gc')) return [];
  if (linker === 'gold' && (split || way === 'gc after -r')) return ['TP009', 'TP010', 'TP032'];
  if (linker === 'mold' && split) return ['TP009', 'TP010'];
  return [];
}

const program: Readonly<Record<MatrixLinker, string>> = {
  bfd: 'ld.bfd',
  gold: 'ld.gold',
  lld: 'ld.lld',
  'lld-19': 'ld.lld-19',
  mold: 'mold',
};

for (const [first, linker] of matrixLinkers.entries()) {
  for (const [second, kind] of kinds.entries()) {
    testOfTurn(first + second, 3)(
      `${program[linker]} -${kind}: a program is right before boot and after, or verify finds what the link lost`,
      ['gcc', program[linker]],
      async (t) => {
        const directory = scratch(t);
        const cells = cellsOf(linker).filter((one) => one.kind === kind);
        for (const cell of turnOf(cells, 5 * (first + second))) {
          assert.deepEqual(await proveCell(cell, directory), lostIn(cell), JSON.stringify(cell));
        }
      },
    );
  }
}

/** Two units that link-time optimisation makes one of. */
const units = {
  main: `${headers}DEFINE_STATIC_KEY_FALSE(k);
int main(void) { show("work", work(3)); show("call", static_call(c)()); return show("own", static_branch_unlikely(&k) ? 1 : 0) < 0; }
`,
  work: `${headers}static int n;
static int one_(void) { return n; }
__attribute__((used)) int two(void) { return 2; }
DEFINE_STATIC_CALL(c, one_);
int work(int x) { __atomic_fetch_add(&n, 1, 5); return static_branch_unlikely(&k) ? x + 100 : x; }
`,
  show: `#include <stdio.h>
int show(const char *what, int value) { return printf("%s %d\\n", what, value); }
`,
};

for (const [turn, linker] of (['bfd', 'gold', 'mold'] as const).entries()) {
  for (const fat of turnOf([[], ['-ffat-lto-objects']], turn)) {
    longTest(
      `${program[linker]}: textpoke cc annotates what gcc -flto ${fat.join(' ')} compiles during the link`,
      ['gcc', program[linker]],
      (t) => {
        const directory = scratch(t);
        const flags = ['-O2', '-flto', ...fat, `-I${join(import.meta.dirname, '..', '..', 'include')}`];
        const cc = (words: readonly string[]) => textpoke(['cc', '--', 'gcc', ...flags, ...words], directory);
        for (const [name, text] of Object.entries(units)) {
          writeFileSync(join(directory, `${name}.c`), text);
          assert.equal(cc(['-c', `${name}.c`]).status, 0);
        }
        const linked = cc([`-fuse-ld=${linker}`, 'main.o', 'work.o', 'show.o', '-o', 'program']);
        assert.deepEqual([linked.status, linked.stderr], [0, '']);
        const verified = textpoke(['verify', 'program', '--linked'], directory);
        assert.deepEqual([verified.status, verified.stdout, verified.stderr], [0, '', '']);
        const patched = textpoke(
          ['boot', 'program', '--enable', 'k', '--update', 'c=two', '-o', 'patched'],
          directory,
        );
        assert.deepEqual([patched.status, patched.stderr], [0, '']);
        assert.equal(run(join(directory, 'program'), []), 'work 3\ncall 1\nown 0\n');
        assert.equal(run(join(directory, 'patched'), []), 'work 103\ncall 2\nown 1\n');
      },
    );
  }
}

longTest(
  'what a linker compiles without textpoke is found, and boot refuses to change a key of it',
  ['gcc', 'clang', 'ld.lld'],
  (t) => {
    const directory = scratch(t);
    for (const [name, text] of Object.entries(units)) writeFileSync(join(directory, `${name}.c`), text);
    const include = `-I${join(import.meta.dirname, '..', '..', 'include')}`;
    const sources = ['main.c', 'work.c'];
    run('gcc', ['-O2', '-c', 'show.c'], directory);
    assert.equal(textpoke(['annotate', '--mark', 'show.o'], directory).status, 0);
    for (const [compiler, ...flags] of [
      ['gcc', '-flto'],
      ['clang', '-flto', '-fuse-ld=lld'],
    ] as const) {
      run(compiler, ['-O2', ...flags, include, ...sources, 'show.o', '-o', 'program'], directory);
      const { status, stdout } = textpoke(['verify', 'program', '--linked'], directory);
      assert.equal(status, 1, compiler);
      assert.match(stdout, /TP030 forgotten-object/, compiler);
      const refused = textpoke(['boot', 'program', '--enable', 'k', '-o', 'patched'], directory);
      assert.equal(refused.status, 1, compiler);
      assert.match(refused.stderr, /never annotated .*LTO.*\[step-refused\]/, compiler);
    }
  },
);

toolTest(
  'code that BOLT has moved is found, and boot refuses to change its keys',
  ['gcc', 'llvm-bolt-19'],
  (t) => {
    const directory = scratch(t);
    for (const [name, text] of Object.entries(units)) {
      // Without the call, which boot would refuse first.
      const branches = text.replace(/show\("call".*?; /, '').replace(/^DEFINE_STATIC_CALL.*$/m, '');
      writeFileSync(join(directory, `${name}.c`), branches);
      run(
        'gcc',
        ['-O2', '-fno-pie', `-I${join(import.meta.dirname, '..', '..', 'include')}`, '-c', `${name}.c`],
        directory,
      );
      assert.equal(textpoke(['annotate', `${name}.o`], directory).status, 0);
    }
    run('gcc', ['-no-pie', '-Wl,--emit-relocs', 'main.o', 'work.o', 'show.o', '-o', 'program'], directory);
    run('llvm-bolt-19', ['program', '-o', 'moved', '--reorder-blocks=ext-tsp'], directory);
    assert.equal(textpoke(['verify', 'program', '--linked'], directory).status, 0);
    const { status, stdout } = textpoke(['verify', 'moved', '--linked'], directory);
    assert.equal(status, 1);
    assert.match(stdout, /TP031 code-without-function/);
    assert.match(
      textpoke(['boot', 'moved', '--enable', 'k'], directory).stderr,
      /post-link tool .*\[step-refused\]/,
    );
  },
);
