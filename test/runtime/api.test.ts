// The kernel's API in programs: every name, before init too, with broken tables, and without patching at all.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startSync } from '../starter.ts';
import { scratchOfFile, testOfTurn } from '../tools.ts';
import { build, loading, type Target, targets, toolsOf } from './programs.ts';

const directory = scratchOfFile();

/** Builds and starts a program; its output without addresses, and its status. */
function outcome(target: Target, name: string, args: readonly string[] = [], ...defined: string[]): string {
  const where = join(directory, `${target.name} ${name} ${defined.join(' ')}`.replaceAll(/\W+/g, '-'));
  const { program } = build(target, name, where, ...defined);
  return start(target, program, args);
}

function start(target: Target, program: string, args: readonly string[]): string {
  const [command = program, ...rest] = [...target.emulator, program];
  const { stdout, status } = startSync(command, [...rest, ...args], { encoding: 'latin1', timeout: 120_000 });
  return `${stdout.replaceAll(/0x[0-9a-f]+|\(nil\)|\b0\b(?= is no key)/g, 'ADDRESS')}${status}`;
}

const said = `textpoke: key ADDRESS: decremented below zero
textpoke: key ADDRESS: enabled with count 2
textpoke: key ADDRESS: disabled with count 2
textpoke: key ADDRESS: its count is as high as it can be
textpoke: key ADDRESS: decremented below zero
textpoke: ADDRESS is no key: it is not in the data of an object
textpoke: ADDRESS is not in code
textpoke: ADDRESS is no key: it is not in the data of an object
textpoke: key ADDRESS: decremented below zero
textpoke: key ADDRESS: decremented below zero
`;

function waysOf({ machine, emulator }: Target): string {
  if (machine === undefined) return 'loads';
  return emulator.length > 0 ? 'memfd, signals, an emulator' : 'mem, membarrier';
}

const all = [...targets, ...loading];
const builders = (target: Target) => [...toolsOf(target), ...(target.shared ? ['make'] : [])];

// Turn 5 is this machine without patching.
for (const [turn, target] of all.entries())
  testOfTurn(turn, 5)(
    `${target.name}: every name of the kernel's headers does the same`,
    builders(target),
    () => {
      assert.equal(outcome(target, 'api', target.emulator.slice(0, 1)), `${said}${waysOf(target)}\n0`);
    },
  );

for (const [turn, target] of all.entries())
  testOfTurn(turn, 5)(
    `${target.name}: what resolvers and constructors change takes effect at init`,
    builders(target),
    () => {
      const defined = target.compiler.includes('musl-gcc') ? ['-DNO_IFUNC'] : [];
      assert.equal(outcome(target, 'early', [], ...defined), '0');
    },
  );

for (const [turn, words] of ['-static', '-no-pie', '-static-pie -fPIE', '-Wl,-z,now -O0'].entries())
  testOfTurn(turn, 4)(
    `x86-64, ${words}: a resolver may change keys, and a wrong function is found`,
    ['gcc'],
    () => {
      const target = { ...(targets[0] as Target), shared: false };
      assert.equal(outcome(target, 'early', [], ...words.split(' ')), '0');
      assert.equal(outcome(target, 'early', ['broken'], ...words.split(' ')), '0');
    },
  );

/** What textpoke_init() says of a damage, by the code of its error. */
const texts: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'a table is broken: an entry is outside of its object, or contradicts another one',
  2: 'a site does not hold what a compiler leaves there',
  4: 'this is no key, or not the trampoline of its call',
  5: 'the function is not in code, or out of reach',
  8: 'text cannot be written on this system',
  9: 'a thread could not be stopped or synchronised',
};
const damages: readonly [name: string, error: number][] = [
  ['jump-in-data', 1],
  ['jump-far', 1],
  ['jump-misplaced', 2],
  ['target-in-data', 1],
  ['key-in-text', 1],
  ['key-constant', 1],
  ['key-far', 1],
  ['key-negative', 4],
  ['two-keys', 1],
  ['key-of-call', 1],
  ['call-in-data', 1],
  ['call-misplaced', 2],
  ['call-key-in-text', 1],
  ['call-key-constant', 1],
  ['call-of-data', 5],
  ['no-signal', 9],
  ['no-writing', 8],
  ['not-sorted', 0],
  ['nothing', 0],
];

for (const [turn, target] of targets.entries())
  testOfTurn(turn, targets.length)(
    `${target.name}: a table that is damaged is an error, and changes nothing`,
    builders(target),
    () => {
      const { program } = build(target, 'broken', join(directory, `broken-${turn}`));
      const locks = target.machine === 'x86-64' ? ([['lock-in-data', 1]] as const) : [];
      for (const [name, error] of [...damages, ...locks])
        assert.equal(start(target, program, [name]), `${error} ${texts[error]}\n0`, name);
    },
  );

for (const [turn, target] of all.entries())
  testOfTurn(turn, all.length)(
    `${target.name}: the examples of the kernel's documentation compile unchanged`,
    builders(target),
    () => {
      const examples = turn === 0 ? [1, 2, 3, 4, 5, 6, 7] : [2, 3, 5, 6, 7];
      for (const example of examples)
        assert.equal(
          outcome(target, 'documentation', [], `-DEXAMPLE=${example}`),
          `${waysOf(target)}\n0`,
          `example ${example}`,
        );
    },
  );
