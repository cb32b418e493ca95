// npm run test:kernel [DIRECTORY]: a real x86-64 kernel, built twice from Debian's linux-source: with objtool, each
// object kept before and after, and with textpoke in objtool's place for its two passes. Compares every object, boots
// the second kernel with one CPU and with two, and writes DIRECTORY/report.md. Needs the packages linux-source, gcc,
// make, flex, bison, bc, libelf-dev, libssl-dev, cpio and qemu-system-x86, 6 GB of room and a quarter of an hour.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compareObjects } from './compare.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const program = join(here, '..', '..', 'bin', 'textpoke.js');
const directory = resolve(process.argv[2] ?? join(tmpdir(), 'textpoke-kernel'));
const jobs = `-j${availableParallelism()}`;
const report: string[] = [];
let failed = false;

function say(line: string): void {
  console.log(line);
  report.push(line);
}

function expect(holds: boolean, line: string): void {
  if (!holds) failed = true;
  say(`${holds ? 'ok' : 'FAILED'}: ${line}`);
}

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): void {
  const log = join(directory, 'log');
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  writeFileSync(log, `${stdout}${stderr}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit status ${status}; see ${log}`);
}

/** Unpacks the newest linux-source there is; returns its directory. */
function unpack(): string {
  const found = existsSync('/usr/src')
    ? readdirSync('/usr/src').filter((n) => /^linux-source-[\d.]+\.tar/.test(n))
    : [];
  const archive = found.sort().at(-1);
  if (!archive)
    throw new Error('there is no /usr/src/linux-source-*.tar.*; install the package linux-source');
  const source = join(directory, archive.replace(/\.tar.*$/, ''));
  if (!existsSync(source)) execFileSync('tar', ['xf', join('/usr/src', archive), '-C', directory]);
  return source;
}

function build(source: string, name: string, objtool: string, env: NodeJS.ProcessEnv): string {
  const out = join(directory, name);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  run('make', [`O=${out}`, 'tinyconfig'], source);
  const merge = join(source, 'scripts', 'kconfig', 'merge_config.sh');
  run(merge, ['-O', out, join(out, '.config'), join(here, 'config')], source);
  run('make', [`O=${out}`, jobs, 'prepare', 'modules_prepare'], source);
  run('make', [`O=${out}`, jobs, `objtool=${objtool}`, 'bzImage', 'modules'], source, env);
  return out;
}

const seconds = (body: () => void): number => {
  const start = performance.now();
  body();
  return (performance.now() - start) / 1000;
};

interface Kept {
  readonly path: string;
  readonly module: boolean;
}

function annotate(keep: string, objects: readonly Kept[], to: string, more: readonly string[]): number {
  rmSync(join(keep, to), { recursive: true, force: true });
  cpSync(join(keep, 'before'), join(keep, to), { recursive: true });
  return seconds(() => {
    for (const module of [false, true]) {
      const files = objects.filter((o) => o.module === module).map((o) => join(keep, to, o.path));
      const flags = ['--static-call', '--static-branch', ...(module ? ['--module'] : []), ...more];
      if (files.length > 0) execFileSync(process.execPath, [program, 'annotate', ...files, ...flags]);
    }
  });
}

/** Every object of the build, textpoke's beside objtool's, and the time of both. */
function compareAll(out: string, keep: string): void {
  const objects = readFileSync(join(keep, 'list'), 'utf8')
    .trim()
    .split('\n')
    .map((line): Kept => ({ path: line.split(' ')[0] as string, module: line.endsWith('--module') }));
  const one = annotate(keep, objects, 'textpoke', ['-j', '1']);
  const two = annotate(keep, objects, 'textpoke2', ['-j', '2']);
  let [entries, rewritten, differing, unstable] = [0, 0, 0, 0];
  for (const { path } of objects) {
    const [theirs, ours, original, other] = ['objtool', 'textpoke', 'before', 'textpoke2'].map((kind) =>
      join(keep, kind, path),
    ) as [string, string, string, string];
    const compared = compareObjects(theirs, ours, original);
    entries += compared.entries;
    if (compared.rewritten) rewritten++;
    if (!readFileSync(ours).equals(readFileSync(other))) unstable++;
    if (compared.differences.length === 0) continue;
    differing++;
    for (const difference of compared.differences) say(`${path}: ${difference}`);
  }
  say(
    `${objects.length} objects, ${entries} static call sites, jump labels rewritten in ${rewritten} objects`,
  );
  expect(entries > 1000 && rewritten > 0, 'the kernel has what there is to compare');
  expect(differing === 0, `${differing} objects differ from objtool's`);
  expect(unstable === 0, `${unstable} objects differ between -j 1 and -j 2`);
  const objtool = join(out, 'tools', 'objtool', 'objtool');
  cpSync(join(keep, 'before'), join(keep, 'timed'), { recursive: true });
  const theirs = seconds(() => {
    for (const { path, module } of objects) {
      const flags = ['--static-call', '--hacks=jump_label', ...(module ? ['--module'] : [])];
      spawnSync(objtool, [...flags, join(keep, 'timed', path)], { stdio: 'ignore' });
    }
  });
  rmSync(join(keep, 'timed'), { recursive: true });
  say(
    `objtool, a process an object: ${theirs.toFixed(2)} s; textpoke, two processes: ${one.toFixed(2)} s with -j 1 ` +
      `(${(theirs / one).toFixed(1)} times as fast), ${two.toFixed(2)} s with -j 2`,
  );
}

/** Boots a kernel to test/kernel/init.c and returns what it prints. */
function bootKernel(out: string, cpus: number): string {
  const root = join(directory, 'initramfs');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  run('gcc', ['-static', '-O2', join(here, 'init.c'), '-o', join(root, 'init')], directory);
  cpSync(join(out, 'drivers/net/dummy.ko'), join(root, 'dummy.ko'));
  cpSync(join(out, 'samples/trace_events/trace-events-sample.ko'), join(root, 'trace-events-sample.ko'));
  run('sh', ['-c', 'find . | cpio -o -H newc | gzip > ../initramfs.gz'], root);
  const machine = [
    '-accel',
    'tcg,thread=single',
    '-smp',
    String(cpus),
    '-m',
    '512',
    '-nographic',
    '-no-reboot',
  ];
  const kernel = ['-kernel', join(out, 'arch/x86/boot/bzImage'), '-initrd', join(directory, 'initramfs.gz')];
  const { stdout } = spawnSync(
    'qemu-system-x86_64',
    [...machine, ...kernel, '-append', 'console=ttyS0 panic=-1'],
    { encoding: 'latin1', timeout: 180_000 },
  );
  writeFileSync(join(directory, `boot-${cpus}.log`), stdout ?? '');
  return stdout ?? '';
}

mkdirSync(directory, { recursive: true });
const source = unpack();
const keep = join(directory, 'keep');
rmSync(keep, { recursive: true, force: true });
const withObjtool = build(source, 'with-objtool', join(here, 'keep-objtool'), { KEEP: keep });
compareAll(withObjtool, keep);
const drop = join(here, '..', '..', 'bin', 'kbuild-objtool');
const withTextpoke = build(source, 'with-textpoke', drop, {});
for (const cpus of [1, 2]) {
  const text = bootKernel(withTextpoke, cpus);
  const lines = [
    'init runs',
    `cpus ${cpus}`,
    'sched_switch: ',
    'preempt: none voluntary (full)',
    'warnings 0',
    'done',
  ];
  for (const line of lines) expect(text.includes(line), `with ${cpus} CPUs the console shows "${line}"`);
  const modules = text.match(/^(load|unload) \w+: 0\r?$/gm)?.length ?? 0;
  expect(modules === 4, `with ${cpus} CPUs two modules are loaded and unloaded`);
}
writeFileSync(join(directory, 'report.md'), `${report.join('\n')}\n`);
process.exitCode = failed ? 1 : 0;
