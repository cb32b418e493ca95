// A redis server with trace points on static branches and a static call: they are switched by `textpoke ctl` while clients ask. No
// request may be lost, each switch must be seen at once, and the memory of the server must be right before, during and after.
//
//   node samples/redis/run.js [DIRECTORY] [--source FILE.dsc] [--switches N]
//
// Status 0 and a line of figures, or 1 and what was wrong.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { buildProgram, textpoke } from './build.js';
import { Client, startBenchmark, startClients } from './clients.js';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { source: { type: 'string' }, switches: { type: 'string', default: '200' } },
});
const execute = promisify(execFile);
/** Redis's threads wait for each other without sleep: no more than there are CPUs. */
const threads = Math.max(2, Math.min(4, availableParallelism()));
const figures = { switches: 0, verifies: 0, snapshots: 0 };

/** Switches, over and over, and what holds behind each. */
const cycle = [
  { args: ['enable', 'trace_commands'], commands: 1 },
  { args: ['update', 'trace_write=count_write'], write: 'count_write' },
  { args: ['disable', 'count_reads'], reads: 0 },
  { args: ['inc', 'trace_commands', 'count_reads'], commands: 2, reads: 1 },
  { args: ['dec', 'trace_commands'], commands: 1 },
  { args: ['dec', 'trace_commands', 'count_reads'], commands: 0, reads: 0 },
  { args: ['enable', '*'], commands: 1, reads: 1 },
  { args: ['update', 'trace_write=log_write'], write: 'log_write' },
  { args: ['update', 'trace_write=NULL'], write: 'NULL' },
  { args: ['disable', 'trace_commands'], commands: 0 },
];

/** The server that runs. */
class Server {
  constructor(programs, directory) {
    this.program = join(programs, 'redis-server');
    this.path = join(directory, 'redis.sock');
    this.log = join(directory, 'server.log');
    // It begins with no data: clients know what they have written.
    for (const file of [this.log, join(directory, 'dump.rdb')]) rmSync(file, { force: true });
    const args = [
      '--port',
      '0',
      '--unixsocket',
      this.path,
      '--dir',
      directory,
      '--save',
      '',
      '--logfile',
      this.log,
    ];
    this.child = spawn(
      this.program,
      [...args, '--io-threads', `${threads}`, '--io-threads-do-reads', 'yes'],
      {
        env: { ...process.env, TEXTPOKE_CONTROL: '1' },
        stdio: 'ignore',
      },
    );
    this.pid = `${this.child.pid}`;
    this.ended = once(this.child, 'exit').then(([status, signal]) => {
      this.isEnded = true;
      return signal ?? status;
    });
    this.state = { commands: 0, reads: 1, write: 'NULL' };
  }

  async open() {
    for (let i = 0; i < 100 && !this.client && !this.isEnded; i++) {
      await wait(100);
      this.client = await Client.open(this.path).catch(() => undefined);
    }
    if (!this.client) throw new Error(`the server does not answer; see ${this.log}`);
  }

  async textpoke(...args) {
    const [command, ...words] = textpoke;
    const { stdout } = await execute(command, [...words, ...args], { timeout: 120_000 });
    return stdout;
  }

  /** Every site of the process follows its key. */
  async verify() {
    const text = await this.textpoke('verify', '--pid', this.pid);
    for (const table of ['__jump_table: 2', '.static_call_sites: 1'])
      if (!text.includes(`${table} compared, 0 wrong`)) throw new Error(`verify says:\n${text}`);
    figures.verifies++;
    return text;
  }

  async switch({ args, ...state }) {
    await this.textpoke('ctl', this.pid, ...args);
    Object.assign(this.state, state);
    figures.switches++;
  }

  /** What the trace points have counted. The request is itself a command, a read and a write. */
  async counts() {
    const text = await this.client.ask('INFO', 'stats');
    const number = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)[1]);
    return {
      commands: number('traced_commands'),
      reads: number('total_reads_processed'),
      writes: number('traced_writes'),
      logged: statSync(this.log).size,
    };
  }

  /** Each trace point does what it was told, and nothing else: a switch holds for all that comes behind it. */
  async assertEffects() {
    const before = await this.counts();
    const after = await this.counts();
    const more = readFileSync(this.log, 'latin1').slice(before.logged, after.logged);
    const { commands, reads, write } = this.state;
    const seen = [
      ['trace_commands', commands > 0, after.commands > before.commands],
      ['count_reads', reads > 0, after.reads > before.reads],
      ['count_write', write === 'count_write', after.writes > before.writes],
      ['log_write', write === 'log_write', /trace: client/.test(more)],
    ];
    for (const [name, isOn, isSeen] of seen)
      if (isOn !== isSeen)
        throw new Error(`${name} is ${isOn ? 'on' : 'off'}, and it ${isSeen ? 'runs' : 'does not run'}`);
  }

  async assertState() {
    const expected = [this.state.commands, this.state.reads, this.state.write].join('\n');
    const found = await this.textpoke('ctl', this.pid, 'get', 'trace_commands', 'count_reads', 'trace_write');
    if (found !== `${expected}\n`) throw new Error(`ctl get says:\n${found}instead of\n${expected}`);
  }

  /** One CPU for a while: locks are taken out, and come back before there are two again. */
  async takeLocksOut() {
    const affinity = (cpus) => execute('taskset', ['-a', '-c', '-p', cpus, this.pid]);
    const all = /: (\S+)\s*$/.exec((await execute('taskset', ['-c', '-p', this.pid])).stdout)[1];
    await affinity(/^\d+/.exec(all)[0]);
    await this.textpoke('ctl', this.pid, 'cpus', '1');
    await this.verify();
    await this.textpoke('ctl', this.pid, 'cpus', '2');
    await affinity(all);
    figures.switches += 2;
  }

  async end() {
    this.client?.close();
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 30_000);
    const how = await this.ended;
    clearTimeout(timer);
    return how;
  }
}

/** Switches while clients ask. */
async function switchUnderLoad(server, times) {
  let verify = Promise.resolve();
  for (let i = 0; i < times; i++) {
    await server.switch(cycle[i % cycle.length]);
    await server.assertEffects();
    if (i % 10 === 5) {
      await verify;
      // The next switches come while it reads.
      verify = server.verify();
      verify.catch(() => {});
    }
    if (i % 10 === 7) await server.assertState();
    // A child of a fork, which has text of its own and writes the data to a file.
    if (i % 50 === 20 && (await server.client.ask('BGSAVE'))) figures.snapshots++;
    if (i % 50 === 40) await server.takeLocksOut();
  }
  await verify;
}

async function tryServer(server, programs, times) {
  await server.open();
  await server.assertEffects();
  await server.verify();
  process.stdout.write(await server.textpoke('ctl', server.pid, 'list'));

  const start = performance.now();
  const clients = startClients(server.path, 16);
  const benchmark = startBenchmark(join(programs, 'redis-benchmark'), server.path);
  const stopped = server.ended.then((how) => {
    throw new Error(`the server has ended: ${how}; see ${server.log}`);
  });
  const trouble = Promise.all([clients.failed, benchmark.failed]).then(() => stopped);
  await Promise.race([switchUnderLoad(server, times), trouble, stopped]);
  const [asked, benched] = await Promise.race([Promise.all([clients.stop(), benchmark.stop()]), stopped]);
  const seconds = (performance.now() - start) / 1000;

  if (asked.requests !== asked.answers)
    throw new Error(`${asked.requests} requests, ${asked.answers} answers`);
  const increments = await server.client.ask('GET', 'counter:__rand_int__');
  if (increments !== `${benched.increments}`)
    throw new Error(
      `redis-benchmark asked for ${benched.increments} increments, and the server made ${increments}`,
    );
  const readByThreads = /^io_threaded_reads_processed:(\d+)/m.exec(
    await server.client.ask('INFO', 'stats'),
  )[1];
  if (readByThreads === '0') throw new Error('the threads have read nothing');
  for (const step of cycle) {
    await server.switch(step);
    await server.assertEffects();
  }
  process.stdout.write(await server.verify());
  const requests = asked.answers + benched.requests;
  return {
    seconds: Math.round(seconds),
    requests,
    compared: asked.answers,
    readByThreads: Number(readByThreads),
    ...figures,
  };
}

const directory = resolve(positionals[0] ?? mkdtempSync(join(tmpdir(), 'textpoke-redis-')));
mkdirSync(directory, { recursive: true });
const programs = buildProgram(directory, options.source);
const server = new Server(programs, directory);
process.exitCode = 1;
try {
  const result = await tryServer(server, programs, Number(options.switches));
  const how = await server.end();
  if (how !== 0) throw new Error(`the server ended by ${how}`);
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = 0;
} catch (error) {
  process.stderr.write(`redis: ${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
} finally {
  if (!server.isEnded) await server.end();
  if (positionals.length === 0 && process.exitCode === 0) rmSync(directory, { recursive: true });
}
process.exit();
