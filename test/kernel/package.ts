// All modules of a distribution's kernel: dump reads every one, and lists as many entries as readelf says there is
// room for in the sections.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram } from '../built.ts';
import type { Report } from './report.ts';

const program = builtProgram();

/** Sections, their entries' sizes, and dump's names for them. */
const tables = [
  ['__jump_table', 16, 'jumpTable'],
  ['.static_call_sites', 8, 'staticCallSites'],
  ['.smp_locks', 4, 'smpLocks'],
] as const;

/** Unpacks Debian's newest kernel image for amd64; returns its modules. */
function modulesOfPackage(directory: string): string[] {
  const place = join(directory, 'package');
  mkdirSync(place, { recursive: true });
  const depends = execFileSync('apt-cache', ['depends', 'linux-image-amd64'], { encoding: 'utf8' });
  const name = /Depends: (\S+)/.exec(depends)?.[1];
  if (!name) throw new Error('apt-cache knows no linux-image-amd64');
  execFileSync('apt-get', ['download', '-qq', name], { cwd: place, stdio: ['ignore', 'ignore', 'ignore'] });
  const archive = readdirSync(place).find((file) => file.startsWith(name) && file.endsWith('.deb')) as string;
  execFileSync('dpkg-deb', ['-x', join(place, archive), place]);
  const files = readdirSync(place, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => /\.ko(\.[xg]z|\.zst)?$/.test(file)).map((file) => join(place, file));
}

export function dumpPackage(report: Report, directory: string): void {
  const modules = modulesOfPackage(directory);
  report.expect(modules.length > 1000, `${modules.length} modules`);
  const dumped = spawnSync(process.execPath, [program, 'dump', '--json', ...modules], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  report.expect(dumped.status === 0 && dumped.stderr === '', 'dump finds nothing wrong in any of them');
  const { files } = JSON.parse(dumped.stdout) as { files: Record<string, unknown[] | undefined>[] };
  report.expect(files.length === modules.length, 'every module is in the output');
  const headers = execFileSync('readelf', ['-SW', ...modules], { encoding: 'utf8', maxBuffer: 1 << 30 });
  for (const [section, size, name] of tables) {
    const row = new RegExp(`\\] ${section.replaceAll('.', '\\.')} +PROGBITS +\\S+ \\S+ ([0-9a-f]+) `, 'g');
    const theirs =
      [...headers.matchAll(row)].reduce((sum, m) => sum + Number.parseInt(m[1] as string, 16), 0) / size;
    const ours = files.reduce((sum, file) => sum + (file[name]?.length ?? 0), 0);
    report.expect(
      ours === theirs && ours > 0,
      `${section}: ${ours} entries of dump, ${theirs} by the sections' sizes`,
    );
  }
}
