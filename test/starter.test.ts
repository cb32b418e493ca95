// The small process that starts tools says of them what spawnSync would.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type StartOptions, startSync, worthIt } from './starter.ts';
import { toolTest } from './tools.ts';

const rows: readonly [what: string, script: string, options?: StartOptions][] = [
  ['both outputs and a status', 'echo out; echo err >&2; exit 3'],
  ['a signal', 'kill -s KILL $$'],
  ['text of more than one byte a character', 'printf "häl\\303\\266\\0x"'],
  ['bytes', 'printf "\\377\\200"; cat', { encoding: 'latin1', input: '\xfe\0\n' }],
  ['input', 'cat', { input: 'ö\n' }],
  ['no input', 'cat'],
  ['an ignored input', 'cat', { stdio: ['ignore', 'pipe', 'pipe'] }],
  ['a directory', 'pwd', { cwd: realpathSync(tmpdir()) }],
  ['the directory of this process', 'pwd'],
  ['an environment', 'echo $WORD', { env: { ...process.env, WORD: 'a b' } }],
  ['an output of many pipes', 'head -c 1000000 /dev/zero'],
  ['no end', 'exec sleep 60', { timeout: 100 }],
];

toolTest('the small process says of a tool what spawnSync says', ['sh', 'mkfifo'], () => {
  for (let i = 0; i < worthIt; i++) startSync('true', []);
  for (const [what, script, options] of rows) {
    const { status, signal, stdout, stderr, error } = startSync('sh', ['-c', script], options);
    const own = spawnSync('sh', ['-c', script], { encoding: 'utf8', ...(options as object) });
    assert.deepEqual(
      [status, signal, stdout, stderr],
      [own.status, own.signal, own.stdout, own.stderr],
      what,
    );
    assert.equal(error?.message, own.error?.message, what);
  }
  const missing = startSync('no-such-tool', ['word']);
  const own = spawnSync('no-such-tool', ['word']);
  assert.deepEqual([missing.status, `${missing.error}`], [own.status, `${own.error}`]);
  const before = process.umask(0o27);
  try {
    assert.equal(startSync('sh', ['-c', 'umask']).stdout, '0027\n');
  } finally {
    process.umask(before);
  }
});
