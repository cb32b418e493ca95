// npm run test:kernel [-- --only NAME,...] [--source PACKAGE|DIRECTORY] [DIRECTORY]: real kernels, built from Debian's
// linux-source or as its packages have them. What each is for is said in docs/kernel.md; the packages that are needed too.
// Writes DIRECTORY/report.md.
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bootAndSwitch } from './boot.ts';
import { buildKernel, buildObjects, type Kernel, kernels, slices } from './build.ts';
import { verifyCfiKernel } from './cfi/booted.ts';
import { compareCfi } from './cfi/cfi.ts';
import { findChanges } from './distro/changes.ts';
import { distro, moments, running } from './distro/distro.ts';
import { checkWrites } from './distro/writes-run.ts';
import { compareKallsyms } from './kallsyms.ts';
import { compareMemory } from './memory.ts';
import { dumpPackage } from './package.ts';
import { compareKept, keepSections } from './passes.ts';
import { comparePrelink } from './prelink.ts';
import { Report } from './report.ts';
import { unpack } from './source.ts';

const { values, positionals } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    source: { type: 'string' },
    // Which of Debian's kernels boot, on which CPUs, with which options; without these, a part that takes minutes.
    kernels: { type: 'string' },
    cpus: { type: 'string' },
    options: { type: 'string' },
    pairs: { type: 'boolean' },
    all: { type: 'boolean' },
    keep: { type: 'boolean' },
    // A kernel file, a dump of it and the directory of its modules, for `changes`.
    image: { type: 'string' },
    dump: { type: 'string' },
    modules: { type: 'string' },
    bits: { type: 'string', default: '10000' },
    inputs: { type: 'string', default: '1000' },
  },
  allowPositionals: true,
});
const directory = resolve(positionals[0] ?? join(tmpdir(), 'textpoke-kernel'));
mkdirSync(directory, { recursive: true });
const report = new Report();
let source: string | undefined;
/** The kernel's source; the kernels of packages need none. */
const unpacked = () => {
  source ??= unpack(directory, values.source);
  return source;
};

/** The memory of a running kernel, with one CPU and with two. */
async function memory(out: string, kernel: Kernel): Promise<void> {
  for (const cpus of [1, 2]) await compareMemory(report, directory, out, kernel.arch, cpus);
}

/** x86-64: every object against objtool, then a kernel made by textpoke runs. */
async function x86(kernel: Kernel): Promise<void> {
  const keep = join(directory, `${kernel.name}-kept`);
  const out = buildKernel(unpacked(), directory, kernel, { keep });
  compareKept(report, keep, join(out, 'tools/objtool/objtool'));
  const made = buildKernel(unpacked(), directory, { ...kernel, name: `${kernel.name}-textpoke` }, {});
  for (const cpus of [1, 2]) bootAndSwitch(report, directory, made, cpus);
  await memory(made, kernel);
}

/** Another machine: tables against the object before the link, then the memory. */
async function arm(kernel: Kernel): Promise<void> {
  const out = buildKernel(unpacked(), directory, kernel, {});
  comparePrelink(report, out, kernel.tables);
  await memory(out, kernel);
}

const runs: Record<string, () => void | Promise<void>> = {
  ...Object.fromEntries(
    kernels.map((kernel) => [kernel.name, () => (kernel.arch === 'x86' ? x86(kernel) : arm(kernel))]),
  ),
  package: () => dumpPackage(report, directory),
  distro: () => distro(report, directory, values),
  running: () => running(report, directory),
  moments: () => moments(report, directory, values),
  changes: () => findChanges(report, values, Number(values.bits), Number(values.inputs)),
  writes: () => checkWrites(report, directory, values.kernels?.split(',')),
  kallsyms: () => compareKallsyms(report, directory),
  cfi: () => compareCfi(report, directory, unpacked()),
  kcfi: () =>
    verifyCfiKernel(report, directory, unpacked(), {
      bits: Number(values.bits),
      inputs: Number(values.inputs),
      keep: values.keep ?? false,
    }),
  // What .ci/run has the time for: some directories of the first kernel, every object against objtool.
  ...Object.fromEntries(
    slices.map((slice) => [
      slice.name,
      () => {
        const keep = join(directory, `${slice.name}-kept`);
        const out = buildObjects(unpacked(), directory, slice, keep);
        const objtool = join(out, 'tools/objtool/objtool');
        keepSections(keep, objtool);
        compareKept(report, keep, objtool);
      },
    ]),
  ),
};
const names =
  values.only?.flatMap((given) => given.split(',')) ??
  // `running` and `moments` are parts of distro, `changes` wants a dump, `writes` takes long; `cfi` and `kcfi` a clang of
  // their own.
  Object.keys(runs).filter(
    (name) =>
      !name.startsWith('slice') && !['running', 'moments', 'changes', 'writes', 'cfi', 'kcfi'].includes(name),
  );
for (const name of names) {
  const run = runs[name];
  if (!run) throw new Error(`there is no ${name}; known: ${Object.keys(runs).join(', ')}`);
  report.say(`\n## ${name}\n`);
  await run();
}
writeFileSync(join(directory, 'report.md'), report.text);
process.exitCode = report.failed ? 1 : 0;
