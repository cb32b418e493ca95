// The socket of a program: what is asked and what is answered, and what is no answer.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Control, socketOf } from '../../src/control/socket.ts';
import { type ErrorCode, TextpokeError } from '../../src/errors.ts';
import { scratch } from '../tools.ts';

const hello = 'textpoke 1 42\nok\n';

/** A program that gives these answers in turn, and what it was asked. */
async function program(t: TestContext, ...answers: readonly string[]) {
  const path = join(scratch(t), 'socket');
  const asked: string[] = [];
  const server = createServer((client) => {
    let next = 0;
    client.on('error', () => {});
    client.on('data', (bytes) => {
      asked.push(bytes.toString());
      const answer = answers[next++];
      if (answer === undefined) client.end();
      else client.write(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  return { path, asked };
}

const refused = (code: ErrorCode, pattern: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && pattern.test(error.message);

test('keys, calls and refused objects are listed', async (t) => {
  const rows =
    'key 0x5000 -1 3\ncall 0x6000 0x401000 0x401235 2\nrefused 0x7000 3 a breakpoint stands there\nok\n';
  const { path, asked } = await program(t, hello, rows);
  const control = await Control.open(path);
  assert.equal(control.pid, 42);
  assert.deepEqual(await control.list(), [
    { what: 'key', key: 0x5000, count: -1, sites: 3 },
    { what: 'call', key: 0x6000, trampoline: 0x401000, function: 0x401235, sites: 2 },
    { what: 'refused', start: 0x7000, message: 'a breakpoint stands there' },
  ]);
  control.close();
  assert.deepEqual(asked, ['hello 1\n', 'list\n']);
});

test('changes are asked for together, and what the program refuses is an error', async (t) => {
  const { path, asked } = await program(t, hello, 'ok\n', 'error 6 the count of the key does not allow it\n');
  const control = await Control.open(path);
  await control.apply(['enable 0x5000', 'update 0x6000 0x401000 0x0']);
  await assert.rejects(control.setCpus(1), refused('step-refused', /refuses: the count of the key/));
  control.close();
  assert.deepEqual(asked.slice(1), ['apply 2\nenable 0x5000\nupdate 0x6000 0x401000 0x0\n', 'cpus 1\n']);
});

test('an answer may be long', async (t) => {
  const { path } = await program(t, hello, `${'key 0x2000 1 1\n'.repeat(20_000)}ok\n`);
  const control = await Control.open(path);
  assert.equal((await control.list()).length, 20_000);
  control.close();
});

test('what is no program of libtextpoke is refused', async (t) => {
  const { path } = await program(t, 'HTTP/1.1 400 Bad Request\n');
  await assert.rejects(Control.open(path), refused('read-failed', /no program of libtextpoke listens there/));
  const silent = await program(t);
  await assert.rejects(Control.open(silent.path), refused('read-failed', /for the owner of the process/));
  await assert.rejects(Control.open(`${path}.none`), refused('read-failed', /cannot ask: connect ENOENT/));
});

test('an answer that is none, and a program that ends, are errors', async (t) => {
  const { path } = await program(t, hello, 'key 0x5000\nok\n');
  const control = await Control.open(path);
  await assert.rejects(control.list(), refused('read-failed', /which no answer is/));
  control.close();
  const ended = await program(t, hello);
  const other = await Control.open(ended.path);
  await assert.rejects(other.list(), refused('read-failed', /the program has ended/));
});

test('a process without such a socket, and one that does not exist, are told apart', () => {
  assert.throws(
    () => socketOf(process.pid),
    refused('read-failed', /has no socket of libtextpoke.*TEXTPOKE_CONTROL=1/),
  );
  assert.throws(() => socketOf(99_999_999), refused('read-failed', /there is no process 99999999/));
});
