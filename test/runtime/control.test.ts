// textpoke ctl: keys of a program that runs are listed and changed from outside, and its memory is right before and after.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { textpoke } from '../e2e/programs.ts';
import { scratchOfFile, toolTest } from '../tools.ts';
import { build, targets } from './programs.ts';

const directory = scratchOfFile();
let made: string | undefined;

/** A program that is asked by lines. */
async function start(control: string | undefined) {
  made ??= build(targets[0] as (typeof targets)[number], 'control', directory).program;
  const env = { ...process.env, ...(control !== undefined && { TEXTPOKE_CONTROL: control }) };
  const child = spawn(made, [], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value as string;
  const path = await next();
  return {
    path,
    pid: `${child.pid}`,
    ask: (line: string) => {
      child.stdin.write(`${line}\n`);
      return next();
    },
    end: async () => {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

const ctl = (...args: readonly string[]) => textpoke(['ctl', ...args], directory);

function assertDone(...args: readonly string[]): string {
  const { status, stdout, stderr } = ctl(...args);
  assert.deepEqual([stderr, status], ['', 0], args.join(' '));
  return stdout;
}

function assertSound(pid: string): void {
  const { status, stdout } = textpoke(['verify', '--pid', pid], directory);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /__jump_table: [4-9] compared, 0 wrong\n/);
}

toolTest(
  'keys and calls of a program follow textpoke ctl while its threads run them',
  ['gcc', 'make'],
  async () => {
    const program = await start('1');
    const { pid, path } = program;
    try {
      assert.match(path, new RegExp(`/textpoke\\.${pid}$`));
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assertSound(pid);
      const list = assertDone(pid, 'list');
      assert.match(
        list,
        /^loud +1 +2 branches +control\nverbose +0 +2 branches +control\nanswer +RET0 +1 call +control\ngreet +english +2 calls +control\n$/,
      );
      assert.equal(assertDone(path, 'list'), list);
      assert.equal(await program.ask('branch'), '2');
      assertDone(pid, 'enable', 'verbose');
      assertDone(pid, 'disable', 'loud');
      assert.equal(await program.ask('branch'), '1');
      assertDone(pid, 'inc', 'verbose', 'loud');
      assert.equal(assertDone(pid, 'get', 'verbose', 'loud'), '1\n2\n');
      assertSound(pid);
      assertDone(path, 'update', 'greet=german');
      assert.equal(await program.ask('call'), '3');
      assertDone(pid, 'update', 'greet=RET0');
      assert.equal(await program.ask('call'), '0');
      assertSound(pid);
      assertDone(pid, 'update', 'greet=english');
      assertDone(pid, 'cpus', '2');
      const { keys } = JSON.parse(assertDone(pid, 'list', 'verb*', '--json'));
      assert.deepEqual([keys.length, keys[0].key, keys[0].enabled], [1, 'verbose', 2]);
      assert.equal(await program.ask('fork'), '0', 'the child of a fork has no socket');
    } finally {
      await program.end();
    }
    assert.equal(existsSync(path), false, 'the socket goes with its process');
  },
);

toolTest('what cannot be done is refused, and nothing has changed', ['gcc', 'make'], async () => {
  const program = await start(join(directory, 'own-socket.textpoke'));
  const { pid, path } = program;
  try {
    assert.equal(path, join(directory, 'own-socket.textpoke'));
    for (const [args, status, words] of [
      [['dec', 'verbose'], 1, /refuses: the count of the key does not allow it.*\[step-refused\]/],
      [['enable', 'loud', 'nobody'], 2, /the key nobody is not a symbol of the image/],
      [['enable', 'greet'], 2, /the key greet is not a symbol of the image/],
      [['update', 'greet=loud'], 2, /loud is an object of 16 bytes.*not a function/],
      [['update', 'greet'], 2, /CALL=FUNCTION, CALL=NULL or CALL=RET0 is required/],
      [['get', 'nobody'], 2, /has no key or call nobody/],
      [['get'], 2, /a key is required/],
      [['cpus', '0'], 2, /the number of CPUs is required/],
      [['disable', 'loud', '--json'], 2, /--json is for list and get/],
    ] as const) {
      const { stderr, status: ended } = ctl(pid, ...args);
      assert.match(stderr, words);
      assert.equal(ended, status, args.join(' '));
    }
    assert.equal(assertDone(pid, 'get', 'verbose', 'loud'), '1\n0\n');
    assertSound(pid);
    assert.equal(await program.ask('open'), '11', 'one socket for a process');
  } finally {
    await program.end();
  }
  const silent = await start(undefined);
  try {
    assert.equal(silent.path, 'none');
    const { stderr, status } = ctl(silent.pid, 'list');
    assert.match(stderr, /has no socket of libtextpoke.*TEXTPOKE_CONTROL=1/);
    assert.equal(status, 4);
  } finally {
    await silent.end();
  }
});
