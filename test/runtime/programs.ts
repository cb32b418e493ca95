// Programs of this folder, compiled, annotated and linked with libtextpoke: as `make install` leaves it, or among their
// own sources where a machine's program is static.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate } from '../../src/library/annotate.ts';
import { linkerScript } from '../../src/library/linker-script.ts';
import { run } from '../tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));

// A child of qemu-user waits for ever where another thread held a lock of GLib's slices when it forked; malloc minds forks.
process.env.G_SLICE = 'always-malloc';

/** How a program is built and run. */
export interface Target {
  readonly name: string;
  readonly compiler: readonly string[];
  /** As `ldscript --machine` has it; undefined where nothing is patched. */
  readonly machine: string | undefined;
  readonly emulator: readonly string[];
  /** With libtextpoke.so; a plugin can be loaded then. */
  readonly shared: boolean;
}

const arm = ['arm-linux-gnueabihf-gcc', '-static', '-fno-section-anchors'];
export const targets: readonly Target[] = [
  { name: 'x86-64', compiler: ['gcc'], machine: 'x86-64', emulator: [], shared: true },
  {
    name: 'x86-64 with musl',
    compiler: ['musl-gcc', '-static'],
    machine: 'x86-64',
    emulator: [],
    shared: false,
  },
  {
    name: 'AArch64',
    compiler: ['aarch64-linux-gnu-gcc', '-static'],
    machine: 'AArch64',
    emulator: ['qemu-aarch64'],
    shared: false,
  },
  { name: 'A32', compiler: [...arm, '-marm'], machine: 'ARM', emulator: ['qemu-arm'], shared: false },
  { name: 'T32', compiler: [...arm, '-mthumb'], machine: 'ARM', emulator: ['qemu-arm'], shared: false },
];

/** 32-bit ARM with libtextpoke.so. */
export const sharedArm: Target = {
  name: 'A32 with libtextpoke.so',
  compiler: ['arm-linux-gnueabihf-gcc', '-fno-section-anchors', '-marm'],
  machine: 'ARM',
  emulator: ['qemu-arm', '-L', '/usr/arm-linux-gnueabihf'],
  shared: true,
};

/** Without patching, on this machine and on one that has no arch header, whose bytes are in the other order. */
export const loading: readonly Target[] = [
  {
    name: 'x86-64 without patching',
    compiler: ['gcc', '-DTEXTPOKE_NO_PATCHING'],
    machine: undefined,
    emulator: [],
    shared: false,
  },
  {
    name: 's390x, which has no arch header',
    compiler: ['s390x-linux-gnu-gcc', '-static'],
    machine: undefined,
    emulator: ['qemu-s390x'],
    shared: false,
  },
];

export const toolsOf = ({ compiler, emulator }: Target): string[] => [
  compiler[0] as string,
  ...emulator.slice(0, 1),
];

const warnings = ['-Wall', '-Wextra', '-Werror'];

const words = new Map<string, { readonly cflags: readonly string[]; readonly libs: readonly string[] }>();

/** The words that compile and link with the library of a compiler, installed below the first directory that asks. */
function installed(directory: string, compiler: string) {
  const known = words.get(compiler);
  if (known) return known;
  const prefix = join(directory, 'installed');
  const build = `BUILD=${join(directory, 'build')}`;
  run('make', [
    '-s',
    '-C',
    join(root, 'runtime'),
    build,
    `PREFIX=${prefix}`,
    `CC=${compiler}`,
    'CFLAGS=-O2 -Werror',
    'install',
  ]);
  const file = readFileSync(join(prefix, 'lib/pkgconfig/textpoke.pc'), 'latin1');
  const variables = new Map([...file.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
  const wordsOf = (field: string) => {
    const line = new RegExp(`^${field}: (.*)$`, 'm').exec(file)?.[1] as string;
    return line.replace(/\$\{(\w+)\}/g, (_, name: string) => variables.get(name) as string).split(' ');
  };
  const found = { cflags: wordsOf('Cflags'), libs: [...wordsOf('Libs'), `-Wl,-rpath,${prefix}/lib`] };
  words.set(compiler, found);
  return found;
}

/** Words of which libtextpoke's own source knows nothing: what a program of this folder is asked to be. */
const ofPrograms = /^-D(EXAMPLE=|NO_IFUNC|NO_DLOPEN)/;

const compiled = new Map<string, string>();

/** libtextpoke as an object, compiled once by the same compiler with the same words. */
function libraryObject(driver: string, words: readonly string[], directory: string): string {
  const wanted = words.filter((word) => !ofPrograms.test(word));
  const key = [driver, ...wanted].join(' ');
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const object = join(directory, 'textpoke.o');
  run(driver, [...wanted, '-c', join(root, 'runtime/textpoke.c'), '-o', object]);
  compiled.set(key, object);
  return object;
}

/** The words that give a linker the tables' names, in a directory. */
function scriptWords(machine: string | undefined, directory: string): string[] {
  if (machine === undefined) return [];
  const script = join(directory, 'textpoke.ld');
  writeFileSync(script, linkerScript(machine));
  return [`-Wl,-T,${script}`];
}

/**
 * Builds test/runtime/NAME.c in a directory, and plugin.c beside it where that can be loaded; the paths of both. `defined`
 * are words for the compiler.
 */
export function build(
  target: Target,
  name: string,
  directory: string,
  ...defined: string[]
): { program: string; plugin?: string } {
  const [driver, ...compilerFlags] = target.compiler as [string, ...string[]];
  const flags = [...compilerFlags, ...defined];
  mkdirSync(directory, { recursive: true });
  const script = scriptWords(target.machine, directory);
  const parts = target.shared
    ? installed(directory, target.compiler.join(' '))
    : { cflags: [`-I${root}include`], libs: ['-pthread'] };
  const make = (source: string, out: string, ...more: string[]) => {
    const object = join(directory, `${source}.o`);
    const own = [
      ...flags,
      ...more.filter((flag) => flag !== '-shared'),
      '-O2',
      '-g',
      ...warnings,
      ...parts.cflags,
    ];
    run(driver, [...own, '-c', join(here, `${source}.c`), '-o', object]);
    if (target.machine !== undefined) writeFileSync(object, annotate(object).bytes);
    const library = target.shared ? [] : [libraryObject(driver, own, directory)];
    run(driver, [...flags, ...more, ...own, object, ...library, ...parts.libs, ...script, '-o', out]);
    return out;
  };
  const program = make(name, join(directory, name), ...(target.shared ? [] : ['-DNO_DLOPEN']));
  if (!target.shared) return { program };
  return { program, plugin: make('plugin', join(directory, 'plugin.so'), '-fPIC', '-shared') };
}
