// The kernels of Debian that the test runs, and how. Packages are looked up by pattern, because point releases change
// their names.

export type Architecture = 'amd64' | 'arm64' | 'armhf';

export interface DistroKernel {
  readonly name: string;
  readonly arch: Architecture;
  /** Which package has the kernel file; the newest that matches is taken. Group 1 is the kernel's release. */
  readonly image: RegExp;
  /** What verify can do with its modules: without BTF it does not know what a module is like. */
  readonly modules: 'compared' | 'unknown';
  /** Modules that init.c loads; without this, those that Debian's kernels have. */
  readonly loads?: readonly string[];
}

/** From 6.19 on the kernel file is in linux-binary-*, and its modules are in linux-modules-*. */
function debian(arch: Architecture, flavour: string, version: string, prefix = ''): DistroKernel {
  const release = `${version.replace('.', '\\.')}\\.[\\d.]+(?:-\\d+)?(?:\\+deb\\d+)?[\\d.]*-${flavour}`;
  const name = `${prefix}${version}`;
  const modules = arch === 'armhf' ? 'unknown' : 'compared';
  return { name, arch, image: new RegExp(`^linux-(?:image|binary)-(${release})$`), modules };
}

export const distroKernels: readonly DistroKernel[] = [
  ...['5.10', '6.1', '6.12', '6.18', '7.0', '7.1', '7.2', '7.3'].map((version) =>
    debian('amd64', 'cloud-amd64', version),
  ),
  ...['6.1', '6.12', '7.1', '7.3'].map((version) => debian('arm64', 'cloud-arm64', version, 'arm64-')),
  ...['5.10', '6.1', '6.12'].map((version) => debian('armhf', 'armmp', version, 'arm-')),
  debian('armhf', 'armmp-lpae', '6.12', 'arm-lpae-'),
];

const main = 'http://deb.debian.org/debian';
const security = 'http://deb.debian.org/debian-security';

/** Suites that have them, as lines of sources.list name them. */
export const suites: readonly string[] = [
  `${main} bullseye`,
  `${security} bullseye-security`,
  `${main} bookworm`,
  `${security} bookworm-security`,
  `${main} bookworm-backports`,
  `${main} trixie`,
  `${security} trixie-security`,
  `${main} trixie-backports`,
];

/** What is loaded, as far as the kernel has it. */
export const wantedModules = ['crc32c_generic', 'xfs', 'kvm', 'kvm_amd', 'kvm_intel', 'nf_tables', 'bridge'];

export interface Machine {
  readonly qemu: readonly string[];
  /** Words of the kernel's command line. */
  readonly words: string;
  /** Debian's cross compiler. */
  readonly compiler: string;
  readonly cpus: readonly string[];
  /** Where memory begins, for a copy of it. */
  readonly memory: number;
  /** Whether QEMU walks its page tables. */
  readonly paging: boolean;
}

/**
 * One thread for all CPUs, but on ARM, where two CPUs that wait for each other in stop_machine would never take turns.
 * ARM's memory that is mapped low lies below 3 GiB without `highmem=off` too, as LPAE is not asked for.
 */
export const machines: Readonly<Record<Architecture, Machine>> = {
  amd64: {
    qemu: ['qemu-system-x86_64', '-accel', 'tcg,thread=single'],
    // On a machine that is busy, the kernel would otherwise take QEMU's timer for one that does not tick.
    words: 'console=ttyS0 no_timer_check panic=-1',
    compiler: 'x86_64-linux-gnu-gcc',
    cpus: [
      'qemu64',
      'Skylake-Server',
      'Cascadelake-Server',
      'Icelake-Server',
      'EPYC',
      'EPYC-Rome',
      'EPYC-Milan',
      'max',
    ],
    memory: 0,
    paging: true,
  },
  arm64: {
    qemu: ['qemu-system-aarch64', '-M', 'virt', '-accel', 'tcg,thread=single'],
    words: 'console=ttyAMA0 panic=-1',
    compiler: 'aarch64-linux-gnu-gcc',
    cpus: ['cortex-a53', 'cortex-a76', 'max'],
    memory: 0x40000000,
    paging: false,
  },
  armhf: {
    qemu: ['qemu-system-arm', '-M', 'virt', '-accel', 'tcg,thread=multi'],
    words: 'console=ttyAMA0 panic=-1',
    compiler: 'arm-linux-gnueabihf-gcc',
    cpus: ['cortex-a15', 'cortex-a7'],
    memory: 0x40000000,
    paging: false,
  },
};

export interface Options {
  readonly name: string;
  /** Words of the kernel's command line. */
  readonly words: string;
  readonly processors: number;
  /** Whether QEMU is given VMCOREINFO, which it puts into dumps. It is in the guest's memory in any case. */
  readonly note: boolean;
  /** Whether init.c also traces functions, sets probes and loads programs of BPF before the dump. */
  readonly isTraced?: true;
}

const options: readonly Options[] = [
  { name: 'kaslr', words: '', processors: 2, note: true },
  { name: 'nokaslr', words: 'nokaslr', processors: 1, note: false },
  { name: 'off', words: 'mitigations=off', processors: 2, note: false },
  { name: 'stuff', words: 'retbleed=stuff', processors: 2, note: true },
  { name: 'traced', words: '', processors: 2, note: true, isTraced: true },
  { name: 'lfence', words: 'spectre_v2=retpoline,lfence', processors: 2, note: false },
];

const upTo612 = /^(5\.10|6\.1|6\.12)$/;

/**
 * What kernels from 6.18 on do not start with, by faults of their own: apply_retpolines warns of what it writes with
 * `lfence`; with call depth tracking is_callthunk reads in front of the text when a module is loaded.
 */
const doNotStart: readonly { readonly options: string; readonly cpus: RegExp }[] = [
  { options: 'lfence', cpus: /./ },
  { options: 'stuff', cpus: /^(Skylake|Cascadelake)-Server$/ },
];

/** Options that a kernel starts with on a CPU. */
export function optionsOf({ arch, name: kernel }: DistroKernel, cpu: string): readonly Options[] {
  if (arch === 'arm64') return options.filter(({ name }) => /kaslr|off|traced/.test(name));
  if (arch === 'armhf') return options.filter(({ name }) => /kaslr|off/.test(name));
  if (upTo612.test(kernel)) return options;
  return options.filter(({ name }) => !doNotStart.some((row) => row.options === name && row.cpus.test(cpu)));
}
