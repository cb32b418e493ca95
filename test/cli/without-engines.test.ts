// What is shipped without the optional packages: everything works but disassembly and --cross-check, which say so.
import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { annotated } from '../samples.ts';
import { startSync } from '../starter.ts';
import { scratchOfFile } from '../tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const directory = scratchOfFile();

/** The command line where no package can be found. */
function textpoke(...args: readonly string[]) {
  const program = join(directory, 'bin', basename(builtProgram()));
  return startSync(process.execPath, [program, ...args], { cwd: directory });
}

before(() => {
  builtProgram();
  for (const name of ['bin', 'dist']) cpSync(join(root, name), join(directory, name), { recursive: true });
  writeFileSync(join(directory, 'comdat.o'), annotated('gcc-O2', 'comdat'));
  for (const name of ['main.o', 'work.o']) cpSync(join(root, 'samples/demo', name), join(directory, name));
  const { status, stderr } = textpoke('annotate', 'main.o', 'work.o');
  assert.deepEqual([status, stderr], [0, '']);
});

test('boot, verify and diff need no engine; a finding is shown as bytes', () => {
  assert.equal(textpoke('boot', 'main.o', 'work.o', '--cpus', '1', '-o', 'up').status, 0);
  assert.equal(textpoke('verify', 'up', '--cpus', '1').status, 0);
  assert.equal(textpoke('diff', 'up', 'up').status, 0);
  const { status, stdout } = textpoke('verify', 'up', '--cpus', '2');
  assert.equal(status, 1);
  assert.match(stdout, /^ {4}found {4}3e$/m);
});

test('boot --trace shows bytes alone, and says why', () => {
  const { status, stdout, stderr } = textpoke('boot', 'main.o', 'work.o', '--cpus', '1', '--trace');
  assert.equal(status, 0);
  assert.match(stdout, /^ {4}- f0\n {4}\+ 3e$/m);
  assert.match(stderr, /capstone-wasm is not installed/);
});

for (const [what, name, args] of [
  ['dump --disassemble', 'capstone-wasm', ['dump', 'main.o', '--disassemble']],
  ['annotate --cross-check', 'keystone-wasm', ['annotate', 'main.o', '--cross-check']],
] as const) {
  test(`${what} is refused with the name of the package that it needs`, () => {
    const { status, stderr } = textpoke(...args);
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`npm install ${name} \\[engine-missing\\]\n$`));
  });
}

test('without the demangler names stay as the linker has them, and nothing is said of it', () => {
  const { status, stdout, stderr } = textpoke('dump', 'comdat.o');
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, / _Z\w+/);
  assert.deepEqual(textpoke('dump', 'comdat.o', '--no-demangle').stdout, stdout);
});

test('dump without --disassemble needs no engine', () => {
  const { status, stderr } = textpoke('dump', 'main.o');
  assert.deepEqual([status, stderr], [0, '']);
});
