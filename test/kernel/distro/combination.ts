// One boot of one kernel: on which CPU, with which options, and which dumps are made of it.
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Guest } from '../guest.ts';
import type { Unpacked } from './apt.ts';
import { distroInitramfs } from './initramfs.ts';
import {
  type DistroKernel,
  distroKernels,
  machines,
  type Options,
  optionsOf,
  wantedModules,
} from './kernels.ts';

export interface Combination {
  readonly kernel: DistroKernel;
  readonly cpu: string;
  readonly options: Options;
}

/** Memory of a guest in MiB: what the kernel, its modules and unpacking need. */
const size = { amd64: 256, arm64: 256, armhf: 256 } as const;

/** Forms of dumps. A copy of the memory says nothing of itself. */
export type Form = 'virtual' | 'physical' | 'kdump' | 'raw';
const forms: readonly Form[] = ['physical', 'virtual', 'kdump', 'raw'];

/** The combinations there are, kernel by kernel. */
export function allCombinations(): Combination[] {
  return distroKernels.flatMap((kernel) =>
    machines[kernel.arch].cpus.flatMap((cpu) =>
      optionsOf(kernel, cpu).map((options) => ({ kernel, cpu, options })),
    ),
  );
}

/** Each kernel with each of its machine's CPUs; the options go round, so that each kernel and each CPU has all of them. */
export function pairedCombinations(): Combination[] {
  return distroKernels.flatMap((kernel, k) => {
    return machines[kernel.arch].cpus.map((cpu, c) => {
      const all = optionsOf(kernel, cpu);
      const options = all[(k + c) % all.length] as Options;
      return { kernel, cpu, options };
    });
  });
}

/** The dumps of a combination: every form for a kernel's first one, for each of the others one in turn. */
export function formsOf({ kernel, cpu, options }: Combination): readonly Form[] {
  const { cpus, paging } = machines[kernel.arch];
  const possible = forms.filter((form) => form !== 'virtual' || paging);
  const all = optionsOf(kernel, cpu);
  const index = distroKernels.indexOf(kernel) + cpus.indexOf(cpu) * all.length + all.indexOf(options);
  if (cpu === cpus[0] && options === all[0]) return possible;
  return [possible[index % possible.length] as Form];
}

export const nameOf = ({ kernel, cpu, options }: Combination): string =>
  `${kernel.name} ${cpu} ${options.name}`;

/** Boots until init.c has switched keys, or has traced functions too, and has `look` see each dump, which is then removed. */
export async function dumpGuest(
  directory: string,
  { kernel, cpu, options }: Combination,
  unpacked: Unpacked,
  wanted: readonly Form[],
  look: (form: Form, dump: string) => void,
): Promise<readonly string[]> {
  const machine = machines[kernel.arch];
  const modules = kernel.loads ?? wantedModules;
  const { archive, loaded } = distroInitramfs(
    directory,
    compiledInit(directory, machine.compiler),
    unpacked.modules,
    options.note ? [...modules, 'qemu_fw_cfg'] : modules,
    (root) => {
      if (options.isTraced) writeFileSync(join(root, 'trace'), '');
    },
  );
  const megabytes = size[kernel.arch];
  const guest = new Guest(directory, [
    ...[...machine.qemu, '-cpu', cpu, '-smp', `${options.processors}`, '-m', `${megabytes}`],
    ...(options.note ? ['-device', 'vmcoreinfo'] : []),
    ...['-kernel', unpacked.image, '-initrd', archive],
    ...['-append', `${machine.words} ${options.words}`.trim()],
  ]);
  try {
    await guest.line('at rest: booted');
    guest.next();
    await guest.line('at rest: switched');
    if (options.isTraced) {
      guest.next();
      await guest.line('at rest: traced');
    }
    await guest.stopped(async (qmp) => {
      for (const form of wanted) {
        const dump = join(directory, `dump-${form}`);
        rmSync(dump, { force: true });
        const protocol = `file:${dump}`;
        if (form === 'raw')
          await qmp.run('pmemsave', { val: machine.memory, size: megabytes << 20, filename: dump });
        else if (form === 'kdump')
          await qmp.run('dump-guest-memory', { protocol, paging: false, format: 'kdump-zlib' });
        else await qmp.run('dump-guest-memory', { protocol, paging: form === 'virtual' });
        chmodSync(dump, 0o644);
      }
    });
  } finally {
    await guest.end();
  }
  for (const form of wanted) look(form, join(directory, `dump-${form}`));
  const failed = loaded.filter((name) => !guest.text.includes(`loaded /${name}.ko`));
  return loaded.filter((name) => !failed.includes(name));
}

/** Compiles init.c; returns the program. */
export function compiledInit(directory: string, compiler: string): string {
  const program = join(directory, 'init');
  execFileSync(compiler, ['-static', '-O2', join(import.meta.dirname, 'init.c'), '-o', program]);
  return program;
}
