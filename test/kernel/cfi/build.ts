// Builds a small kernel with kCFI and FineIBT, which no distribution has (config-kcfi).
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Unpacked } from '../distro/apt.ts';
import { newestClang } from './clang.ts';

const fragment = join(import.meta.dirname, '..', 'config-kcfi');
/** What must be left of the configuration: a source or a clang without it would prove nothing. */
const required = ['CONFIG_FINEIBT', 'CONFIG_X86_KERNEL_IBT', 'CONFIG_DEBUG_INFO_BTF', 'CONFIG_MODULES'];

/** Builds it in DIRECTORY/kcfi; a build that was ended goes on where it stopped. Errors name the log. */
export function buildCfiKernel(directory: string, source: string): Unpacked {
  const out = join(directory, 'kcfi');
  const log = join(directory, 'kcfi.log');
  mkdirSync(out, { recursive: true });
  writeFileSync(log, '');
  const llvm = newestClang().replace('clang', '');
  const make = (...args: readonly string[]): string => {
    const all = ['-C', source, `O=${out}`, `LLVM=${llvm}`, `-j${availableParallelism()}`, ...args];
    const { status, stdout, stderr } = spawnSync('make', all, { encoding: 'utf8', maxBuffer: 1 << 28 });
    appendFileSync(log, `${stdout}${stderr}`);
    if (status !== 0) throw new Error(`make ${all.join(' ')}: exit status ${status}; see ${log}`);
    return stdout;
  };
  make(`KCONFIG_ALLCONFIG=${fragment}`, 'allnoconfig');
  const config = readFileSync(join(out, '.config'), 'utf8');
  const missing = required.filter((name) => !config.includes(`\n${name}=y\n`));
  if (missing.length > 0) throw new Error(`this source and this compiler have no ${missing.join(', ')}`);
  make('bzImage', 'modules');
  const root = join(directory, 'kcfi-modules');
  rmSync(root, { recursive: true, force: true });
  make(`INSTALL_MOD_PATH=${root}`, 'modules_install');
  const release = readFileSync(join(out, 'include/config/kernel.release'), 'utf8').trim();
  return {
    release,
    image: join(out, 'arch/x86/boot/bzImage'),
    modules: join(root, 'lib/modules', release),
  };
}
