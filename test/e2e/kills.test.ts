// annotate in place, killed at random moments or out of room: every object is the old one or the new one, whole.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { builtProgram } from '../built.ts';
import { seeded } from '../seeded.ts';
import { isAll, longTest, scratch } from '../tools.ts';
import { done, namesOf, plain, sets, textpoke } from './programs.ts';

process.env.TEXTPOKE_THREAD_COST = '1'; // -j starts its threads for a few files too

/** Kills of each kind; TEXTPOKE_KILLS asks for more. */
const kills = Number(process.env.TEXTPOKE_KILLS) || (isAll ? 10 : 4);

interface Objects {
  readonly directory: string;
  readonly names: readonly string[];
  readonly before: ReadonlyMap<string, Buffer>;
  readonly after: ReadonlyMap<string, Buffer>;
}

let known: Pick<Objects, 'before' | 'after'> | undefined;

/** The samples for x86-64 in one directory, with a list of them, and what annotate makes of each. */
function objectsOf(t: TestContext): Objects {
  const directory = join(scratch(t), 'objects');
  mkdirSync(directory);
  const names = sets.flatMap((set) =>
    namesOf(set).map((name) => [`${set}-${name}.o`, plain(set, name)] as const),
  );
  for (const [name, path] of names) copyFileSync(path, join(directory, name));
  const read = (from: string) => new Map(names.map(([name]) => [name, readFileSync(join(from, name))]));
  writeFileSync(`${directory}.list`, names.map(([name]) => `${join(directory, name)}\n`).join(''));
  if (known === undefined) {
    const before = read(directory);
    done(['annotate', '--files-from', `${directory}.list`]);
    known = { before, after: read(directory) };
  }
  return { directory, names: names.map(([name]) => name), ...known };
}

function restore({ directory, names, before }: Objects): void {
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
  for (const name of names) writeFileSync(join(directory, name), before.get(name) as Buffer);
}

/** Asserts that every object is whole; returns how many are new, and what else is there. */
function inspect({ directory, names, before, after }: Objects, what: string) {
  let changed = 0;
  for (const name of names) {
    const bytes = readFileSync(join(directory, name));
    const isNew = bytes.equals(after.get(name) as Buffer);
    assert.ok(isNew || bytes.equals(before.get(name) as Buffer), `${what}: ${name}`);
    if (isNew && !bytes.equals(before.get(name) as Buffer)) changed++;
  }
  return { changed, others: readdirSync(directory).filter((name) => !before.has(name)) };
}

const signals = [
  ['SIGKILL', '2'],
  ['SIGINT', '2'],
  ['SIGKILL', '1'],
  ['SIGINT', '1'],
] as const;
for (const [signal, jobs] of signals) {
  longTest(
    `${signal} at ${kills} random moments of annotate -j ${jobs} leaves every object old or new`,
    [],
    async (t) => {
      const objects = objectsOf(t);
      const args = [builtProgram(), 'annotate', '-j', jobs, '--files-from', `${objects.directory}.list`];
      restore(objects);
      let start = performance.now();
      spawnSync(process.execPath, args);
      let whole = performance.now() - start;
      const random = seeded(jobs === '1' ? 97 : 79);
      let inTheMiddle = 0;
      for (let round = 0; round < kills; round++) {
        restore(objects);
        start = performance.now();
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
        const said = child.stderr.toArray();
        const ended = once(child, 'exit');
        await setTimeout(whole * (0.3 + 0.7 * random()));
        child.kill(signal);
        const [status, by] = await ended;
        const took = performance.now() - start;
        assert.ok(by === signal || status === 0, `${status} ${by}`);
        assert.equal(Buffer.concat(await said).toString(), '');
        const { changed, others } = inspect(objects, `round ${round}`);
        if (changed > 0 && changed < objects.names.length) inTheMiddle += by === signal ? 1 : 0;
        // Too late or too early: the machine has become faster or slower since it was measured.
        if (by !== signal) whole = Math.min(whole, took);
        else if (changed === 0) whole *= 1.2;
        // Only who cannot be told leaves a sibling; it has a name of its own, and the next run removes it.
        if (signal === 'SIGINT') assert.deepEqual(others, []);
        assert.ok(others.length <= Number(jobs), others.join(' '));
        for (const name of others) {
          assert.match(name, /^\..+\.o\.\d+\.\d+\.textpoke\.tmp$/);
          utimesSync(join(objects.directory, name), 1e9, 1e9);
        }
        if (others.length > 0) {
          done(['annotate', '--files-from', `${objects.directory}.list`]);
          assert.deepEqual(inspect(objects, `after round ${round}`).others, []);
        }
      }
      assert.ok(inTheMiddle > kills / 8, `only ${inTheMiddle} of ${kills} kills came in the middle`);
    },
  );
}

/** Mounts a small file system there; false where that is not allowed. */
function mountSmall(directory: string, bytes: number): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory]).status === 0;
}

longTest(`a disk that is full ${kills} times leaves every object old or new, and nothing else`, [], (t) => {
  const objects = objectsOf(t);
  const random = seeded(28);
  const sizes = [...objects.after.values()].map(({ length }) => length);
  const page = 4096;
  const room = (all: ReadonlyMap<string, Buffer>) =>
    [...all.values()].reduce((sum, { length }) => sum + Math.ceil(length / page) * page, 0);
  const [old, grown] = [room(objects.before), room(objects.after)];
  let failed = 0;
  for (let round = 0; round < kills; round++) {
    restore(objects);
    let directory = objects.directory;
    // Room for the old objects, and for the new ones up to somewhere.
    const disk = join(objects.directory, '..', `disk${round}`);
    mkdirSync(disk);
    const isSmall = mountSmall(disk, old + Math.floor((grown - old) * random()));
    const limit = Math.ceil((Math.max(...sizes) * random()) / 512);
    let command = [process.execPath, builtProgram()];
    if (isSmall) {
      cpSync(directory, disk, { recursive: true });
      directory = disk;
    } else command = ['sh', '-c', `ulimit -f ${limit}; exec "$0" "$@"`, ...command];
    const list = objects.names.map((name) => `${join(directory, name)}\n`).join('');
    try {
      const [tool, ...args] = [...command, 'annotate', '--files-from', '-'];
      const said = spawnSync(tool as string, args, { input: list, encoding: 'utf8' });
      if (said.status !== 0) {
        failed++;
        assert.equal(said.status, 4, said.stderr);
        assert.match(said.stderr, /^(textpoke: error: .*\.o: cannot write: E\w+: .* \[write-failed\]\n)+$/);
      }
      assert.deepEqual(inspect({ ...objects, directory }, `round ${round}`).others, []);
    } finally {
      if (isSmall) spawnSync('umount', [disk]);
    }
  }
  assert.ok(failed > kills / 4, `only ${failed} of ${kills} disks were full`);
});

longTest('annotate of the same files, in many processes at once, ends with good ones', [], async (t) => {
  const objects = objectsOf(t);
  restore(objects);
  const args = [builtProgram(), 'annotate', '--files-from', `${objects.directory}.list`];
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, args, { stdio: 'inherit' }));
  const statuses = await Promise.all(children.map((child) => once(child, 'exit')));
  assert.deepEqual(statuses, Array(4).fill([0, null]));
  const { changed, others } = inspect(objects, 'at once');
  assert.deepEqual(others, []);
  assert.equal(textpoke(['annotate', '--files-from', `${objects.directory}.list`]).status, 0);
  assert.equal(inspect(objects, 'again').changed, changed);
});
