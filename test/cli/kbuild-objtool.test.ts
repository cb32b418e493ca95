// bin/kbuild-objtool: what is left for objtool, and what textpoke does to the object.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { annotate } from '../../src/annotate/passes.ts';
import { builtProgram } from '../built.ts';
import { everything, sampleBytes, samplePath } from '../samples.ts';
import { run, scratch, toolTest, tryRun } from '../tools.ts';

const tools = ['sh', 'env', 'dirname', 'sed'];
const passes = { ...everything, smpLocks: false };

const rows = [
  {
    name: 'the passes of a kernel: textpoke does two of them, objtool the rest',
    args: ['--hacks=jump_label', '--hacks=noinstr', '--orc', '--retpoline', '--static-call', '--uaccess'],
    left: '--hacks=noinstr --orc --retpoline --uaccess call.o',
    options: passes,
  },
  {
    name: 'hacks in one list are taken apart',
    args: ['--hacks=jump_label,noinstr', '--static-call', '--link'],
    left: '--hacks=noinstr --link call.o',
    options: passes,
  },
  {
    name: 'a module is told to both',
    args: ['--orc', '--static-call', '--module'],
    left: '--orc --module call.o',
    options: { ...passes, staticBranch: false, module: true },
  },
  {
    name: 'objtool is not run for nothing',
    args: ['--static-call', '--hacks=jump_label', '--module'],
    left: undefined,
    options: { ...passes, module: true },
  },
  {
    name: 'without its passes textpoke leaves the object alone',
    args: ['--orc'],
    left: '--orc call.o',
    options: undefined,
  },
];

for (const { name, args, left, options } of rows) {
  toolTest(`kbuild-objtool: ${name}`, tools, (t) => {
    const directory = scratch(t);
    const seen = join(directory, 'seen');
    const objtool = join(directory, 'objtool');
    writeFileSync(objtool, '#!/bin/sh\necho "$@" >seen\n', { mode: 0o755 });
    copyFileSync(samplePath('gcc-O2', 'call'), join(directory, 'call.o'));
    run('env', [`OBJTOOL=${objtool}`, builtProgram('kbuild-objtool'), ...args, 'call.o'], directory);
    assert.equal(existsSync(seen) ? readFileSync(seen, 'utf8').trim() : undefined, left);
    const before = sampleBytes('gcc-O2', 'call');
    const expected = options ? (annotate('call.o', before, options).bytes as Uint8Array) : before;
    assert.deepEqual(new Uint8Array(readFileSync(join(directory, 'call.o'))), expected);
  });
}

toolTest("kbuild-objtool: objtool's failure is the build's, and the object is not annotated", tools, (t) => {
  const directory = scratch(t);
  const objtool = join(directory, 'objtool');
  writeFileSync(objtool, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
  copyFileSync(samplePath('gcc-O2', 'call'), join(directory, 'call.o'));
  const { status } = tryRun(
    'env',
    [`OBJTOOL=${objtool}`, builtProgram('kbuild-objtool'), '--orc', '--static-call', 'call.o'],
    directory,
  );
  assert.equal(status, 3);
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, 'call.o'))), sampleBytes('gcc-O2', 'call'));
});
