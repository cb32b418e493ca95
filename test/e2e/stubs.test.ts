// Stubs that linkers put on the way of a branch or behind functions: errata, far targets, changes of state. Each linker
// makes its own; a program with them verifies, boots and does what it should.
import assert from 'node:assert/strict';
import { longTest, rowsOf, run } from '../tools.ts';
import { aarch64, arm, compileText, type Machine, start } from './cross.ts';
import { assertVerified, boot, done, fresh, imageSymbols, once, scriptPath } from './programs.ts';

const shared = `#include "textpoke/static_call.h"
#include "textpoke/static_key.h"
#define NI __attribute__((noinline))
long one(long), two(long), far_fn(long), far_site(long), far_tail(long), far_branch(long), mad(long *, long, long, long);
DECLARE_STATIC_CALL(changed, one);
DECLARE_STATIC_CALL(away, one);
DECLARE_STATIC_KEY_FALSE(key);
`;
const near = `${shared}#include <stdio.h>
NI long one(long n) { return n + 1; }
NI long two(long n) { return n + 2; }
DEFINE_STATIC_CALL(changed, one);
DEFINE_STATIC_CALL(away, one);
DEFINE_STATIC_CALL(farther, far_fn);
DEFINE_STATIC_KEY_FALSE(key);
NI long near_site(long n) { return static_call(changed)(n) + 10; }
NI long near_tail(long n) { return static_call(changed)(n); }
NI long to_far(long n) { return static_call(farther)(n) + 10; }
NI long branch(long n) { if (static_branch_unlikely(&key)) return n + 100; return n; }
int main(void) {
  long v[2] = { 3, 4 };
  printf("%ld %ld %ld %ld %ld %ld %ld %ld\\n", near_site(1), near_tail(1), to_far(1), far_site(1), far_tail(1),
         branch(1), far_branch(1), mad(v, 2, 3, 4));
}
`;
const far = `${shared}
NI long far_fn(long n) { return n + 5; }
NI long far_site(long n) { return static_call(away)(n) + 20; }
NI long far_tail(long n) { return static_call(changed)(n); }
NI long far_branch(long n) { if (static_branch_unlikely(&key)) return n + 100; return n; }
`;
const before = '12 2 16 22 2 1 1 10\n';
const after = '13 3 16 22 3 101 101 10\n';

/** What the two errata of Cortex-A53 need: a multiply-add behind a load; an adrp at the end of a page. */
const errata = `	.text
	.globl mad
	.type mad, %function
mad:	ldr x0, [x0]
	madd x0, x1, x2, x3
	b paged
	.size mad, .-mad
	.section .text.paged, "ax", %progbits
	.balign 4096
	.space 0xff8
	.type paged, %function
	.globl paged
paged:	adrp x4, word
	str x4, [sp, #-16]
	nop
	ldr x4, [x4, :lo12:word]
	ret
	.size paged, .-paged
	.data
word:	.quad 7
	.section .note.GNU-stack, "", %progbits
`;
const noErrata = `	.text
	.globl mad
	.type mad, %function
mad:	mla r0, r1, r2, r3
	bx lr
	.section .text.pad, "ax", %progbits
	.space SPACE
	.section .note.GNU-stack, "", %progbits
`;

const none = 'none' as const;
/** Linker, its options, and a symbol that shows that it made such stubs; `none` where it gives them no name. */
const rows: readonly [
  linker: 'bfd' | 'lld' | 'gold' | 'mold',
  options: string,
  stubs: RegExp | typeof none,
][] = [
  ['bfd', '--fix-cortex-a53-835769', /^__erratum_835769_veneer_/],
  ['bfd', '--fix-cortex-a53-843419', none],
  ['bfd', '--fix-cortex-a53-843419=adr', none],
  ['bfd', '--fix-cortex-a53-843419=adrp', /^e843419@/],
  [
    'bfd',
    '--fix-cortex-a53-835769,--fix-cortex-a53-843419=adrp,--stub-group-size=-65536',
    /^__erratum_835769/,
  ],
  ['lld', '--fix-cortex-a53-843419', /^__CortexA53843419_/],
  ['gold', '--fix-cortex-a53-835769', none],
  ['gold', '--fix-cortex-a53-843419', none],
];
const farRows: readonly [
  linker: 'bfd' | 'lld' | 'gold' | 'mold',
  options: string,
  stubs: RegExp | typeof none,
][] = [
  ['bfd', '--long-plt', /_(veneer|from_arm|from_thumb)$/],
  ['bfd', '--pic-veneer,--fix-cortex-a8,--fix-v4bx-interworking', /_(veneer|from_arm|from_thumb)$/],
  [
    'bfd',
    '--vfp11-denorm-fix=vector,--fix-stm32l4xx-629360=all,--fix-arm1176',
    /_(veneer|from_arm|from_thumb)$/,
  ],
  ['lld', '--fix-cortex-a8', /Thunk_/],
  ['lld', '--pic-veneer', /Thunk_/],
  ['gold', '--fix-cortex-a8,--fix-v4bx', none],
  ['mold', '', /\$thunk$/],
];

/** A program of `objects`; mold and gold do without the script. */
function link(machine: Machine, linker: string, options: string, objects: readonly string[]): string {
  const image = fresh('stubs');
  const base = machine.drivers[linker === 'lld' || linker === 'mold' ? 'lld' : 'bfd'].c as [
    string,
    ...string[],
  ];
  const script = linker === 'bfd' || linker === 'lld' ? [`-Wl,-T,${scriptPath('ldscript')}`] : [];
  const wanted = options === '' ? [] : [`-Wl,${options}`];
  const [driver, ...target] = base;
  run(driver, [...target, '-no-pie', `-fuse-ld=${linker}`, ...objects, ...wanted, ...script, '-o', image]);
  return image;
}

function prove(
  machine: Machine,
  image: string,
  stubs: RegExp | typeof none,
  update: string,
  what: string,
): void {
  if (stubs !== none)
    assert.ok(
      imageSymbols(image).some(({ name }) => stubs.test(name)),
      `${what}: stubs were made`,
    );
  assert.equal(start(machine, image), before, what);
  assertVerified(image, ['--linked'], what);
  const booted = boot(image);
  assert.equal(start(machine, booted), before, `booted: ${what}`);
  assertVerified(booted, ['--original', image], `booted: ${what}`);
  const changed = boot(image, ['--enable', 'key', '--update', update]);
  assert.equal(start(machine, changed), after, `changed: ${what}`);
  assertVerified(changed, ['--original', image], `changed: ${what}`);
}

const objectOf = (machine: Machine, name: string, text: string, flags: readonly string[]) =>
  once(
    `stubs-${name}.o`,
    (path) =>
      void done([
        'annotate',
        compileText(machine, `stubs-${name}`, text, ['-fno-pie', ...flags]),
        '-o',
        path,
      ]),
  );

for (const [linker, options, stubs] of rowsOf(rows, 6)) {
  const tools = linker === 'gold' ? ['aarch64-linux-gnu-ld.gold'] : [];
  longTest(
    `the stubs of ${linker} ${options} are no calls and no sites`,
    [...aarch64.tools, ...tools],
    () => {
      const objects = [
        objectOf(aarch64, 'a64-near', near, []),
        objectOf(aarch64, 'a64-far', far, []),
        compileText(aarch64, 'stubs-errata', errata, [], 'S'),
      ];
      prove(aarch64, link(aarch64, linker, options, objects), stubs, 'changed=two', `${linker} ${options}`);
    },
  );
}

for (const state of ['arm', 'thumb'] as const) {
  for (const [linker, options, stubs] of farRows) {
    const tools = linker === 'gold' ? ['arm-linux-gnueabihf-ld.gold'] : linker === 'mold' ? ['mold'] : [];
    // The images are large, so that functions are far.
    longTest(
      `the stubs of ${linker} ${options} lead from ${state} code to far functions`,
      [...arm.tools, ...tools],
      () => {
        const flags = [`-m${state}`];
        // Farther than a branch reaches: 32 MiB in ARM code, 16 MiB in Thumb code.
        const space = noErrata.replace('SPACE', state === 'arm' ? '0x2100000' : '0x1100000');
        const objects = [
          objectOf(arm, `${state}-near`, near, flags),
          compileText(arm, `stubs-pad-${state}`, space, ['-marm'], 'S'),
          objectOf(arm, `${state}-far`, far, flags),
        ];
        prove(
          arm,
          link(arm, linker, options, objects),
          stubs,
          'changed=two',
          `${linker} ${options} ${state}`,
        );
      },
    );
  }
}
