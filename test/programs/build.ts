// Compilers, flags and linkers for random programs: what may be combined with what is written here.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Random } from '../seeded.ts';
import { hasTool } from '../tools.ts';

const include = fileURLToPath(new URL('../../include', import.meta.url));

export interface Compiler {
  readonly c: readonly string[];
  readonly cpp: readonly string[];
  readonly isClang: boolean;
  /** With std::coroutine_handle. */
  readonly hasCoroutines: boolean;
  /** clang 14 may give inline assembly another register than the one with the value, in functions with asm goto. */
  readonly keepsTiedOperands: boolean;
}

export interface Machine {
  readonly name: string;
  /** As `ldscript --machine` has it. */
  readonly script: string;
  readonly compilers: readonly Compiler[];
  /** What links C++. */
  readonly driver: string;
  readonly linkers: readonly string[];
  readonly emulator: readonly string[];
  readonly memberOffset: number;
  readonly flags: readonly string[];
}

const gcc = (prefix: string): Compiler => ({
  ...{
    c: [`${prefix}gcc`],
    cpp: [`${prefix}g++`],
    isClang: false,
    hasCoroutines: true,
    keepsTiedOperands: true,
  },
});
const clang = (version: string, target: readonly string[]): Compiler => ({
  c: [`clang${version}`, ...target],
  cpp: [`clang++${version}`, ...target],
  isClang: true,
  // libstdc++'s header wants what clang 14 does not say of itself.
  hasCoroutines: version === '-19',
  keepsTiedOperands: version !== '-14',
});
const clangs = (...target: readonly string[]) => ['-14', '-19'].map((version) => clang(version, target));

const arm = {
  ...{ script: 'ARM', driver: 'arm-linux-gnueabihf-g++', linkers: ['bfd'], memberOffset: 4 },
  compilers: [gcc('arm-linux-gnueabihf-'), ...clangs('--target=arm-linux-gnueabihf')],
  emulator: ['qemu-arm', '-L', '/usr/arm-linux-gnueabihf'],
};

/** Machines that programs can be made for. */
export const machines: readonly Machine[] = [
  {
    ...{ name: 'x86-64', script: 'x86-64', driver: 'g++', linkers: ['bfd', 'lld'], memberOffset: 8 },
    compilers: [gcc(''), ...clangs()],
    emulator: [],
    flags: [],
  },
  {
    ...{
      name: 'AArch64',
      script: 'AArch64',
      driver: 'aarch64-linux-gnu-g++',
      linkers: ['bfd'],
      memberOffset: 8,
    },
    compilers: [gcc('aarch64-linux-gnu-'), ...clangs('--target=aarch64-linux-gnu')],
    emulator: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
    flags: [],
  },
  { ...arm, name: 'A32', flags: ['-marm'] },
  { ...arm, name: 'T32', flags: ['-mthumb'] },
];

/** The machines whose tools are here, with those of their compilers that are; other linkers are taken for x86-64. */
export function machinesHere(others: readonly string[] = []): Machine[] {
  return machines
    .map((machine) => ({
      ...machine,
      compilers: machine.compilers.filter(({ c }) => hasTool(c[0] as string)),
      linkers: (machine.script === 'x86-64' && others.length > 0 ? others : machine.linkers).filter(
        (linker) => hasTool(`ld.${linker}`),
      ),
    }))
    .filter(
      ({ driver, emulator, compilers, linkers }) =>
        hasTool(driver) &&
        (emulator.length === 0 || hasTool(emulator[0] as string)) &&
        compilers.length > 0 &&
        linkers.length > 0,
    );
}

export type Kind = 'no-pie' | 'pie' | 'static' | 'shared';

/** How one executable is put together. */
export interface Linking {
  readonly linker: string;
  readonly kind: Kind;
  readonly script: 'none' | 'keep' | 'gc';
}

export function randomLinking(random: Random, { linkers, name }: Machine): Linking {
  const kinds: Kind[] =
    name === 'x86-64' ? ['no-pie', 'pie', 'static', 'shared'] : ['no-pie', 'pie', 'static'];
  return {
    linker: random.pick(linkers),
    kind: random.pick(kinds),
    script: random.pick(['none', 'keep', 'gc'] as const),
  };
}

/** Compiler and flags of one unit. */
export interface Compiling {
  readonly compiler: Compiler;
  readonly flags: readonly string[];
}

const levels = ['-O0', '-O1', '-O2', '-O2', '-O3', '-Os'];
const forAll = [
  ...[
    '-fno-omit-frame-pointer',
    '-fno-inline',
    '-funroll-loops',
    '-fstack-protector-all',
    '-fno-jump-tables',
  ],
  ...[
    '-fno-asynchronous-unwind-tables',
    '-g',
    '-gdwarf-4',
    '-gz',
    '-fwrapv',
    '-fdata-sections',
    '-fno-common',
  ],
  ...['-fno-optimize-sibling-calls', '-fno-strict-aliasing', '-fno-plt', '-ftrapv'],
];
const forGcc = [
  ...[
    '-fno-reorder-blocks',
    '-fno-reorder-blocks-and-partition',
    '-falign-functions=64',
    '-fno-toplevel-reorder',
  ],
  ...['-fno-ipa-icf', '-fipa-pta', '-fno-crossjumping', '-fira-region=all', '-fno-tree-switch-conversion'],
  '-fno-shrink-wrap',
];
const forClang = ['-falign-functions=64', '-mllvm', '-fno-semantic-interposition', '-faddrsig'];
const forMachine: Readonly<Record<string, readonly string[]>> = {
  'x86-64': [
    ...[
      '-fcf-protection=full',
      '-fcf-protection=branch',
      '-fcf-protection=none',
      '-march=x86-64-v2',
      '-mtune=atom',
    ],
    ...['-mcmodel=medium', '-mno-red-zone'],
    // Not on ARM, where gcc puts constants out of reach behind labels that are aligned.
    '-falign-labels=16',
  ],
  AArch64: [
    ...[
      '-mbranch-protection=standard',
      '-mbranch-protection=none',
      '-mno-outline-atomics',
      '-moutline-atomics',
    ],
    ...['-march=armv8.1-a', '-march=armv8-a+crc', '-mgeneral-regs-only', '-falign-labels=16'],
  ],
  A32: ['-march=armv7-a+vfpv3-d16', '-mno-unaligned-access'],
  T32: ['-march=armv7-a+vfpv3-d16', '-mno-unaligned-access', '-mrestrict-it'],
};

export function randomCompiling(random: Random, machine: Machine, { kind, script }: Linking): Compiling {
  const compiler = random.pick(machine.compilers);
  const { isClang } = compiler;
  const needed = {
    'no-pie': ['-fno-pie', '-fPIE', '-fPIC'],
    static: ['-fno-pie', '-fPIE'],
    pie: ['-fPIE', '-fPIC'],
  };
  const pic = kind === 'shared' ? '-fPIC' : random.pick(needed[kind]);
  const own = isClang ? forClang : forGcc;
  const flags = [
    random.pick(isClang ? [...levels, '-Oz'] : levels),
    pic,
    ...machine.flags,
    ...(script === 'gc' || random.chance(0.3) ? ['-ffunction-sections'] : []),
    ...(!isClang && machine.script === 'ARM' && pic !== '-fno-pie' ? ['-fno-section-anchors'] : []),
  ];
  for (const [from, most] of [
    [forAll, 3],
    [own.filter((flag) => flag !== '-mllvm'), 2],
    [forMachine[machine.name] ?? [], 2],
  ] as const)
    for (let i = random.below(most + 1); i > 0; i--) {
      const flag = random.pick(from);
      if (isClang && machine.script === 'ARM' && flag.includes('+')) continue;
      // clang 14 then takes addresses as no PIE can have them.
      if (isClang && flag === '-mcmodel=medium' && pic !== '-fno-pie') continue;
      if (!flags.includes(flag)) flags.push(flag);
    }
  return { compiler, flags };
}

/** The command that compiles a unit of a directory. */
export function compileCommand(
  { compiler, flags }: Compiling,
  { file, isCpp, hasCoroutines }: { file: string; isCpp: boolean; hasCoroutines: boolean },
): string[] {
  const standard = isCpp ? (hasCoroutines ? ['-std=c++20'] : ['-std=c++17']) : ['-std=gnu11'];
  const driver = isCpp ? compiler.cpp : compiler.c;
  const coroutines = hasCoroutines && !compiler.isClang ? ['-fcoroutines'] : [];
  return [
    ...driver,
    ...standard,
    ...coroutines,
    ...flags,
    '-w',
    `-I${include}`,
    '-I.',
    '-c',
    file,
    '-o',
    `${file}.o`,
  ];
}

/** The commands that link objects of a directory to `output`, and name of the file that holds the sites. */
export function linkCommands(
  machine: Machine,
  { linker, kind, script }: Linking,
  objects: readonly string[],
  directory: string,
): { readonly commands: string[][]; readonly program: string; readonly image: string } {
  const scripts =
    script === 'none' ? [] : ['-Wl,-T,../textpoke.ld', ...(script === 'gc' ? ['-Wl,--gc-sections'] : [])];
  const base = [machine.driver, ...machine.flags, `-fuse-ld=${linker}`];
  const program = join(directory, 'program');
  if (kind !== 'shared') {
    const flag = { 'no-pie': '-no-pie', static: '-static', pie: '-pie' }[kind];
    const all = ['main.c.o', ...objects].map((name) => `../${name}`);
    return { commands: [[...base, flag, ...scripts, ...all, '-o', 'program']], program, image: program };
  }
  const library = [
    ...base,
    '-shared',
    ...scripts,
    '../main.c.o',
    ...objects.map((name) => `../${name}`),
    '-o',
    'libprogram.so',
  ];
  const start = [...base, '-pie', '../start.o', '-L.', '-lprogram', '-Wl,-rpath,$ORIGIN', '-o', 'program'];
  return { commands: [library, start], program, image: join(directory, 'libprogram.so') };
}
