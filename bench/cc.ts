// What `textpoke cc` costs over the bare compiler, one by one, and what annotating all objects at once costs.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../test/built.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const program = builtProgram();
const count = Number(process.env.TEXTPOKE_OBJECTS) || 500;
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-bench-cc-'));

/** A unit of some size: with the headers of a C program, and 1 to 20 functions that have sites. */
function unit(i: number): string {
  const functions = Array.from(
    { length: 1 + (i % 20) },
    (_, f) => `int f${i}_${f}(int a) {
  if (static_branch_unlikely(&off)) printf("%d\\n", a);
  __atomic_fetch_add(&counter, a, __ATOMIC_SEQ_CST);
  return static_call(call${i})(a) + ${f};
}`,
  );
  return `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
static DEFINE_STATIC_KEY_FALSE(off);
int work${i}(int);
DEFINE_STATIC_CALL(call${i}, work${i});
extern int counter;
${functions.join('\n')}
`;
}

function timed(command: string, args: readonly string[]): number {
  const start = performance.now();
  execFileSync(command, args, { stdio: 'inherit', cwd: scratch });
  return performance.now() - start;
}

try {
  const names = Array.from({ length: count }, (_, i) => `u${i}`);
  for (const [i, name] of names.entries()) writeFileSync(join(scratch, `${name}.c`), unit(i));
  const flags = ['-O2', '-g', `-I${root}include`, '-c'];
  let [bare, through] = [0, 0];
  for (const name of names) {
    bare += timed('gcc', [...flags, `${name}.c`, '-o', `${name}.o`]);
    through += timed(process.execPath, [
      program,
      'cc',
      '--',
      'gcc',
      ...flags,
      `${name}.c`,
      '-o',
      `${name}.cc.o`,
    ]);
  }
  const list = join(scratch, 'list');
  writeFileSync(list, names.map((name) => `${name}.o\n`).join(''));
  const batch = timed(process.execPath, [program, 'annotate', '-j', '2', '--files-from', list]);
  for (const name of names) {
    if (spawnSync('cmp', [join(scratch, `${name}.o`), join(scratch, `${name}.cc.o`)]).status !== 0)
      throw new Error(`${name}.o: not the same both ways`);
  }
  const ratio = (time: number) => (time / bare).toFixed(2);
  const each = (time: number) => `${(time / count).toFixed(1)} ms an object`;
  console.log(`${count} objects by gcc -O2 -g: ${each(bare)}`);
  console.log(`textpoke cc, one by one: ${each(through)}, ratio ${ratio(through)}`);
  console.log(`gcc, then annotate -j 2 of all: ${each(bare + batch)}, ratio ${ratio(bare + batch)}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
