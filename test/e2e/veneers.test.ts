// Calls and branches at the ends of what an instruction reaches, and the veneers that linkers put in between.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { longTest, rowsOf, run, tryRun, turnOf } from '../tools.ts';
import { bootWithNotes, compileText, type Machine, states, withBytesAt } from './cross.ts';
import {
  addressOf,
  assertSameFile,
  assertVerified,
  boot,
  bytesAt,
  done,
  findings,
  fresh,
  hex,
  imageSymbols,
  linkers,
  once,
  readTables,
  textpoke,
} from './programs.ts';

const leave: Readonly<Record<string, string>> = {
  AArch64: `register long number __asm__("x8") = 93;
  register long result __asm__("x0") = status;
  __asm__ volatile("svc #0" : : "r"(number), "r"(result));`,
  ARM: `register long number __asm__("r7") = 1;
  register long result __asm__("r0") = status;
  __asm__ volatile("svc #0" : : "r"(number), "r"(result));`,
};
const far = (machine: Machine) => `#include "textpoke/static_call.h"
#define FAR __attribute__((section(".far.text"), noinline))
int near_fn(int), far_fn(int);
DECLARE_STATIC_CALL(near_call, near_fn);
DECLARE_STATIC_CALL(far_call, near_fn);
FAR int far_site(int n) { return static_call(near_call)(n) + 10; }
FAR int far_fn(int n) { return n + 2; }
FAR __attribute__((used)) static int far_alone(int n) { return n + 3; }
int near_site(int n) { return static_call(far_call)(n) + 20; }
int near_fn(int n) { return n + 1; }
DEFINE_STATIC_CALL(near_call, near_fn);
DEFINE_STATIC_CALL(far_call, far_fn);
__attribute__((noinline)) static void leave(long status) {
  ${leave[machine.name]}
  __builtin_unreachable();
}
void _start(void) { leave(far_site(0) + near_site(0)); }
`;
const farScript = `ENTRY(_start)
SECTIONS {
  .text 0x400000 : { *(.text .text.*) }
  .static_call.text : { *(.static_call.text) }
  .data 0x500000 : { *(.data .data.*) }
  .static_call_sites : { *(.static_call_sites) }
  .far.text 0x20000000 : { *(.far.text) }
  /DISCARD/ : { *(.eh_frame .comment .note.* .ARM.*) }
}
`;

for (const { machine, name, prefix, nop } of rowsOf(states, 3)) {
  longTest(
    `calls out of reach stay on their trampolines, behind the veneers that linkers make: ${name}`,
    machine.tools,
    () => {
      const object = once(`far-${name}.o`, (path) => {
        const flags = ['-ffreestanding', '-fno-pie', '-fno-asynchronous-unwind-tables'];
        if (prefix !== 'aarch64') flags.push(`-m${prefix}`);
        const made = compileText(machine, `far-${name}`, far(machine), flags);
        done(['annotate', made, '-o', path]);
      });
      const script = once('far.ld', (path) => writeFileSync(path, farScript));
      for (const linker of linkers) {
        const image = fresh('far');
        run(machine.drivers[linker].ld, ['-T', script, object, '-o', image]);
        const status = (file: string) => tryRun('timeout', ['20', ...machine.emulator, file]).status;
        assert.equal(status(image), 33, linker);
        assert.match(
          imageSymbols(image)
            .map((s) => s.name)
            .join('\n'),
          /(_veneer$|Thunk)/m,
        );
        assertVerified(image, ['--linked']);
        const { booted, notes } = bootWithNotes(image);
        const stays = (site: string, call: string, fn: string) =>
          new RegExp(`${site}\\+0x\\d: ${call} \\(the site goes to the trampoline: ${fn} is out of reach\\)`);
        assert.match(notes, stays('near_site', 'far_call', 'far_fn'));
        assert.match(notes, stays('far_site', 'near_call', 'near_fn'));
        assert.equal(status(booted), 33, linker);
        assertVerified(booted, ['--original', image]);
        // What comes into reach is called directly; what leaves it goes back to the veneer.
        const near = boot(booted, ['--update', 'far_call=near_fn']);
        assert.equal(status(near), 32, linker);
        assertVerified(near, ['--original', image]);
        assertSameFile(boot(near, ['--update', 'far_call=far_fn']), booted, linker);
        const alone = fresh('far');
        const result = textpoke(['boot', image, '--update', 'near_call=far_alone', '-o', alone]);
        if (name === 'AArch64') {
          // No veneer leads there.
          assert.equal(result.status, 1);
          assert.match(result.stderr, /the trampoline of near_call cannot reach far_alone.*\[branch-range\]/);
        } else {
          // Trampolines go through their keys, to anywhere; the far site has it near.
          assert.equal(result.status, 0, result.stderr);
          assert.equal(status(alone), 35);
          assertVerified(alone, ['--original', image]);
        }
        const from = addressOf(image, 'near_site') & ~1;
        const { site } = readTables(booted).calls.find((call) => call.site >= from && call.site < from + 12)!;
        assert.deepEqual(
          findings(withBytesAt(booted, site, nop)).map((f) => f.rule),
          ['TP007'],
        );
      }
    },
  );
}

/** How far behind the site a branch reaches forwards and backwards. */
const reach = {
  AArch64: { forwards: 0x7ff_fffc, backwards: -0x800_0000, step: 4 },
  A32: { forwards: 0x1ff_fffc + 8, backwards: -0x200_0000 + 8, step: 4 },
  T32: { forwards: 0xff_fffe + 4, backwards: -0x100_0000 + 4, step: 2 },
};

/** One static branch in .text whose target is in .away, and a static call to a function there. */
const away = (word: string) => `#include "textpoke/static_call.h"
#include "textpoke/static_key.h"
	DEFINE_STATIC_KEY_FALSE away_key
	DEFINE_STATIC_CALL away_call, home
	.text
	.balign 8
	.globl _start, home, caller
	.type _start, %function
	TEXTPOKE_ARCH_FUNCTION_HERE
_start:
	STATIC_JUMP_IF_TRUE distant, away_key, 0
	nop
	.balign 8
	.type caller, %function
	TEXTPOKE_ARCH_FUNCTION_HERE
caller:
	STATIC_CALL away_call
	nop
	.balign 8
	.type home, %function
	TEXTPOKE_ARCH_FUNCTION_HERE
home:
	${word}
	.section .away, "ax", %progbits
	.type away_function, %function
	TEXTPOKE_ARCH_FUNCTION_HERE
away_function:
distant:
	${word}
	${word}
	.section .note.GNU-stack, "", %progbits
`;

for (const { machine, name, prefix, nop } of rowsOf(states, 3)) {
  longTest(
    `the last place in reach is branched to and called, the first beyond is not: ${name}`,
    machine.tools,
    () => {
      const text = away(name === 'T32' ? '.inst.n 0x4770' : 'nop').replaceAll(
        'TEXTPOKE_ARCH_FUNCTION_HERE',
        name === 'T32' ? '.thumb_func' : '',
      );
      const flags = prefix === 'aarch64' ? [] : [`-m${prefix}`];
      const object = compileText(machine, `away-${name}`, text, flags, 'S');
      done(['annotate', object]);
      const { forwards, backwards, step } = reach[name];
      const start = 0x1000_0000; // where the static branch is
      for (const [turn, [distance, inReach]] of (
        [
          [forwards, true],
          [forwards + step, false],
          [backwards, true],
          [backwards - step, false],
        ] as const
      ).entries()) {
        for (const linker of turnOf(linkers, turn)) {
          const what = `${linker} ${distance.toString(16)}`;
          // Once with the branch's site that far from the target, once with the call's.
          for (const kind of ['branch', 'call'] as const) {
            if (name === 'AArch64' && kind === 'call') continue; // its trampolines reach no farther than its sites
            const from = kind === 'branch' ? start : start + 8;
            const script = fresh('away.ld');
            const target = from + distance;
            const place = `.away 0x${target.toString(16)} : { *(.away) }`;
            const rest =
              '.text 0x10000000 : { *(.text) } .static_call.text : { *(.static_call.text) } .data : { *(.data) } ' +
              '__jump_table : { *(__jump_table) } .static_call_sites : { *(.static_call_sites) }';
            const order = distance < 0 ? `${place} ${rest}` : `${rest} ${place}`;
            writeFileSync(script, `ENTRY(_start) SECTIONS { ${order} /DISCARD/ : { *(.ARM.* .note.*) } }\n`);
            const image = fresh('away');
            run(machine.drivers[linker].ld, ['-T', script, object, '-o', image]);
            assert.equal(addressOf(image, 'distant') & ~1, target, what);
            const steps =
              kind === 'branch' ? ['--enable', 'away_key'] : ['--update', 'away_call=away_function'];
            const output = fresh('away');
            const result = textpoke(['boot', image, ...steps, '-o', output]);
            if (kind === 'branch' && !inReach) {
              assert.equal(result.status, 1, `${what}: ${result.stderr}`);
              assert.match(result.stderr, /\[branch-range\]/);
              const [found] = findings(image, ['--linked']);
              assert.equal(`${found?.rule} ${found?.address}`, `TP021 ${hex(from)}`, what);
              continue;
            }
            assert.equal(result.status, 0, `${what} ${kind}: ${result.stderr}`);
            assert.equal(
              /the site goes to the trampoline/.test(result.stderr),
              !inReach,
              `${what} ${result.stderr}`,
            );
            // The branch in front of a call that just reaches does not.
            assertVerified(output, ['--original', image], what, kind === 'call' ? ['TP021'] : []);
            if (kind === 'branch') assert.notEqual(bytesAt(output, from, 4), nop);
            const back = kind === 'branch' ? ['--disable', 'away_key'] : ['--update', 'away_call=home'];
            assertSameFile(boot(output, back), boot(image), what);
          }
        }
      }
    },
  );
}
