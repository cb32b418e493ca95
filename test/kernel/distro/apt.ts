// Packages of Debian's kernels, through an apt of their own.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { privateApt } from '../private-apt.ts';
import { type Architecture, type DistroKernel, suites } from './kernels.ts';

/** How long the suites' lists are used again, in milliseconds. */
const aDay = 24 * 60 * 60 * 1000;

/** A kernel that was unpacked. */
export interface Unpacked {
  /** As `uname -r` says it. */
  readonly release: string;
  /** vmlinuz: a bzImage, an Image or a zImage. */
  readonly image: string;
  /** lib/modules/RELEASE; undefined when the suites do not have its modules any more. */
  readonly modules: string | undefined;
}

/** Makes a directory that apt works in for one architecture, and reads the suites' lists. */
export class Apt {
  private readonly root: string;
  private readonly env: NodeJS.ProcessEnv;
  private names: readonly string[] | undefined;

  constructor(directory: string, arch: Architecture) {
    this.root = join(directory, 'apt', arch);
    this.env = privateApt(this.root, suites, arch);
  }

  /** Names of packages of kernels. A suite that cannot be had now, or has not this architecture, is left out. */
  private kernelNames(): readonly string[] {
    if (this.names) return this.names;
    const stamp = join(this.root, 'updated');
    const updated = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - updated > aDay) {
      const { error, stderr } = spawnSync('apt-get', ['update', '-q'], { env: this.env, encoding: 'utf8' });
      if (error) throw error;
      for (const line of stderr.split('\n')) if (line.startsWith('E: Failed')) console.log(line);
      writeFileSync(stamp, '');
    }
    const names = execFileSync('apt-cache', ['pkgnames', 'linux-'], { env: this.env, encoding: 'utf8' });
    this.names = names.split('\n');
    return this.names;
  }

  /** Whether a suite has it; names are also known of packages that others only mention. */
  private has(name: string): boolean {
    const { stdout } = spawnSync('apt-cache', ['show', '--no-all-versions', name], { env: this.env });
    return stdout.length > 0;
  }

  /** Downloads and unpacks a kernel with its modules; undefined when no suite has one. */
  unpack(directory: string, kernel: DistroKernel): Unpacked | undefined {
    const found = this.kernelNames()
      .map((name) => ({ name, release: kernel.image.exec(name)?.[1] }))
      .filter((entry): entry is { name: string; release: string } => entry.release !== undefined)
      .sort((a, b) => compareReleases(b.release, a.release) || (a.name < b.name ? -1 : 1));
    const best = found.find(({ name }) => this.has(name));
    if (!best) return undefined;
    const { release } = best;
    const root = join(directory, 'packages', release);
    const parts = ['modules', 'base']
      .map((part) => `linux-${part}-${release}`)
      .filter((name) => this.has(name));
    if (!existsSync(join(root, 'done'))) {
      rmSync(root, { recursive: true, force: true });
      mkdirSync(root, { recursive: true });
      execFileSync('apt-get', ['download', '-qq', best.name, ...parts], {
        env: this.env,
        cwd: root,
        stdio: 'pipe',
      });
      for (const archive of readdirSync(root)) {
        execFileSync('dpkg-deb', ['-x', archive, '.'], { cwd: root });
        rmSync(join(root, archive));
      }
      writeFileSync(join(root, 'done'), `${[best.name, ...parts].join('\n')}\n`);
    }
    const modules = ['usr/lib', 'lib']
      .map((lib) => join(root, lib, 'modules', release))
      .find((d) => existsSync(d));
    const images = [join(root, 'boot', `vmlinuz-${release}`), ...(modules ? [join(modules, 'vmlinuz')] : [])];
    const image = images.find((path) => existsSync(path));
    if (image === undefined) throw new Error(`${best.name} has no vmlinuz at ${images.join(' or ')}`);
    return { release, image, modules: modules && existsSync(join(modules, 'kernel')) ? modules : undefined };
  }
}

/** Compares the numbers in two releases of a kernel, in their order. */
function compareReleases(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => (text.match(/\d+/g) ?? []).map(Number)) as [number[], number[]];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? -1) - (right[i] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}
