// Builds the kernels of the test from Debian's linux-source.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const dropIn = builtProgram('kbuild-objtool');
const jobs = `-j${availableParallelism()}`;

export interface Kernel {
  readonly name: string;
  /** As make's ARCH has it. */
  readonly arch: 'x86' | 'arm64' | 'arm';
  /** More arguments of make. */
  readonly make: readonly string[];
  /** Files of options, beside `config`. */
  readonly configs: readonly string[];
  readonly image: string;
  /** Tables that dump is to read from vmlinux. */
  readonly tables: readonly string[];
}

const x86 = { arch: 'x86', configs: [], image: 'bzImage', tables: [] } as const;

export const kernels: readonly Kernel[] = [
  { ...x86, name: 'gcc', make: [] },
  { ...x86, name: 'clang', make: ['LLVM=1'] },
  // Objtool then runs once over vmlinux.o, an `ld -r` of all objects.
  { ...x86, name: 'linked', make: [], configs: ['config-linked'] },
  {
    name: 'arm64',
    arch: 'arm64',
    make: ['ARCH=arm64', 'CROSS_COMPILE=aarch64-linux-gnu-'],
    configs: ['config-arm64'],
    image: 'Image',
    tables: ['__jump_table'],
  },
  {
    name: 'arm',
    arch: 'arm',
    make: ['ARCH=arm', 'CROSS_COMPILE=arm-linux-gnueabihf-'],
    configs: ['config-arm'],
    image: 'zImage',
    tables: ['__jump_table', '.alt.smp.init'],
  },
];

function run(directory: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  const log = join(directory, 'log');
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: directory,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  writeFileSync(log, `${stdout}${stderr}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit status ${status}; see ${log}`);
}

/** Configures a kernel; returns the directory it is built in, and what make is told each time. */
function configure(source: string, directory: string, kernel: Kernel): { out: string; make: string[] } {
  const out = join(directory, kernel.name);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  const make = ['-C', source, `O=${out}`, jobs, ...kernel.make];
  run(directory, 'make', [...make, 'tinyconfig']);
  const merge = join(source, 'scripts', 'kconfig', 'merge_config.sh');
  const options = ['config', ...kernel.configs].map((name) => join(here, name));
  const environment = Object.fromEntries(kernel.make.map((word) => word.split('=') as [string, string]));
  run(source, merge, ['-O', out, join(out, '.config'), ...options], environment);
  run(directory, 'make', [...make, 'olddefconfig']);
  run(directory, 'make', [...make, 'prepare', 'modules_prepare']);
  return { out, make };
}

/**
 * Builds a kernel and its modules, on x86 with textpoke in objtool's place; with `keep` by objtool, each object kept
 * there before and after. Returns the build's directory.
 */
export function buildKernel(
  source: string,
  directory: string,
  kernel: Kernel,
  { keep }: { keep?: string },
): string {
  const { out, make } = configure(source, directory, kernel);
  const tool = keep ? [`objtool=${join(here, 'keep-objtool')}`] : [`objtool=${dropIn}`];
  if (keep) rmSync(keep, { recursive: true, force: true });
  const targets = [kernel.image, 'modules'];
  run(directory, 'make', [...make, ...(kernel.arch === 'x86' ? tool : []), ...targets], {
    ...(keep && { KEEP: keep }),
  });
  return out;
}

/** Directories of a kernel with static calls, static branches of both sizes, paravirt calls and modules. */
const sliceOf = ['kernel/sched/', 'kernel/trace/', 'arch/x86/events/', 'fs/ext4/'];

export interface Slice {
  readonly name: string;
  readonly directories: readonly string[];
  /** Files of options, beside `config`. */
  readonly configs: readonly string[];
}

export const slices: readonly Slice[] = [
  { name: 'slice', directories: sliceOf, configs: [] },
  // Objtool then runs over the module, which is linked of the same objects.
  { name: 'slice-linked', directories: ['fs/ext4/'], configs: ['config-linked'] },
];

/** Some objects of a kernel, kept before and after objtool. Returns the build's directory. */
export function buildObjects(
  source: string,
  directory: string,
  { name, directories, configs }: Slice,
  keep: string,
): string {
  const { out, make } = configure(source, directory, { ...(kernels[0] as Kernel), name, configs });
  rmSync(keep, { recursive: true, force: true });
  run(directory, 'make', [...make, `objtool=${join(here, 'keep-objtool')}`, ...directories], { KEEP: keep });
  return out;
}
