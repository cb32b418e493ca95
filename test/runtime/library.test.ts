// libtextpoke in programs: what it does in one situation after another, and a short soak (npm run soak is the long one).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSync } from '../starter.ts';
import { casesOf, longTest, run, scratch, scratchOfFile, testOfTurn, tryRun } from '../tools.ts';
import { build, type Target, targets, toolsOf } from './programs.ts';

const [native] = targets as [Target];
const directory = scratchOfFile();
const built = new Map<string, ReturnType<typeof build>>();

function once(target: Target, name: string): ReturnType<typeof build> {
  const key = `${target.name} ${name}`.replaceAll(' ', '-');
  const known = built.get(key) ?? build(target, name, join(directory, key));
  built.set(key, known);
  return known;
}

function start(target: Target, program: string, args: readonly string[], more: Record<string, string>) {
  const [command = program, ...rest] = [...target.emulator, program];
  const env = { ...process.env, TEXTPOKE_WAYS: '', ...more };
  return startSync(command, [...rest, ...args], { encoding: 'latin1', env, timeout: 300_000 });
}

/** What each prints; addresses are another matter. */
const counts = `textpoke: key KEY: enabled with count 2
textpoke: key KEY: disabled with count 2
textpoke: key KEY: decremented below zero
`;
const situations: readonly [name: string, prints: string][] = [
  ['counts', counts],
  ['calls', ''],
  ['before-init', ''],
  ['batches', 'textpoke: key KEY: decremented below zero\n'],
  ['arguments', ''],
  ['reserved', ''],
  ['foreign', ''],
  ['mdwe', counts],
  ['forks', ''],
  ['forks-while-loading', ''],
  ['handlers', ''],
  ['default', ''],
  ['descriptors', ''],
];

/** A breakpoint is set as a debugger sets it, which cannot be done to pages that a file in memory has. */
const canBeSet = (target: Target, ways: string) => target.emulator.length === 0 && !ways.includes('memfd');

function assertRight(target: Target, ways: string): void {
  const { program } = once(target, 'behaviour');
  for (const [name, prints] of situations) {
    if (name === 'foreign' && !canBeSet(target, ways)) continue;
    const { status, stdout, stderr } = start(target, program, [name], { TEXTPOKE_WAYS: ways });
    const said = stdout.replaceAll(/0x[0-9a-f]+/g, 'KEY');
    assert.equal(
      `${said === 'no MDWE here\n' ? prints : said}${stderr}${status}`,
      `${prints}0`,
      `${name}, ${ways}`,
    );
  }
}

for (const [turn, target] of targets.entries())
  testOfTurn(turn, targets.length)(
    `${target.name}: counts, calls, batches, forks and errors are as the manual says`,
    [...toolsOf(target), ...(target.shared ? ['make'] : [])],
    () => {
      assertRight(target, '');
    },
  );

for (const ways of ['memfd', 'signals', 'memfd, signals'])
  longTest(`x86-64: the same by ${ways}`, ['gcc', 'make'], () => {
    assertRight(native, ways);
  });

longTest(
  'x86-64: breakpoints of gdb on a site stay where they are, and say so',
  ['gcc', 'make', 'gdb'],
  (t) => {
    const { program } = once(native, 'behaviour');
    const script = join(scratch(t), 'commands');
    const atGoing = 'commands 2\nsilent\ndisable 1\ncontinue\nend';
    const atComing = 'commands 3\nsilent\nenable 1\ncontinue\nend';
    writeFileSync(
      script,
      `break is_off\nbreak breakpoint_goes\nbreak breakpoint_comes\n${atGoing}\n${atComing}\nrun debugged\n`,
    );
    const { stdout, status } = tryRun('gdb', ['-batch', '-x', script, program]);
    assert.equal(status, 0);
    assert.match(stdout, /exited normally/);
  },
);

/** What a tracer prints at each probe. */
const traced = `set breakpoint pending on
break main
run batches
break -probe-stap textpoke:key
commands 2
silent
printf "key %d %d\\n", $_probe_arg1, $_probe_arg2
continue
end
break -probe-stap textpoke:call
commands 3
silent
printf "call %d\\n", $_probe_arg1 != $_probe_arg2
continue
end
continue
`;

longTest(
  'x86-64: a tracer stops at each change of a key or a call',
  ['gcc', 'make', 'gdb', 'readelf', 'dtrace'], // dtrace comes with <sys/sdt.h>
  (t) => {
    const { program } = once(native, 'behaviour');
    const script = join(scratch(t), 'commands');
    writeFileSync(script, traced);
    const { stdout, status } = tryRun('gdb', ['-batch', '-x', script, program]);
    assert.equal(status, 0);
    assert.deepEqual(stdout.match(/^(key|call) .*$/gm)?.sort(), ['call 1', 'key 0 2', 'key 1 0']);
    const library = run('ldd', [program]).match(/\S+libtextpoke.so.0(?= \()/)?.[0] as string;
    const names = run('readelf', ['-nW', library]).match(/(?<=Name: )\S+/g);
    assert.deepEqual(names?.sort(), ['call', 'cpus', 'key']);
  },
);

interface Report {
  readonly ways: string;
  readonly changes: number;
  readonly checks: number;
  readonly wrong: number;
  readonly loads: number;
  readonly forks: number;
  readonly unplugged: number;
  readonly linesCrossed: number;
  readonly pagesCrossed: number;
}

function soak(target: Target, changes: number, more: Record<string, string> = {}): Report {
  const { program, plugin } = once(target, 'soak');
  const args = [`${changes}`, '3', '240', ...(plugin === undefined ? [] : [plugin])];
  const { status, stdout, stderr } = start(target, program, args, more);
  assert.equal(`${stderr}${status}`, '0');
  const report = JSON.parse(stdout) as Report;
  assert.ok(report.changes >= changes, stdout);
  assert.ok(report.checks > changes, stdout);
  assert.ok(report.forks > 0 && report.unplugged > 0, stdout);
  assert.equal(report.wrong, 0);
  if (plugin !== undefined) assert.ok(report.loads > 0, stdout);
  if (target.machine !== 'x86-64') return report;
  assert.ok(report.linesCrossed >= 10, stdout);
  assert.ok(report.pagesCrossed >= 5, stdout);
  return report;
}

for (const [turn, target] of targets.entries())
  testOfTurn(turn, targets.length)(
    `${target.name}: no site is older than a change that has returned, whatever else goes on`,
    [...toolsOf(target), ...(target.shared ? ['make'] : [])],
    () => {
      const emulated = target.emulator.length > 0;
      const { ways } = soak(target, emulated ? 100 : casesOf(2000));
      assert.equal(ways, emulated ? 'memfd, signals, an emulator' : 'mem, membarrier');
    },
  );

const withFlags = (name: string, ...flags: string[]): Target => ({
  ...native,
  name,
  compiler: ['gcc', ...flags],
  shared: false,
});

/** What a soak of the same kind runs in, and the ways that it finds. */
const others: readonly [name: string, changes: number, ways: string, Target, Record<string, string>?][] = [
  ['by a second mapping', 2000, 'memfd, membarrier', native, { TEXTPOKE_WAYS: 'memfd' }],
  ['by stopping threads', 200, 'mem, signals', native, { TEXTPOKE_WAYS: 'signals' }],
  ['where no page may become writable and executable', 2000, 'mem, membarrier', native, { SOAK_MDWE: '1' }],
  [
    'by a second mapping, where none may become so',
    2000,
    'memfd, membarrier',
    native,
    { SOAK_MDWE: '1', TEXTPOKE_WAYS: 'memfd' },
  ],
  [
    'under valgrind, which has to be told of new code',
    60,
    'memfd, signals, an emulator',
    { ...native, name: 'valgrind', emulator: ['valgrind', '-q', '--fair-sched=yes', '--error-exitcode=9'] },
  ],
  [
    'under the thread sanitizer',
    500,
    'mem, membarrier',
    { ...withFlags('tsan', '-fsanitize=thread'), emulator: ['setarch', '-R'] },
  ],
  [
    'on one processor',
    100,
    'mem, signals',
    { ...native, name: 'one processor', emulator: ['taskset', '-c', '0'] },
    { TEXTPOKE_WAYS: 'signals' },
  ],
  [
    'where calls must not be emulated, as under a shadow stack',
    2000,
    'mem, membarrier',
    withFlags('shadow', '-DTEXTPOKE_AS_UNDER_SHADOW_STACK'),
  ],
];

for (const [name, changes, ways, target, environment] of others)
  longTest(`x86-64: the same ${name}`, ['gcc', 'make', ...target.emulator.slice(0, 1)], () => {
    assert.equal(soak(target, changes, environment).ways, ways);
  });
