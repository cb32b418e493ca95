// Every object of a build, textpoke's beside objtool's, and the time of both.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram } from '../built.ts';
import { compareObjects } from './compare.ts';
import type { Report } from './report.ts';

const program = builtProgram();

interface Kept {
  readonly path: string;
  readonly module: boolean;
  /** The object is linked of several. */
  readonly linked: boolean;
}

const seconds = (body: () => void): number => {
  const start = performance.now();
  body();
  return (performance.now() - start) / 1000;
};

/** Objects as `to` has them, made from those that were kept before objtool ran; returns the seconds that `body` took. */
function made(keep: string, to: string, body: (path: (object: Kept) => string) => void): number {
  rmSync(join(keep, to), { recursive: true, force: true });
  cpSync(join(keep, 'before'), join(keep, to), { recursive: true });
  return seconds(() => body(({ path }) => join(keep, to, path)));
}

const flagsOf = (module: boolean) => ['--static-call', '--static-branch', ...(module ? ['--module'] : [])];

/** Annotates all objects: one process for the kernel's and one for the modules'. */
function annotate(keep: string, objects: readonly Kept[], to: string, ...more: readonly string[]): number {
  return made(keep, to, (path) => {
    for (const module of [false, true]) {
      const files = objects.filter((o) => o.module === module).map(path);
      if (files.length > 0)
        execFileSync(process.execPath, [program, 'annotate', ...files, ...flagsOf(module), ...more]);
    }
  });
}

/** Peak memory of annotating all of the kernel's objects in one process, in MB; undefined without GNU time. */
function peakMemory(keep: string, objects: readonly Kept[]): number | undefined {
  const time = '/usr/bin/time';
  if (!existsSync(time)) return undefined;
  let peak: number | undefined;
  made(keep, 'timed', (path) => {
    const files = objects.filter((o) => !o.module).map(path);
    const command = ['-f', '%M', process.execPath, program, 'annotate', ...files, ...flagsOf(false)];
    const kilobytes = Number(spawnSync(time, command, { encoding: 'utf8' }).stderr.trim());
    peak = Number.isNaN(kilobytes) ? undefined : kilobytes / 1024;
  });
  return peak;
}

/** Adds sections.S to what was kept, by each compiler and as `ld -r` makes it anew. */
export function keepSections(keep: string, objtool: string): void {
  const [before, after] = ['before', 'objtool'].map((kind) => join(keep, kind)) as [string, string];
  const source = join(import.meta.dirname, 'sections.S');
  for (const compiler of ['gcc', 'clang']) {
    const [object, linked] = [`sections-${compiler}.o`, `sections-${compiler}-r.o`] as const;
    execFileSync(compiler, ['-c', source, '-o', join(before, object)]);
    execFileSync('ld', ['-r', join(before, object), '-o', join(before, linked)]);
    for (const name of [object, linked]) {
      cpSync(join(before, name), join(after, name));
      execFileSync(objtool, ['--static-call', '--hacks=jump_label', join(after, name)], { stdio: 'ignore' });
      appendFileSync(join(keep, 'list'), `${name} \n`);
    }
  }
}

/** Compares what was kept with what textpoke makes of it. */
export function compareKept(report: Report, keep: string, objtool: string): void {
  const objects = readFileSync(join(keep, 'list'), 'utf8')
    .trim()
    .split('\n')
    .map((line): Kept => {
      const [path, ...flags] = line.split(' ') as [string, ...string[]];
      return { path, module: flags.includes('--module'), linked: flags.includes('--link') };
    });
  const one = annotate(keep, objects, 'textpoke', '-j', '1');
  const two = annotate(keep, objects.toReversed(), 'textpoke2', '-j', '2');
  let [entries, rewritten, differing, unstable, bytes] = [0, 0, 0, 0, 0];
  for (const { path } of objects) {
    const [theirs, ours, original, other] = ['objtool', 'textpoke', 'before', 'textpoke2'].map((kind) =>
      join(keep, kind, path),
    ) as [string, string, string, string];
    const compared = compareObjects(theirs, ours, original);
    entries += compared.entries;
    bytes += statSync(original).size;
    if (compared.rewritten) rewritten++;
    if (!readFileSync(ours).equals(readFileSync(other))) unstable++;
    if (compared.differences.length === 0) continue;
    differing++;
    for (const difference of compared.differences) report.say(`${path}: ${difference}`);
  }
  report.say(
    `${objects.length} objects of ${(bytes / 1e6).toFixed(0)} MB, ${entries} static call sites, jump labels rewritten in ${rewritten} objects`,
  );
  report.expect(entries > 100 && rewritten > 0, 'the kernel has what there is to compare');
  report.expect(differing === 0, `${differing} objects differ from objtool's`);
  report.expect(unstable === 0, `${unstable} objects differ between -j 1 and -j 2 in the opposite order`);
  const theirs = made(keep, 'timed', (path) => {
    for (const object of objects) {
      const flags = ['--static-call', '--hacks=jump_label'];
      if (object.linked) flags.push('--link');
      if (object.module) flags.push('--module');
      spawnSync(objtool, [...flags, path(object)], { stdio: 'ignore' });
    }
  });
  const each = made(keep, 'timed', (path) => {
    for (const object of objects)
      spawnSync(process.execPath, [program, 'annotate', ...flagsOf(object.module), path(object)]);
  });
  const memory = peakMemory(keep, objects);
  rmSync(join(keep, 'timed'), { recursive: true });
  report.say(`objtool, a process an object: ${theirs.toFixed(2)} s`);
  for (const [what, time] of [
    ['two processes, -j 1', one],
    ['two processes, -j 2', two],
    ['a process an object', each],
  ] as const)
    report.say(`textpoke, ${what}: ${time.toFixed(2)} s, ${(theirs / time).toFixed(1)} times as fast`);
  if (memory !== undefined) report.say(`peak memory of annotating the kernel's: ${memory.toFixed(0)} MB`);
}
