// Boots a kernel that textpoke helped to build, to init.c, which switches keys and loads modules.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from './report.ts';

const modules = ['drivers/net/dummy.ko', 'samples/trace_events/trace-events-sample.ko'];

/** The initial file system of a kernel: init.c and two modules. Returns the path of its archive. */
export function initramfs(directory: string, out: string, compiler = 'gcc'): string {
  const root = join(directory, 'initramfs');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  execFileSync(compiler, ['-static', '-O2', join(import.meta.dirname, 'init.c'), '-o', join(root, 'init')]);
  for (const path of modules) cpSync(join(out, path), join(root, path.replace(/.*\//, '')));
  execFileSync('sh', ['-c', 'find . | cpio -o -H newc --quiet | gzip > ../initramfs.gz'], { cwd: root });
  return join(directory, 'initramfs.gz');
}

/** Boots with that many CPUs and expects what init.c prints when all is well. */
export function bootAndSwitch(report: Report, directory: string, out: string, cpus: number): void {
  const machine = ['-accel', 'tcg,thread=single', '-smp', `${cpus}`, '-m', '512', '-nographic', '-no-reboot'];
  const kernel = ['-kernel', join(out, 'arch/x86/boot/bzImage'), '-initrd', initramfs(directory, out)];
  const { stdout } = spawnSync(
    'qemu-system-x86_64',
    [...machine, ...kernel, '-append', 'console=ttyS0 panic=-1'],
    { encoding: 'latin1', timeout: 180_000 },
  );
  const text = stdout ?? '';
  writeFileSync(join(out, `boot-${cpus}.log`), text);
  const lines = [
    'init runs',
    `cpus ${cpus}`,
    'sched_switch: ',
    'preempt: none voluntary (full)',
    'warnings 0',
    'done',
  ];
  for (const line of lines)
    report.expect(text.includes(line), `with ${cpus} CPUs the console shows "${line}"`);
  const loaded = text.match(/^(load|unload) \w+: 0\r?$/gm)?.length ?? 0;
  report.expect(loaded === 4, `with ${cpus} CPUs two modules are loaded and unloaded`);
}
