// What only 32-bit ARM has: two states in one program, absolute jump entries as its kernel writes them, its
// hand-written samples, and the branches of Thumb that cannot be patched.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { longTest, rowsOf, run, toolTest, turnOf } from '../tools.ts';
import { arm, bootWithNotes, compileText, entriesIn, link, prove, start } from './cross.ts';
import {
  annotated,
  assertSameFile,
  assertVerified,
  boot,
  countEntries,
  done,
  expected,
  fresh,
  imageSections,
  linkers,
  plain,
  readTables,
  textpoke,
  units,
} from './programs.ts';

const compilers = ['gcc', 'clang'];
const prefixes = ['arm', 'thumb'] as const;
const otherOf = { arm: 'thumb', thumb: 'arm' } as const;

/** The units in turn from the set of one state and of the other; gcc's and clang's mixed too. */
const alternating = (first: 'arm' | 'thumb', suffix: string) =>
  units.map((unit, i) => {
    const state = i % 2 === 0 ? first : otherOf[first];
    return annotated(`${state}-${i % 4 < 2 ? 'gcc' : 'clang'}-${suffix}`, unit);
  });

for (const first of rowsOf(prefixes, 2)) {
  toolTest(
    `programs of ARM and Thumb units in turn run, boot, change and change back (${first} first)`,
    arm.tools,
    () => {
      const all = [
        ...linkers.flatMap((linker) => [
          { objects: alternating(first, 'O2'), linker, kind: '-static' } as const,
          { objects: alternating(first, 'O2-fPIC'), linker, kind: '-pie', script: 'ldscript' } as const,
        ]),
        { objects: alternating(first, 'O2'), linker: 'bfd', kind: '-no-pie', via: 'lld' } as const,
        { objects: alternating(first, 'Os'), linker: 'lld', kind: '-static', via: 'bfd' } as const,
      ];
      for (const request of rowsOf(all, 6)) prove(arm, request);
    },
  );

  const second = otherOf[first];
  longTest(
    `a function of the other state: calls become blx, tail calls stay on the trampoline, and boot says so (${first} sites)`,
    arm.tools,
    () => {
      const other = (state: string) =>
        compileText(arm, `other-${state}.o`, `int other_${state}(int n) { return n + 100; }\n`, [
          `-m${state}`,
        ]);
      for (const compiler of compilers) {
        for (const linker of linkers.filter((l) => (l === 'bfd') === (compiler === 'gcc'))) {
          const objects = units.map((unit) => annotated(`${first}-${compiler}-O2`, unit));
          const all = [...objects, other('arm'), other('thumb')];
          const image = link(arm, { objects: all, linker, kind: '-static' });
          const booted = boot(image);
          // add_one and add_ten have moved to `other_*`: 20 * 2 calls, then a tail call, and one behind a branch.
          const prints = expected({ call: 240, 'tail call': 121, 'query add_one': 0 });
          const same = bootWithNotes(booted, ['--update', `math=other_${first}`]);
          assert.equal(same.notes, '');
          assert.equal(start(arm, same.booted), prints);
          assertVerified(same.booted, ['--original', image]);
          const crossing = bootWithNotes(booted, ['--update', `math=other_${second}`]);
          assert.equal(start(arm, crossing.booted), prints);
          assertVerified(crossing.booted, ['--original', image]);
          const note = `math (the site goes to the trampoline: other_${second} is out of reach or in the other state`;
          const said = crossing.notes.split('\n').filter((line) => line.includes(note));
          assert.deepEqual(
            said.map((line) => /: (\w+)\+0x/.exec(line)?.[1]).sort(),
            ['call_behind_branch', 'call_tail'],
            crossing.notes,
          );
          for (const { booted: changed } of [same, crossing])
            assertSameFile(boot(changed, ['--update', 'math=add_one']), booted);
        }
      }
    },
  );
}

const handMain = `#include <stdio.h>
int hand_branches_arm(void), hand_branches_thumb(void), hand_calls_arm(int), hand_calls_thumb(int);
int hand_tails_arm(int), hand_tails_thumb(int);
int main(void) {
  printf("%d %d, %d %d", hand_branches_arm(), hand_branches_thumb(), hand_calls_arm(10), hand_calls_thumb(10));
  printf(", %d %d, %d %d\\n", hand_tails_arm(5), hand_tails_arm(-5), hand_tails_thumb(0), hand_tails_thumb(4));
}
`;

longTest(
  'hand-written assembly of both states: 18 calls, 9 tail calls and 8 branches, on conditions and in IT blocks too',
  arm.tools,
  () => {
    const main = compileText(arm, 'hand-main.o', handMain, ['-fno-pie']);
    const all = [
      ['arm-gcc', 'bfd'],
      ['arm-clang', 'lld'],
      ['arm-clang', 'bfd'],
      ['thumb-gcc', 'lld'],
      ['thumb-clang', 'bfd'],
    ] as const;
    for (const [compiler, linker] of rowsOf(all, 3)) {
      const hand = annotated(`${compiler}-O2`, 'hand');
      assert.deepEqual(entriesIn([hand]), [8, 27, 0]);
      const image = link(arm, { objects: [hand, main], linker, kind: '-static' });
      const { calls } = readTables(image);
      assert.deepEqual(countEntries(image), [8, 27, 0]);
      assert.equal(calls.filter(({ key }) => (key & 1) !== 0).length, 9);
      assert.equal(start(arm, image), '6 6, 55 55, 6 -4, 0 5\n', `${compiler} ${linker}`);
      assertVerified(image, ['--linked']);
      const { booted, notes } = bootWithNotes(image);
      // Tail 7 is the only one whose function is of another state than itself.
      const stays = notes.split('\n').filter((line) => line.includes('the site goes to the trampoline'));
      const where = compiler.startsWith('arm') ? /^textpoke: hand_tails_thumb\+0xa: hand_call/ : /hand_call/;
      assert.ok(stays.length > 0 && stays.every((line) => where.test(line)), notes);
      assert.equal(start(arm, booted), '6 6, 55 55, 6 -4, 0 5\n');
      assertVerified(booted, ['--original', image]);
      const other = boot(booted, [
        ...['--enable', 'hand_false', '--update', 'hand_far=hand_other'],
        ...['--update', 'hand_call=hand_plain_thumb'],
      ]);
      assert.equal(start(arm, other), '15 15, 56 56, 6 -4, 0 5\n');
      assertVerified(other, ['--original', image]);
      const back = boot(other, [
        ...['--disable', 'hand_false', '--update', 'hand_far=hand_plain'],
        ...['--update', 'hand_call=hand_plain'],
      ]);
      assertSameFile(back, booted);
    }
  },
);

toolTest(
  'in memory no veneer can be made: a tail call to the other state says that a linker is needed',
  [],
  () => {
    const result = textpoke(['boot', annotated('arm-gcc-O2', 'hand'), '-o', fresh('memory')]);
    assert.equal(result.status, 3);
    assert.match(result.stderr, /R_ARM_THM_JUMP24 would change state, which needs a veneer.*\[link-failed\]/);
  },
);

toolTest('branches of Thumb that cannot be patched are refused by name and place', ['clang'], () => {
  for (const compiler of ['arm-gcc', 'arm-clang', 'thumb-gcc', 'thumb-clang']) {
    const object = fresh('short.o');
    copyFileSync(plain(`${compiler}-O2`, 'short'), object);
    const result = textpoke(['annotate', object]);
    assert.equal(result.status, 1);
    assert.equal(result.stdout, '');
    assert.match(
      result.stderr,
      /short\.o: \.text\+0x1a: short_conditional\+0x2: the branch to __SCT__short_call is a bne\.w, which is conditional and has a displacement of 21 bits; a static call needs bl or b\.w \[site-unpatchable\]/,
    );
    assert.deepEqual(readFileSync(object), readFileSync(plain(`${compiler}-O2`, 'short')));
  }
  for (const [branch, text] of [
    ['b.n', 'is a 2-byte b, whose displacement has 12 bits'],
    ['beq.n', 'is a 2-byte beq, which is conditional'],
    ['bhi.w', 'is a bhi.w, which is conditional and has a displacement of 21 bits'],
    ['cbz r0,', 'is a 2-byte cbz, which is conditional'],
    ['cbnz r7,', 'is a 2-byte cbnz, which is conditional'],
  ] as const) {
    // The trampoline is in the section, where the assembler resolves what it can.
    const text0 = `.syntax unified\n.thumb\n.thumb_func\nf: nop\n ${branch} __SCT__x\n nop\n nop\n.balign 8\n.thumb_func\n__SCT__x: bx lr\n`;
    const object = compileText(arm, `short-${branch}.o`, text0, ['-mthumb'], 's');
    const result = textpoke(['annotate', object]);
    assert.equal(result.status, 1, branch);
    assert.ok(
      result.stderr.includes(`f+0x2: the branch to __SCT__x ${text}; a static call needs bl or b.w`),
      result.stderr,
    );
  }
});

const kernelMain = `#include <stdio.h>
extern volatile int kernel_seen;
int kernel_nop(void), kernel_likely_nop(void), kernel_jump(void), kernel_init(void);
static int seen(int (*f)(void)) { kernel_seen = 0; f(); return kernel_seen; }
int main(void) {
  printf("%d %d %d %d\\n", seen(kernel_nop), seen(kernel_likely_nop), seen(kernel_jump), seen(kernel_init));
}
`;

for (const prefix of rowsOf(prefixes, 2)) {
  longTest(
    `the kernel's absolute jump entries are read as they are, and annotate --relative converts them (${prefix})`,
    arm.tools,
    () => {
      const main = compileText(arm, 'kernel-main.o', kernelMain, ['-fno-pie']);
      for (const compiler of compilers) {
        const absolute = annotated(`${prefix}-${compiler}-O2`, 'kernel-entries');
        const relative = fresh('kernel-entries.o');
        done(['annotate', '--relative', absolute, '-o', relative]);
        const relocations = (file: string) => [
          ...new Set(
            run('readelf', ['-rW', file])
              .split(/Relocation section /)
              .find((part) => part.startsWith("'.rel__jump_table'"))!
              .match(/R_ARM_\w+/g),
          ),
        ];
        const alignment = (file: string) =>
          /__jump_table +PROGBITS.* (\d+)$/m.exec(run('readelf', ['-SW', file]))?.[1];
        assert.deepEqual([relocations(absolute), alignment(absolute)], [['R_ARM_ABS32'], '1']);
        assert.deepEqual([relocations(relative), alignment(relative)], [['R_ARM_REL32'], '4']);
        const again = fresh('again.o');
        for (const flags of [[], ['--relative']]) {
          copyFileSync(relative, again);
          done(['annotate', ...flags, again]);
          assertSameFile(again, relative);
        }
        for (const linker of turnOf(linkers, compilers.indexOf(compiler))) {
          // Each linker both forms, one of each compiler.
          const form = (linker === 'bfd') === (compiler === 'gcc') ? 'absolute' : 'relative';
          const [object, word] = form === 'absolute' ? [absolute, ' absolute'] : [relative, ''];
          const image = link(arm, { objects: [object, main], linker, kind: '-no-pie' });
          assert.equal(start(arm, image), '0 2 3 0\n');
          assertVerified(image, ['--linked']);
          const booted = boot(image);
          assert.equal(start(arm, booted), '0 2 3 0\n');
          assertVerified(booted, ['--original', image]);
          const dump = done(['dump', booted]);
          assert.match(dump, new RegExp(`__jump_table: 4${word} entries at 0x`));
          assert.match(dump, /kernel_nop +kernel_nop\+0x\w+ +kernel_false +unlikely +- +/);
          assert.match(dump, /kernel_init +kernel_init\+0x\w+ +kernel_false +unlikely +init +/);
          const other = boot(booted, ['--enable', 'kernel_false', '--disable', 'kernel_true']);
          // A file is not of the time when init text has been freed: it is patched too.
          assert.equal(start(arm, other), '1 0 0 4\n');
          assertVerified(other, ['--original', image]);
          const back = boot(other, ['--disable', 'kernel_false', '--enable', 'kernel_true']);
          assert.equal(start(arm, back), '0 2 3 0\n');
          assertVerified(back, ['--original', image]);
          // Where ARM code was compiled with the hint, mov r0, r0 comes back, as the kernel writes it.
          if (prefix === 'thumb') assertSameFile(back, booted);
        }
      }
    },
  );
}

const keyed = (name: string) => `#include "textpoke/static_key.h"
DEFINE_STATIC_KEY_FALSE(${name}_key);
int ${name}(void) { return static_branch_unlikely(&${name}_key) ? 1 : 0; }
`;

longTest(
  'absolute and relative entries never mix: not in an object, where --relative converts all, and not in an image',
  arm.tools,
  () => {
    const marked = compileText(arm, 'marked.o', keyed('marked'), ['-fno-pie', '-marm']);
    const main = compileText(arm, 'kernel-main.o', kernelMain, ['-fno-pie']);
    for (const linker of linkers) {
      const both = fresh('both.o');
      const kernel = plain('arm-gcc-O2', 'kernel-entries');
      run(arm.drivers[linker].ld, ['-r', marked, kernel, '-o', both]);
      const before = readFileSync(both);
      const refused = textpoke(['annotate', both]);
      assert.equal(refused.status, 3);
      assert.match(
        refused.stderr,
        /both\.o: __jump_table: .*annotate --relative makes all entries relative.*\[table-malformed\]/,
      );
      assert.deepEqual(readFileSync(both), before);
      done(['annotate', '--relative', both]);
      const image = link(arm, { objects: [both, main], linker, kind: '-no-pie' });
      assert.deepEqual(countEntries(image), [5, 0, 0]);
      const booted = boot(image, ['--enable', 'marked_key']);
      assert.equal(start(arm, booted), '0 2 3 0\n');
      assertVerified(booted, ['--original', image]);
      // A linker does not know better.
      const one = fresh('marked.o');
      done(['annotate', marked, '-o', one]);
      const mixed = link(arm, { objects: [one, kernel, main], linker, kind: '-no-pie' });
      for (const command of [
        ['boot', mixed, '-o', fresh('mixed')],
        ['verify', mixed],
      ]) {
        const result = textpoke(command);
        assert.equal(result.status, 3, command.join(' '));
        assert.match(
          result.stderr,
          /__jump_table: the table mixes absolute and relative.*\[table-malformed\]/,
        );
      }
      const dump = textpoke(['dump', mixed]);
      assert.equal(dump.status, 1);
      assert.match(dump.stdout, /problem: the table mixes absolute and relative entries/);
    }
  },
);

longTest('what annotate needs to know of keys stays out of every image', arm.tools, () => {
  const all = prefixes.flatMap((prefix) =>
    compilers.flatMap((compiler) => linkers.map((linker) => ({ prefix, compiler, linker }))),
  );
  for (const { prefix, compiler, linker } of rowsOf(all, 3)) {
    const objects = units.map((unit) => annotated(`${prefix}-${compiler}-O2`, unit));
    const image = link(arm, { objects, linker, kind: '-static' });
    const names = imageSections(image).map(({ name }) => name);
    assert.equal(names.includes('.textpoke.keys'), false, names.join(' '));
  }
});
