// Programs that patch themselves with libtextpoke, held against boot: after the same steps their memory must be
// what boot makes of the file, byte for byte. The runtime is C, and shares no code with textpoke.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { PF_X, PT_LOAD } from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { readStaticCalls, type StaticCall } from '../../src/image/static-calls.ts';
import { tableRanges } from '../../src/image/tables.ts';
import { jumpTable, readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { readCallSites, staticCallSites } from '../../src/kinds/static-call/table.ts';
import { seeded } from '../seeded.ts';
import { startSync } from '../starter.ts';
import { casesOf, run, testOfTurn } from '../tools.ts';
import { done, fresh, hex, plain, units } from './programs.ts';

const samples = fileURLToPath(new URL('../../samples/runtime', import.meta.url));
const library = fileURLToPath(new URL('../../runtime/textpoke.c', import.meta.url));
const include = fileURLToPath(new URL('../../include', import.meta.url));
/** Sequences of steps a machine; an emulator takes its time for each. TEXTPOKE_SEQUENCES asks for more or fewer. */
const asked = Number(process.env.TEXTPOKE_SEQUENCES) || undefined;
const sequences = { native: asked ?? casesOf(1000), emulated: asked ?? casesOf(250) };

interface Row {
  readonly name: string;
  readonly set: string;
  readonly compiler: readonly string[];
  /** As `ldscript --machine` has it. */
  readonly machine: string;
  readonly emulator: readonly string[];
}

const arm = {
  compiler: 'arm-linux-gnueabihf-gcc',
  machine: 'ARM',
  emulator: ['qemu-arm', '-L', '/usr/arm-linux-gnueabihf'],
};
const rows: readonly Row[] = [
  { name: 'x86-64', set: 'gcc-O2', compiler: ['gcc'], machine: 'x86-64', emulator: [] },
  {
    name: 'x86-64 with conditional tail calls',
    set: 'clang-Os',
    compiler: ['gcc'],
    machine: 'x86-64',
    emulator: [],
  },
  {
    name: 'AArch64',
    set: 'aarch64-gcc-O2',
    compiler: ['aarch64-linux-gnu-gcc'],
    machine: 'AArch64',
    emulator: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
  },
  { ...arm, name: 'A32', set: 'arm-gcc-O2', compiler: [arm.compiler, '-marm'] },
  { ...arm, name: 'T32', set: 'thumb-gcc-O2', compiler: [arm.compiler, '-mthumb'] },
];

const warnings = ['-Wall', '-Wextra', '-Werror'];

/** Annotated sample units and the runtime, with a unit that has `main`. */
function build({ set, compiler, machine }: Row, main: string, names: readonly string[]): string {
  const directory = fresh(`runtime-${set}`);
  mkdirSync(directory);
  const objects = names.map((name) => join(directory, `${name}.o`));
  names.forEach((name, i) => {
    copyFileSync(plain(set, name), objects[i] as string);
  });
  const barriers = machine === 'x86-64' ? [] : ['--smp-barriers'];
  const own = join(directory, 'own.o');
  const [driver, ...flags] = compiler as [string, ...string[]];
  const includes = [`-I${include}`];
  run(driver, [...flags, '-O2', '-fno-pie', ...warnings, ...includes, '-c', join(samples, main), '-o', own]);
  done(['annotate', ...objects, own, ...barriers]);
  const script = join(directory, 'textpoke.ld');
  writeFileSync(script, done(['ldscript', '--machine', machine]));
  const program = join(directory, 'program');
  const link = ['-no-pie', `-Wl,-T,${script}`, '-o', program];
  run(driver, [...flags, '-O2', '-fno-pie', ...warnings, ...includes, library, own, ...objects, ...link]);
  return program;
}

function start({ emulator }: Row, program: string, input: string) {
  const [command = program, ...args] = [...emulator, program];
  return startSync(command, args, { input, encoding: 'latin1' });
}

/** One sequence: the lines that the driver is given, and the same for boot. */
interface Sequence {
  readonly cpus: number;
  readonly steps: readonly BootStep[];
  readonly line: string;
}

/** What there is to be changed in an image. */
interface Subject {
  readonly keys: readonly number[];
  readonly calls: readonly StaticCall[];
  /** Code pointers. */
  readonly functions: readonly number[];
  readonly returnZero: number;
}

function subjectOf(image: Image): Subject {
  const names = ['add_one', 'add_ten', 'observe', 'observe_twice', 'real_probe', 'shared_plain'];
  return {
    keys: [...new Set(readBranchSites(image).map((site) => site.key))],
    calls: [...readStaticCalls(image).values()].filter((call) => call.trampoline !== undefined),
    functions: names.map((name) => image.symbols.addressOf(name) as number),
    returnZero: image.symbols.addressOf('__static_call_return0') as number,
  };
}

const keySteps = ['enable', 'disable', 'inc', 'dec'] as const;

function makeSequence({ keys, calls, functions, returnZero }: Subject, random: () => number): Sequence {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const cpus = pick([1, 2]);
  let up = cpus;
  const steps: BootStep[] = [];
  const words = [`cpus ${cpus}`];
  for (let left = 1 + Math.floor(random() * 12); left > 0; left--) {
    const kind = pick(['key', 'key', 'call', 'call', 'cpus']);
    if (kind === 'key') {
      const [key, what] = [hex(pick(keys)), pick(keySteps)];
      steps.push({ do: what, key });
      words.push(`${what} ${key}`);
    } else if (kind === 'call') {
      const call = pick(calls);
      const value = pick([...functions, 0, returnZero]);
      steps.push({ do: 'update', call: hex(call.key), value: value === 0 ? 'NULL' : hex(value) });
      words.push(`update ${hex(call.key)} ${hex(call.trampoline as number)} ${value.toString(16)}`);
    } else {
      steps.push(up === 1 ? { do: 'cpuUp', cpu: 1 } : { do: 'cpuDown', cpu: 1, dropLocks: true });
      up = 3 - up;
      words.push(`cpus ${up}`);
    }
  }
  return { cpus, steps, line: words.join('; ') };
}

const executable = (image: Image) =>
  image.file.segments.filter((s) => s.type === PT_LOAD && (s.flags & PF_X) !== 0);

/** Makes an image what the driver says its memory is: its text, its tables, its keys. */
function applyReport(image: Image, report: string): void {
  for (const line of report.split('\n')) {
    const [what, place, value] = line.split(' ') as [string, string, string];
    const address = Number.parseInt(place, 16);
    if (what === 'text' || what === 'table')
      image.read(address, value.length / 2).set(Buffer.from(value, 'hex'));
    const number =
      what === 'enabled' ? Number(value) : what === 'func' ? Number.parseInt(value, 16) : undefined;
    if (number === undefined) continue;
    const { wordSize } = image.arch;
    const field = image.read(address, what === 'func' ? wordSize : 4);
    for (let i = 0; i < field.length; i++) field[i] = Math.floor(number / 2 ** (8 * i)) & 0xff;
  }
}

/** Where two images differ, in words; undefined where they do not: in code, tables, counts and functions of keys. */
function difference(theirs: Image, ours: Image): string | undefined {
  const ranges = executable(ours).map((s) => [s.vaddr, s.filesz] as const);
  for (const row of [jumpTable, staticCallSites])
    ranges.push(...tableRanges(ours, row).map(({ start, end }) => [start, end - start] as const));
  for (const { key } of readBranchSites(ours)) ranges.push([key, 4]);
  for (const { key } of readCallSites(ours)) ranges.push([key, ours.arch.wordSize]);
  for (const [start, size] of ranges) {
    const [a, b] = [theirs.read(start, size), ours.read(start, size)];
    const at = Buffer.compare(a, b) === 0 ? -1 : a.findIndex((byte, i) => byte !== b[i]);
    if (at >= 0) {
      const shown = (bytes: Uint8Array) => Buffer.from(bytes.subarray(at, at + 8)).toString('hex');
      return `${hex(start + at)} ${ours.describe(start + at)}: the program has ${shown(a)}, boot ${shown(b)}`;
    }
  }
  return undefined;
}

for (const [turn, row] of rows.entries()) {
  const tools = [row.compiler[0] as string, ...row.emulator.slice(0, 1)];
  const count = row.emulator.length > 0 ? sequences.emulated : sequences.native;
  testOfTurn(turn, 5)(
    `${row.name}: programs patch themselves as boot does, ${count} sequences of steps`,
    tools,
    () => {
      const program = build(
        row,
        'driver.c',
        units.filter((unit) => unit !== 'main'),
      );
      const bytes = Uint8Array.from(readFileSync(program));
      const open = () => new Image(readElf(program, bytes.slice()));
      const subject = subjectOf(open());
      assert.ok(subject.keys.length > 5, `${subject.keys.length} keys`);
      assert.ok(subject.calls.length > 5, `${subject.calls.length} calls`);
      const random = seeded(2611);
      const all = Array.from({ length: count }, () => makeSequence(subject, random));
      const { status, stdout, stderr } = start(row, program, all.map(({ line }) => `${line}\n`).join(''));
      assert.equal(status, 0, stderr.slice(0, 400));
      const reports = stdout.split('end\n').slice(0, -1);
      assert.equal(reports.length, all.length);
      all.forEach(({ cpus, steps, line }, i) => {
        const [theirs, ours] = [open(), open()];
        applyReport(theirs, reports[i] as string);
        boot(ours, { cpus, upFill: 'ds', steps });
        const found = difference(theirs, ours);
        assert.equal(found, undefined, `sequence ${i}, ${line}`);
      });
    },
  );

  testOfTurn(turn, 5)(`${row.name}: the example changes its mind while it runs`, tools, () => {
    const { status, stdout, stderr } = start(row, build(row, 'example.c', []), '');
    assert.equal(`${stderr}${status}`, '0');
    assert.equal(stdout, 'hello 1\nwork(2)\nhallo 2\nhello 4\n');
  });
}
