// What a linker would compile again is refused, wherever it lies.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { annotate, TextpokeError } from '../../src/index.ts';
import { archiveOf } from '../elf/archives.ts';
import { run, scratch, toolTest } from '../tools.ts';

const include = join(import.meta.dirname, '..', '..', 'include');
const bitcode = Uint8Array.of(0x42, 0x43, 0xc0, 0xde, 0, 0, 0, 0);
const wrapped = Uint8Array.of(0xde, 0xc0, 0x17, 0x0b, 0, 0, 0, 0);
const object = readFileSync(new URL('../../samples/objects/gcc-O2/branch.o', import.meta.url));

const refuses = (bytes: Uint8Array, file: string, message = /bitcode/) =>
  assert.throws(
    () => annotate({ name: 'lib.a', bytes }),
    (error) =>
      error instanceof TextpokeError &&
      error.code === 'lto-object' &&
      error.place.file === file &&
      message.test(error.message),
  );

test('bitcode is refused as it is alone: in an archive, and in an archive of archives', () => {
  refuses(bitcode, 'lib.a');
  refuses(
    archiveOf([
      ['a.o', object],
      ['b.o', bitcode],
    ]),
    'lib.a(b.o)',
  );
  refuses(archiveOf([['b.o', wrapped]]), 'lib.a(b.o)');
  refuses(archiveOf([['in.a', archiveOf([['b.o', bitcode]])]]), 'lib.a(in.a)(b.o)');
});

test('the objects of an archive in an archive are annotated, up to a depth that nobody needs', () => {
  const nested = (depth: number): Uint8Array =>
    depth === 0 ? object : archiveOf([['in.a', nested(depth - 1)]]);
  assert.equal(annotate({ name: 'lib.a', bytes: nested(8) }).document.files.length, 1);
  assert.throws(
    () => annotate({ name: 'lib.a', bytes: nested(9) }),
    (error) => error instanceof TextpokeError && error.code === 'archive-malformed',
  );
});

/** Compilers whose objects hold bytecode beside machine code. */
const fat: readonly (readonly [compiler: string, section: string])[] = [
  ['gcc', '.gnu.lto_*'],
  ['clang-19', '.llvm.lto'],
];
for (const [compiler, section] of fat) {
  toolTest(
    `${compiler}: an object with bytecode beside its machine code is refused if it has sites, and annotated without the bytecode`,
    [compiler, 'objcopy'],
    (t) => {
      const directory = scratch(t);
      const compile = (name: string, text: string) => {
        const path = join(directory, name);
        run('sh', ['-c', 'printf %s "$1" > "$2"', 'sh', text, `${path}.c`]);
        run(compiler, ['-O2', '-flto', '-ffat-lto-objects', `-I${include}`, '-c', `${path}.c`, '-o', path]);
        return path;
      };
      const plain = compile('plain', 'int f(int x) { return x; }');
      assert.equal(annotate(plain, { mark: true }).changed, false);
      const site = `#include <textpoke/static_key.h>
DEFINE_STATIC_KEY_FALSE(k);
int f(int x) { return static_branch_unlikely(&k) ? 1 : x; }
`;
      const path = compile('site', site);
      const bytes = readFileSync(path);
      refuses(archiveOf([['site.o', bytes]]), 'lib.a(site.o)', /beside its machine code.*-fno-lto/);
      run('objcopy', ['-R', section, path]);
      const [counts] = annotate(path).document.files;
      assert.equal(counts?.staticBranches, 1);
    },
  );
}
