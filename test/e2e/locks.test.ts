// Locks of programs as compilers and assemblers make them: constants among code stay what they are, thread-local atomics
// work wherever the program runs, and code that needs a call's return address is refused.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { longTest, run, scratch, toolTest, tryRun } from '../tools.ts';
import { done, textpoke } from './programs.ts';

const include = fileURLToPath(new URL('../../include', import.meta.url));
const library = fileURLToPath(new URL('../../runtime/textpoke.c', import.meta.url));

/** Annotates objects of a directory and links them; returns what annotate said of them. */
function build(directory: string, objects: readonly string[], ...flags: readonly string[]): string {
  const paths = objects.map((name) => join(directory, name));
  const { stderr } = textpoke(['annotate', ...paths]);
  writeFileSync(join(directory, 'tp.ld'), done(['ldscript']));
  run('gcc', ['-no-pie', ...objects, ...flags, '-Wl,-T,tp.ld', '-o', 'program'], directory);
  return stderr;
}

const constants = {
  // A table inside of a sized function, of which the second one decodes to the end.
  'gas.s': `.text
.macro function name, last
	.globl \\name
	.type \\name, @function
\\name:
	mov .Lk\\@(%rip), %eax
	xor .Lk\\@+4(%rip), %eax
	ret
	.balign 8
.Lk\\@:	.long 0x7a0701f0, \\last
	.size \\name, . - \\name
.endm
	function first, 0x11223344
	function second, 0xc3909090
	.section .note.GNU-stack,"",@progbits
`,
  'nasm.asm': `section .text
global third
third:
	mov eax, [rel table]
	ret
align 8
table:	dd 0x7a0701f0, 0x11223344
section .note.GNU-stack noalloc noexec nowrite progbits
`,
  'main.c': `#include <stdatomic.h>
unsigned first(void), second(void), third(void);
atomic_int n;
int main(void) {
  n++;
  return first() != (0x7a0701f0u ^ 0x11223344u) || second() != (0x7a0701f0u ^ 0xc3909090u) || third() != 0x7a0701f0u;
}
`,
};

toolTest(
  'constants among code are no locks, with symbols and without, and annotate says so',
  ['gcc', 'nasm', 'strip'],
  (t) => {
    const directory = scratch(t);
    for (const [name, text] of Object.entries(constants)) writeFileSync(join(directory, name), text);
    run('gcc', ['-O2', '-c', 'gas.s', 'main.c'], directory);
    run('nasm', ['-f', 'elf64', 'nasm.asm', '-o', 'nasm.o'], directory);
    const said = build(directory, ['main.o', 'gas.o', 'nasm.o']);
    assert.match(
      said,
      /gas\.o: 2 lock prefixes are not listed, because nothing proves .* \(the first is first\+0x10\)/,
    );
    assert.match(said, /nasm\.o: 1 lock prefix is not listed/);
    assert.doesNotMatch(said, /main\.o/);
    const [program, patched] = [join(directory, 'program'), join(directory, 'patched')];
    done(['boot', program, '--cpus', '1', '-o', patched]);
    assert.equal(tryRun(patched, []).status, 0);
    done(['verify', patched, '--original', program, '--cpus', '1', '--locks', 'all']);
    const stripped = join(directory, 'stripped');
    copyFileSync(patched, stripped);
    run('strip', [stripped]);
    done(['verify', stripped, '--cpus', '1', '--locks', 'all']);
  },
);

toolTest(
  'a lock of a forgotten object is found in a stripped image, by its unwind tables',
  ['gcc', 'strip'],
  (t) => {
    const directory = scratch(t);
    writeFileSync(
      join(directory, 'a.c'),
      '#include <stdatomic.h>\natomic_int n; void f(void); int main(void) { n++; f(); }\n',
    );
    writeFileSync(
      join(directory, 'b.c'),
      '#include <stdatomic.h>\nextern atomic_int n; void f(void) { n--; }\n',
    );
    run('gcc', ['-O2', '-c', 'a.c', 'b.c'], directory);
    build(directory, ['a.o'], 'b.o');
    run('strip', ['program'], directory);
    const { status, stdout } = textpoke(['verify', join(directory, 'program'), '--linked']);
    assert.equal(status, 1);
    assert.equal(stdout.match(/TP010/g)?.length, 2, stdout);
  },
);

const threads = `#include <stdatomic.h>
#include <stdio.h>
#ifdef RUNTIME
#include <textpoke/runtime.h>
#endif
_Thread_local atomic_int mine;
_Thread_local atomic_short small;
atomic_int shared;
__attribute__((noinline)) void hit(void) { mine++; small++; shared++; }
int main(void) {
#ifdef RUNTIME
  if (textpoke_init()) return 2;
  textpoke_set_cpus(1);
#endif
  for (int i = 0; i < 3; i++) hit();
  const unsigned char *code = (const unsigned char *)hit;
  for (int i = 0; i < 32; i++) printf("%02x", code[i]);
  return mine != 3 || small != 3 || shared != 3;
}
`;

toolTest(
  'the lock of a thread-local atomic becomes its segment override, for boot and for the runtime in C',
  ['gcc', 'qemu-x86_64', 'valgrind'],
  (t) => {
    const directory = scratch(t);
    writeFileSync(join(directory, 'tls.c'), threads);
    run('gcc', ['-O2', '-c', 'tls.c'], directory);
    build(directory, ['tls.o']);
    const [program, patched] = [join(directory, 'program'), join(directory, 'patched')];
    const trace = done(['boot', program, '--cpus', '1', '--trace', '-o', patched]);
    assert.match(
      trace,
      /one CPU: lock becomes fs\n.*f0 {2}lock add dword ptr fs:.*\n.*64 {2}add dword ptr fs:/,
    );
    const shown = tryRun(patched, []);
    assert.equal(shown.status, 0);
    assert.match(
      shown.stdout,
      /^(?:f30f1efa)?6464830425........01.*646664830425|^(?:f30f1efa)?6464830425........01/,
    );
    for (const reader of [['qemu-x86_64'], ['valgrind', '-q', '--error-exitcode=9']] as const) {
      assert.equal(tryRun(reader[0], [...reader.slice(1), patched]).status, 0, reader[0]);
    }
    done(['verify', patched, '--original', program, '--cpus', '1']);
    const back = join(directory, 'back');
    done(['boot', patched, '--cpus', '2', '-o', back]);
    assert.deepEqual(readFileSync(back), readFileSync(program));
    // The kernel's own code writes DS whatever stands beside a lock.
    done(['boot', program, '--cpus', '1', '--profile', '6.6', '-o', patched]);
    assert.match(tryRun(patched, []).stdout, /^(?:f30f1efa)?643e830425/);

    run('gcc', ['-O2', '-DRUNTIME', '-I', include, '-c', 'tls.c'], directory);
    build(directory, ['tls.o'], '-I', include, library);
    const ran = tryRun(program, []);
    assert.equal(ran.status, 0);
    // Up to the displacement of the shared one, which is another in another program.
    assert.equal(ran.stdout.slice(0, 48), shown.stdout.slice(0, 48));
  },
);

longTest('a call whose return address is checked (speculative load hardening) is refused', ['clang'], (t) => {
  const directory = scratch(t);
  const source = '#include <textpoke/static_call.h>\nvoid hook(int);\nDEFINE_STATIC_CALL_NULL(c, hook);\n';
  writeFileSync(
    join(directory, 's.c'),
    `${source}int f(int x, int *p) { static_call_cond(c)(x); return *p; }\n`,
  );
  const object = join(directory, 's.o');
  for (const flags of [['-O0'], ['-O2'], ['-Os', '-fPIC'], ['-O2', '-fno-pic'], ['-O2', '-mretpoline']]) {
    run('clang', [...flags, '-mspeculative-load-hardening', '-I', include, '-c', 's.c'], directory);
    const before = readFileSync(object);
    const { status, stderr } = textpoke(['annotate', object]);
    assert.equal(status, 1, flags.join(' '));
    assert.match(stderr, /return address .* -mspeculative-load-hardening \[site-unpatchable\]/);
    assert.deepEqual(readFileSync(object), before);
  }
  // Without a red zone clang takes the address that it compares from the code.
  run(
    'clang',
    ['-O2', '-mno-red-zone', '-mspeculative-load-hardening', '-I', include, '-c', 's.c'],
    directory,
  );
  done(['annotate', object]);
});

toolTest('every site of code with APX is found', ['clang-19'], (t) => {
  const directory = scratch(t);
  const calls = Array.from({ length: 24 }, (_, i) => `r[${i}] = g(a + ${i}, b ^ ${i});`).join(' ');
  const sums = Array.from(
    { length: 24 },
    (_, i) => `s += r[${i}] * r[${23 - i}]; n[r[${i}] & 63] += s;`,
  ).join(' ');
  writeFileSync(
    join(directory, 'apx.c'),
    `#include <stdatomic.h>
#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
long g(long, long); long hook(long); void t(long);
DECLARE_STATIC_CALL(sc, hook); DECLARE_STATIC_KEY_FALSE(k);
atomic_long n[64];
long f(long a, long b) { long r[24], s = 0; ${calls} s += static_call(sc)(r[3]);
  if (static_branch_unlikely(&k)) t(r[5]); ${sums} return s + static_call(sc)(r[7]); }
`,
  );
  for (const flags of [[], ['-mapxf']]) {
    run('clang-19', ['-O2', ...flags, '-I', include, '-c', 'apx.c'], directory);
    const { stdout, stderr } = textpoke(['annotate', join(directory, 'apx.o'), '--dry-run', '--stats']);
    assert.match(stdout, /: 2 static calls, 1 static branch, 24 locks would list, 0 listed before/);
    assert.equal(stderr, '');
  }
});
