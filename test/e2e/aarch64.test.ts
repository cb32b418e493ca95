// What only AArch64 has: its hand-written samples, and the branches that cannot be patched.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { longTest, rowsOf, run, toolTest, turnOf } from '../tools.ts';
import { aarch64, compileText, link, start } from './cross.ts';
import {
  annotated,
  assertVerified,
  boot,
  countEntries,
  fresh,
  linkers,
  plain,
  textpoke,
} from './programs.ts';

const handMain = `#include <stdio.h>
int hand_branches(void), hand_calls(int);
int main(void) { printf("%d %d\\n", hand_branches(), hand_calls(10)); }
`;

longTest(
  'hand-written assembly: resolved branches, data that reads as branches, calls by section symbol',
  aarch64.tools,
  () => {
    const main = compileText(aarch64, 'hand-main.o', handMain, ['-fno-pie']);
    for (const [turn, compiler] of rowsOf([...['gcc', 'clang'].entries()], 2)) {
      for (const linker of turnOf(linkers, turn)) {
        const objects = [annotated(`aarch64-${compiler}-O2`, 'hand'), main];
        const image = link(aarch64, { objects, linker, kind: '-static' });
        assert.deepEqual(countEntries(image), [4, 10, 0]);
        assertVerified(image, ['--linked']);
        const booted = boot(image);
        for (const program of [image, booted]) assert.equal(start(aarch64, program), '6 44\n');
        assertVerified(booted, ['--original', image]);
        const other = boot(booted, ['--enable', 'hand_false', '--update', 'hand_far=hand_other']);
        assert.equal(start(aarch64, other), '15 46\n');
        assertVerified(other, ['--original', image]);
      }
    }
  },
);

toolTest('branches that cannot be patched are refused by name: b.cond, cbz, tbnz', ['clang'], () => {
  for (const [branch, text] of [
    ['b.ne', 'is a b.ne, which is conditional and has a displacement of 19 bits'],
    ['cbz x0,', 'is a cbz, which is conditional and has a displacement of 19 bits'],
    ['tbnz w3, #3,', 'is a tbnz, which is conditional and has a displacement of 14 bits'],
  ] as const) {
    const source = fresh('short.s');
    writeFileSync(source, `f: nop\n ${branch} __SCT__x\n`);
    run('clang', ['--target=aarch64-linux-gnu', '-c', source, '-o', `${source}.o`]);
    const result = textpoke(['annotate', `${source}.o`]);
    assert.equal(result.status, 1);
    assert.ok(
      result.stderr.includes(`f+0x4: the branch to __SCT__x ${text}; a static call needs bl or b`),
      result.stderr,
    );
  }
  const sample = textpoke(['annotate', plain('aarch64-gcc-O2', 'short'), '-o', fresh('short.o')]);
  assert.match(
    sample.stderr,
    /short_conditional\+0x4: the branch to __SCT__short_call is a b\.ne,.*\[site-unpatchable\]/,
  );
});
