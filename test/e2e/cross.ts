// Machines that are not this one: how programs for them are linked and started, and what proves one of them.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readElf } from '../../src/elf/read.ts';
import { jumpTable } from '../../src/kinds/static-branch/table.ts';
import { staticCallSites } from '../../src/kinds/static-call/table.ts';
import { readObjectTable } from '../../src/object/tables.ts';
import { objectCode } from '../samples.ts';
import { run } from '../tools.ts';
import {
  allSets,
  annotated,
  assertSameFile,
  assertVerified,
  boot,
  countEntries,
  expected,
  fresh,
  type Linker,
  once,
  type Script,
  scriptPath,
  textpoke,
  units,
} from './programs.ts';

export const include = fileURLToPath(new URL('../../include', import.meta.url));
export type Kind = '-static' | '-no-pie' | '-pie';

export interface Machine {
  readonly name: string;
  readonly sets: readonly string[];
  /** gcc's driver links with GNU ld, clang's with lld. */
  readonly drivers: Readonly<Record<Linker, { c: string[]; cxx: string[]; ld: string }>>;
  /** Runs dynamic programs too. */
  readonly emulator: readonly string[];
  readonly objdump: string;
  /** The key behind a `long` in a structure of the samples. */
  readonly member: string;
  /** What a test needs that compiles, links and runs. */
  readonly tools: readonly string[];
}

function machineOf(name: string, triple: string, emulator: string, sets: RegExp, word: number): Machine {
  const clang = [`--target=${triple}`, '-fuse-ld=lld'];
  return {
    name,
    sets: allSets.filter((set) => sets.test(set)),
    drivers: {
      bfd: { c: [`${triple}-gcc`], cxx: [`${triple}-g++`], ld: `${triple}-ld` },
      lld: { c: ['clang', ...clang], cxx: ['clang++', ...clang], ld: 'ld.lld' },
    },
    emulator: [emulator, '-L', `/usr/${triple}`],
    objdump: `${triple}-objdump`,
    member: `device+${word}`,
    tools: [`${triple}-gcc`, 'clang', 'ld.lld', emulator, 'readelf'],
  };
}

export const aarch64 = machineOf('AArch64', 'aarch64-linux-gnu', 'qemu-aarch64', /^aarch64-/, 8);
export const arm = machineOf('ARM', 'arm-linux-gnueabihf', 'qemu-arm', /^(arm|thumb)-/, 4);
export const machines = [aarch64, arm];

/** The instruction sets, each with a set of samples and what patching writes there. */
export const states = [
  {
    ...{ machine: aarch64, name: 'AArch64' as const, prefix: 'aarch64' },
    ...{ ret: 'c0035fd6', nop: '1f2003d5', clear: '000080d2' }, // ret; nop; mov x0, #0
  },
  {
    ...{ machine: arm, name: 'A32' as const, prefix: 'arm' },
    ...{ ret: '1eff2fe1', nop: '0000a0e1', clear: '0000a0e3' }, // bx lr; mov r0, r0; mov r0, #0
  },
  {
    ...{ machine: arm, name: 'T32' as const, prefix: 'thumb' },
    ...{ ret: '704700bf', nop: 'aff30080', clear: '4ff00000' }, // bx lr, nop; nop.w; mov.w r0, #0
  },
] as const;

export interface Request {
  readonly objects: readonly string[];
  readonly linker: Linker;
  readonly kind: Kind;
  readonly script?: Script;
  readonly via?: Linker;
  readonly flags?: readonly string[];
  readonly cxx?: boolean;
}

export function link(machine: Machine, request: Request): string {
  const { objects, linker, kind, script = 'none', via, flags = [], cxx = false } = request;
  const program = fresh('program');
  let inputs = objects;
  if (via) {
    inputs = [`${program}.together.o`];
    run(machine.drivers[via].ld, ['-r', ...objects, '-o', `${program}.together.o`]);
  }
  const [driver, ...target] = machine.drivers[linker][cxx ? 'cxx' : 'c'] as [string, ...string[]];
  const scripts = script === 'none' ? [] : [`-Wl,-T,${scriptPath(script)}`];
  run(driver, [...target, kind, ...scripts, ...flags, ...inputs, '-o', program]);
  return program;
}

/** Output of a program under the emulator, with variables of its environment as `NAME=VALUE`. */
export function start({ emulator }: Machine, image: string, environment: readonly string[] = []): string {
  const [command, ...flags] = emulator as [string, ...string[]];
  return run(command, [...flags, ...environment.flatMap((variable) => ['-E', variable]), image]);
}

/** Compiles a piece of C (or assembles, with `extension` S), once for the same name. */
export function compileText(
  machine: Machine,
  name: string,
  text: string,
  flags: readonly string[] = [],
  extension = 'c',
): string {
  return once(`${machine.name}-${name}`, (path) => {
    writeFileSync(`${path}.${extension}`, text);
    const [driver, ...target] = machine.drivers.bfd.c as [string, ...string[]];
    run(driver, [...target, '-c', '-O2', `-I${include}`, ...flags, `${path}.${extension}`, '-o', path]);
  });
}

export const objectsOf = (set: string, names: readonly string[] = units): string[] =>
  names.map((name) => annotated(set, name));

/** Entries that the objects hold; compilers may copy a site. */
export function entriesIn(objects: readonly string[]): [number, number, number] {
  const count = (row: typeof jumpTable) =>
    objects.reduce((sum, path) => {
      const object = objectCode(new Uint8Array(readFileSync(path)));
      return sum + readObjectTable(object, row).length;
    }, 0);
  return [count(jumpTable), count(staticCallSites), 0];
}

const on = (keys: string) => keys.split(' ').flatMap((key) => ['--enable', key]);
const off = (keys: string) => keys.split(' ').flatMap((key) => ['--disable', key]);
const update = (calls: string) => calls.split(' ').flatMap((call) => ['--update', call]);

const startOn = 'on_key on_keys[1] shared_true';
const startOff = (machine: Machine) => `off_key off_keys[2] ${machine.member} shared_keys[3] call_key`;
/** Steps that change the sample program's output. */
export const changes = (machine: Machine): string[] => [
  ...on(startOff(machine)),
  ...off(startOn),
  ...update('math=add_ten probe=real_probe shared_call=shared_other'),
];
/** Steps that take them back. */
export const undo = (machine: Machine): string[] => [
  ...off(startOff(machine)),
  ...on(startOn),
  ...update('math=add_one probe=RET0 shared_call=shared_plain'),
];
/** What it prints after `changes`. */
export const changed = expected({
  ...{ 'likely true': 0, 'likely false': 1, 'unlikely true': 0, 'unlikely false': 1, 'array true': 0 },
  ...{ 'array false': 1, member: 1, nested: 1, 'cold body': 1001, 'cold jump': 2, call: 60, 'tail call': 31 },
  ...{ 'ret0 call': 26, 'ret0 tail call': 21, 'call behind branch': 50, 'query add_one': 0 },
  ...{ 'shared key': 4, 'shared call': 403 },
});

/** Runs, verifies; boots, runs, verifies; changes, runs, verifies; and back to the same image. Returns it booted. */
export function prove(machine: Machine, request: Request): string {
  const counts = entriesIn(request.objects);
  const what = JSON.stringify(request);
  const image = link(machine, request);
  assert.equal(start(machine, image), expected(), what);
  assert.deepEqual(countEntries(image), counts, what);
  assertVerified(image, ['--linked'], what);
  const booted = boot(image);
  assert.equal(start(machine, booted), expected(), `booted: ${what}`);
  assertVerified(booted, ['--original', image], `booted: ${what}`);
  const other = boot(booted, changes(machine));
  assert.equal(start(machine, other), changed, `changed: ${what}`);
  assertVerified(other, ['--original', image], `changed: ${what}`);
  assertSameFile(boot(other, undo(machine)), booted, `back: ${what}`);
  return booted;
}

/** What `textpoke boot` says on stderr, and the new image; it must succeed. */
export function bootWithNotes(
  image: string,
  args: readonly string[] = [],
): { notes: string; booted: string } {
  const booted = fresh('booted');
  const result = textpoke(['boot', image, ...args, '-o', booted]);
  assert.equal(result.status, 0, `${args.join(' ')}: ${result.stderr}`);
  return { notes: result.stderr, booted };
}

/** A copy whose bytes at an address, given in hexadecimal, are others. */
export function withBytesAt(image: string, address: number, hexBytes: string): string {
  const bytes = new Uint8Array(readFileSync(image));
  const segment = readElf(image, bytes).segments.find(
    (s) => address >= s.vaddr && address < s.vaddr + s.filesz,
  );
  assert.ok(segment, `a segment holds ${address.toString(16)}`);
  bytes.set(Buffer.from(hexBytes, 'hex'), segment.offset + address - segment.vaddr);
  const broken = join(dirname(fresh('x')), `broken-${address.toString(16)}`);
  writeFileSync(broken, bytes);
  return broken;
}
