// LOCK_PREFIX of lock.h: the assembler writes the entry of .smp_locks, and annotate none a second time.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate } from '../../src/library/annotate.ts';
import { run, scratch, testOfTurn } from '../tools.ts';

const include = fileURLToPath(new URL('../../include', import.meta.url));
const inC = `#include <textpoke/lock.h>
int n;
_Atomic int m;
void a(void);
void b(void);
void c(void);
void a(void) { __asm__ volatile(LOCK_PREFIX "incl %0" : "+m"(n) : : "memory"); }
void b(void) { __asm__ volatile(LOCK_PREFIX_HERE "lock; incl %0" : "+m"(n) : : "memory"); }
void c(void) { m++; }
`;
const inAssembly = `#include <textpoke/lock.h>
	.text
	.globl f
	.type f, @function
f:	LOCK_PREFIX
	incl (%rdi)
	lock incl (%rsi)
	ret
	.size f, . - f
	.section .note.GNU-stack, "", @progbits
`;

/** What the relocations of .smp_locks name, in order. */
function listed(object: string): string[] {
  const sections = run('readelf', ['-rW', object]).split('Relocation section ');
  return sections
    .filter((text) => text.startsWith("'.rela.smp_locks"))
    .flatMap((text) =>
      [...text.matchAll(/ R_X86_64_PC32 .* (\S+ [+-] \w+)$/gm)].map(([, place]) => place ?? ''),
    );
}

for (const [turn, compiler] of ['gcc', 'clang'].entries())
  testOfTurn(turn, 2)(
    `${compiler}: locks that the assembler lists are listed once, others when they are asked for`,
    [compiler, 'readelf'],
    (t) => {
      const directory = scratch(t);
      for (const [name, source, own, others] of [
        ['unit.c', inC, 2, 1],
        ['unit.S', inAssembly, 1, 1],
      ] as const) {
        const object = join(directory, `${name}.o`);
        writeFileSync(join(directory, name), source);
        run(compiler, [
          '-O2',
          '-Wall',
          '-Wextra',
          '-Werror',
          '-pedantic',
          `-I${include}`,
          '-c',
          join(directory, name),
          '-o',
          object,
        ]);
        const before = listed(object);
        assert.equal(before.length, own);
        writeFileSync(object, annotate(object).bytes);
        assert.deepEqual(listed(object), before, 'none is added');
        writeFileSync(object, annotate(object, { locks: 'all' }).bytes);
        const all = listed(object);
        assert.equal(all.length, own + others);
        assert.equal(new Set(all).size, all.length);
        assert.deepEqual(all.slice(0, own), before);
        writeFileSync(object, annotate(object, { locks: 'all' }).bytes);
        assert.deepEqual(listed(object), all, 'none is listed twice');
      }
    },
  );
