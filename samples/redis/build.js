// Builds the redis server of Debian's source package with libtextpoke and the trace points of trace.patch.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

/** The command line, as one builds it. */
export const textpoke = [process.execPath, join(root, 'bin', 'textpoke.js')];

/** Runs a command; returns what it prints. */
function run(command, args, { cwd, env = {} }) {
  try {
    return execFileSync(command, args, {
      cwd,
      env: { ...process.env, LC_ALL: 'C', ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 28,
    });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stderr ?? error}`);
  }
}

const sources = ['debian bookworm', 'debian bookworm-updates', 'debian-security bookworm-security'];

/** The description of the package (.dsc) beside its files, fetched from Debian if it is not in the directory. */
function fetchSource(directory) {
  const found = () => readdirSync(directory).find((name) => /^redis_7\.0\..*\.dsc$/.test(name));
  if (found() === undefined) {
    // Lists of its own: those of the machine stay as they are.
    mkdirSync(join(directory, 'lists', 'partial'), { recursive: true });
    const lines = sources.map((source) => `deb-src http://deb.debian.org/${source} main\n`);
    writeFileSync(join(directory, 'sources.list'), lines.join(''));
    const places = [
      `Dir::Etc::SourceList=${directory}/sources.list`,
      'Dir::Etc::SourceParts=-',
      `Dir::State::Lists=${directory}/lists`,
    ];
    const own = places.flatMap((place) => ['-o', place]);
    run('apt-get', [...own, '-qq', 'update'], { cwd: directory });
    run('apt-get', [...own, '-qq', '--download-only', 'source', 'redis'], { cwd: directory });
  }
  return join(directory, found());
}

/**
 * Builds it in a directory, with the flags of Debian's packages; returns where the programs are. `source`: a .dsc that is there
 * already. What was built before is taken as it is.
 */
export function buildProgram(directory, source) {
  const build = join(directory, 'redis');
  const programs = join(build, 'src');
  if (existsSync(join(programs, 'redis-benchmark'))) return programs;

  const prefix = join(directory, 'installed');
  const library = [`BUILD=${directory}/libtextpoke`, `PREFIX=${prefix}`];
  run('make', ['-s', '-C', join(root, 'runtime'), ...library, 'install'], { cwd: directory });
  const script = join(directory, 'textpoke.ld');
  writeFileSync(script, run(textpoke[0], [textpoke[1], 'ldscript'], { cwd: directory }));

  const description = source === undefined ? fetchSource(directory) : resolve(source);
  rmSync(build, { recursive: true, force: true }); // of a build that was interrupted
  run('dpkg-source', ['--no-check', '-x', description, build], { cwd: directory });
  run('patch', ['-s', '-p1', '-i', join(here, 'trace.patch')], { cwd: build });

  const wordsOf = (what) =>
    run('pkg-config', [what, 'textpoke'], {
      cwd: build,
      env: { PKG_CONFIG_PATH: join(prefix, 'lib', 'pkgconfig') },
    }).trim();
  const flagsOf = (name) =>
    run('dpkg-buildflags', ['--get', name], {
      cwd: build,
      env: { DEB_BUILD_MAINT_OPTIONS: 'hardening=+all' },
    }).trim();
  const env = Object.fromEntries(['CFLAGS', 'CPPFLAGS', 'LDFLAGS'].map((name) => [name, flagsOf(name)]));
  const jobs = `-j${availableParallelism()}`;
  const variables = [
    'MALLOC=libc',
    `CC=${textpoke.join(' ')} cc -- gcc`,
    `REDIS_CFLAGS=${wordsOf('--cflags')}`,
    `REDIS_LDFLAGS=${wordsOf('--libs')} -Wl,-rpath,${prefix}/lib -Wl,-T,${script}`,
  ];
  run('make', [jobs, '-C', 'src', ...variables, 'redis-server', 'redis-benchmark'], { cwd: build, env });
  return programs;
}
