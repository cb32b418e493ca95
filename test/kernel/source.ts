// The source of the kernel that is built: the newest linux-source that is installed, a directory, or a package that apt
// downloads into a directory of its own, so that nothing of the machine's changes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { privateApt } from './private-apt.ts';

const mirror = 'http://deb.debian.org/debian';
/** Suites that have a linux-source: that of Debian 13, and newer ones. */
const suites = [`${mirror} trixie`, `${mirror} trixie-backports`];

/** The newest linux-source among the archives of a directory. */
function archiveIn(directory: string): string | undefined {
  const version = (name: string) => /(\d+)\.(\d+)/.exec(name)?.slice(1).map(Number) ?? [0, 0];
  return (existsSync(directory) ? readdirSync(directory) : [])
    .filter((name) => /^linux-source-[\d.]+\.tar/.test(name))
    .sort((a, b) => {
      const [x, y] = [version(a), version(b)] as [number[], number[]];
      return (x[0] as number) - (y[0] as number) || (x[1] as number) - (y[1] as number);
    })
    .map((name) => join(directory, name))
    .at(-1);
}

/** Downloads a package and takes it apart below `directory`; returns the archive in it. */
function download(name: string, directory: string): string {
  const root = join(directory, 'apt-source');
  const place = (path: string) => join(root, path);
  mkdirSync(place('unpacked'), { recursive: true });
  const env = privateApt(root, suites);
  const apt = (...args: string[]) =>
    execFileSync('apt-get', args, {
      cwd: root,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  apt('update', '-qq');
  apt('download', '-qq', name);
  const archive = readdirSync(root).find((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'));
  if (!archive) throw new Error(`apt-get download ${name} left no package in ${root}`);
  execFileSync('dpkg-deb', ['-x', place(archive), place('unpacked')]);
  const found = archiveIn(place('unpacked/usr/src'));
  if (!found) throw new Error(`${archive} has no /usr/src/linux-source-*.tar.*`);
  return found;
}

/** The archive that a name means; undefined for a directory that is a source already. */
function archiveOf(name: string | undefined, directory: string): string | undefined {
  if (name === undefined) {
    const found = archiveIn('/usr/src');
    if (found) return found;
    throw new Error('there is no /usr/src/linux-source-*.tar.*; install the package linux-source');
  }
  if (existsSync(name) && statSync(name).isDirectory()) {
    if (existsSync(join(name, 'Makefile'))) return undefined;
    const found = archiveIn(name);
    if (found) return found;
    throw new Error(`${name} has no Makefile and no linux-source-*.tar.*`);
  }
  const installed = readdirSync('/usr/src').find((file) => file.startsWith(`${name}.tar`));
  return installed === undefined ? download(name, directory) : join('/usr/src', installed);
}

/** Unpacks a source: a package's name, a directory, or the newest linux-source there is; returns its directory. */
export function unpack(directory: string, name?: string): string {
  const archive = archiveOf(name, directory);
  if (archive === undefined) return resolve(name as string);
  const folder = archive.replace(/^.*\//, '').replace(/\.tar.*$/, '');
  const source = join(directory, folder);
  if (!existsSync(source)) execFileSync('tar', ['xf', archive, '-C', directory]);
  return source;
}
