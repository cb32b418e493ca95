// --debug-dir: stripped files have the source lines of their debug files in every command that shows lines.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { builtProgram } from '../built.ts';
import { runBuilt } from '../e2e/warm.ts';
import { annotated, linkedBytes } from '../samples.ts';
import { longTest, run, scratch, tryRun } from '../tools.ts';

const tools = ['gcc', 'objcopy', 'strip', 'readelf'];

/** A directory with a stripped program p, and its debug file in debug/ (of another build in wrong/). */
function stripped(t: TestContext): string {
  const directory = scratch(t);
  const units = ['branch', 'call', 'lock'];
  const link = (name: string, set: string, ...flags: readonly string[]) => {
    for (const unit of units) writeFileSync(join(directory, `${unit}.o`), annotated(set, unit));
    const objects = units.map((unit) => `${unit}.o`);
    const options = ['-shared', '-nostdlib', '-Wl,-z,notext', '-Wl,--unresolved-symbols=ignore-all'];
    run('gcc', [...options, '-Wl,--build-id', ...flags, ...objects, '-o', name], directory);
  };
  link('p', 'gcc-O2-g');
  const id = /Build ID: ([0-9a-f]+)/.exec(run('readelf', ['-n', 'p'], directory))?.[1] ?? '';
  const place = join('.build-id', id.slice(0, 2), `${id.slice(2)}.debug`);
  for (const name of ['debug', 'wrong', 'empty'])
    mkdirSync(join(directory, name, '.build-id', id.slice(0, 2)), { recursive: true });
  run('objcopy', ['--only-keep-debug', 'p', join('debug', place)], directory);
  run('strip', ['-g', 'p'], directory);
  link('q', 'gcc-O2-g', '-Wl,-z,now');
  run('objcopy', ['--only-keep-debug', 'q', join('wrong', place)], directory);
  rmSync(join(directory, 'q'));
  return directory;
}

longTest(
  'dump, boot, verify and diff show the lines that the directories of --debug-dir have',
  tools,
  (t) => {
    const directory = stripped(t);
    const textpoke = (...args: string[]) => runBuilt(args, directory);
    const commands = [
      ['dump', 'p'],
      ['boot', 'p', '--cpus', '1', '--trace'],
      ['verify', 'p', '--cpus', '1', '--all'],
      ['diff', 'p', 'lock.o'],
    ];
    for (const command of commands) {
      const without = textpoke(...command, '--debug-dir', 'empty');
      assert.doesNotMatch(without.stdout, /\.c:\d+/, `${command[0]} without a debug file`);
      assert.equal(
        without.stderr.includes('source lines'),
        false,
        `nothing is said of a debug file that is not there`,
      );
      const found = textpoke(...command, '--debug-dir', 'empty', '--debug-dir', 'debug');
      assert.match(found.stdout, /\w+\.c:\d+/, `${command[0]} with a debug file`);
      assert.equal(found.status, without.status);
      if (command[0] === 'diff') continue;
      const wrong = textpoke(...command, '--debug-dir', 'wrong');
      assert.doesNotMatch(wrong.stdout, /\.c:\d+/);
      const told =
        /source lines are missing: .*wrong.*: its build id is [0-9a-f]{40}; [0-9a-f]{40} is required/;
      assert.match(wrong.stdout + wrong.stderr, told);
    }
    const json = JSON.parse(textpoke('dump', 'p', '--json', '--debug-dir', 'wrong').stdout);
    assert.match(json.files[0].problems.sourceLines[0], /its build id is/);
    // Nothing but the patched image may be new.
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('p')),
      ['p'],
    );
  },
);

test('a directory of --debug-dir that is missing ends in status 2', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'image'), linkedBytes('gcc-O2', ['branch', 'key-def']));
  const { status, stderr } = tryRun(
    process.execPath,
    [builtProgram(), 'dump', 'image', '--debug-dir', 'nowhere'],
    directory,
  );
  assert.equal(status, 2);
  assert.match(stderr, /^textpoke: error: the directory of debug files nowhere cannot be used: ENOENT/);
});
