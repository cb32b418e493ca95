// A kernel module as a file: what verify proves of it without its kernel, and how boot loads it into what stands in for one.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { boot, verify } from '../../src/index.ts';
import { run, scratch, toolTest } from '../tools.ts';

/** A module with a key and a call of the kernel's, and one of its own. Branches are as objtool leaves them. */
const source = (likely: number, second = likely) => `
  .section .gnu.linkonce.this_module,"aw"
  .skip 64
  .section .modinfo,"a"
  .asciz "vermagic=6.12.1-test SMP"
  .text
  .globl work
  .type work,@function
work:
1: .byte 0x0f,0x1f,0x44,0,0
2: .byte 0x0f,0x1f,0x44,0,0
3: call __SCT__hook
4: call __SCT__quiet
5: lock incl counter(%rip)
  call helper
  ret
9: ret
  .size work,.-work
  .data
  .globl own_key
  .type own_key,@object
own_key: .quad 0, 0
  .size own_key,16
  .local counter
  .comm counter,4,4
  .macro branch site, key, bits
  .long \\site - ., 9b - .
  .quad \\key + \\bits - .
  .endm
  .section __jump_table,"aw"
  branch 1b, own_key, 2
  branch 2b, kernel_keys+8, ${likely + 2}
  branch 2b, kernel_keys+8, ${second + 2}
  .section .static_call_sites,"aw"
  .long 3b - ., __SCK__hook - .
  .long 4b - ., __SCT__quiet - .
  .section .smp_locks,"a"
  .long 5b - .
`;

function moduleFile(t: TestContext, text: string): string {
  const directory = scratch(t);
  writeFileSync(join(directory, 'm.s'), text);
  const path = join(directory, 'mod-one.ko');
  run('as', ['-o', path, join(directory, 'm.s')]);
  return path;
}

toolTest('a sound module passes, whatever its kernel is, and -v says what was proved', ['as'], async (t) => {
  const { passed, document, reports, notes } = await verify(moduleFile(t, source(1)), {
    formats: ['text'],
    verbose: true,
  });
  assert.deepEqual(document.findings, []);
  assert.equal(passed, true);
  assert.match(reports.text ?? '', /3 static branches, 2 static calls, 1 lock prefix/);
  assert.match(
    notes[0] ?? '',
    /of the kernel: 1 key taken as the code was built for, 2 static calls to functions called NAME\.kernel/,
  );
});

toolTest(
  'two branches that need two values of a key of the kernel cannot both be right',
  ['as'],
  async (t) => {
    const { document } = await verify(moduleFile(t, source(0, 1)));
    assert.ok(
      document.findings.some(({ rule }) => rule === 'TP003' || rule === 'TP007'),
      JSON.stringify(document),
    );
  },
);

toolTest('a branch that contradicts a key of the module is found', ['as'], async (t) => {
  const path = moduleFile(t, source(0).replace('own_key: .quad 0, 0', 'own_key: .quad 1, 1'));
  const { document } = await verify(path);
  assert.deepEqual(
    document.findings.map(({ rule, place }) => [rule, place]),
    [['TP007', 'work']],
  );
});

toolTest(
  'boot loads a module: keys keep what they were built for, and calls lead to the kernel',
  ['as'],
  async (t) => {
    const { document } = await boot(moduleFile(t, source(1)), { cpus: 1 });
    assert.deepEqual(document.modules, [{ name: 'mod_one', sites: { branches: 3, calls: 2, locks: 1 } }]);
    assert.equal(document.profile, '6.12');
    const text = document.writes.filter(({ what }) => what === 'text');
    assert.deepEqual([...new Set(text.map(({ reason, key }) => `${reason} by ${key}`))].sort(), [
      'hook = hook.kernel by __SCK__hook',
      'one CPU: lock becomes ds by undefined',
      'quiet = quiet.kernel by __SCK__quiet',
    ]);
    const switched = await boot(moduleFile(t, source(1)), { steps: [{ do: 'enable', key: 'own_key' }] });
    assert.ok(
      switched.document.writes.some(({ key, what }) => key === 'own_key' && what === 'text'),
      'own_key',
    );
  },
);

toolTest(
  'options of linked images, an entry far outside and a file that is no module are refused',
  ['as'],
  async (t) => {
    const path = moduleFile(t, source(1));
    await assert.rejects(verify(path, { original: path }), { code: 'usage' });
    await assert.rejects(verify(path, { linked: true }), { code: 'usage' });
    const far = moduleFile(t, source(1).replaceAll('kernel_keys+8', 'kernel_keys+0x10000000'));
    await assert.rejects(verify(far), { code: 'table-malformed' });
    await assert.rejects(boot(far), { code: 'table-malformed' });
    const plain = { name: 'x.o', bytes: readFileSync(moduleFile(t, '.text\nret\n')) };
    await assert.rejects(verify(plain), { code: 'not-an-image' });
  },
);
