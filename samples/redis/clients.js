// Clients of a redis server: one that is asked by hand, and a load of which every answer is known to the byte.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

/** A request in redis's protocol. */
function request(...words) {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join('')}`;
}

const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

/** A connection for one request after another. */
export class Client {
  #socket;

  static async open(path) {
    const client = new Client();
    client.#socket = connect(path);
    await once(client.#socket, 'connect');
    return client;
  }

  /** The answer, as text: a line, or what is in a bulk. */
  async ask(...words) {
    this.#socket.write(request(...words));
    let text = '';
    for (;;) {
      const [chunk] = await once(this.#socket, 'data');
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n');
      if (end < 0) continue;
      if (text.startsWith('-')) throw new Error(`${words.join(' ')}: ${text}`);
      if (!text.startsWith('$')) return text.slice(1, end);
      const size = Number(text.slice(1, end));
      if (text.length >= end + 2 + size + 2) return text.slice(end + 2, end + 2 + size);
    }
  }

  close() {
    this.#socket.destroy();
  }
}

const script = "return redis.call('get', KEYS[1])";

/** Requests of a connection, and the bytes that must come back. */
function batchOf(connection) {
  const { id } = connection;
  let [requests, answers, count] = ['', '', 0];
  const add = (answer, ...words) => {
    requests += request(...words);
    answers += answer;
    count++;
  };
  for (let i = 0; i < 1 + (connection.turn % 8); i++) {
    connection.turn++;
    // Now and then an answer that takes more than one write.
    const value = `${id}.${connection.turn}.`.repeat(connection.turn % 50 === 0 ? 3000 : 3);
    const key = `key:${id}:${connection.turn % 7}`;
    add('+OK\r\n', 'SET', key, value);
    add(bulk(value), 'GET', key);
    add(`:${++connection.increments}\r\n`, 'INCR', `count:${id}`);
    add(bulk(value), 'EVAL', script, '1', key);
  }
  return { requests, answers: Buffer.from(answers), count };
}

/** Where answers begin to differ from the right ones. */
function differenceOf(found, right) {
  let at = 0;
  while (at < right.length && found[at] === right[at]) at++;
  const [here, there] = [found, right].map((bytes) => JSON.stringify(bytes.toString('latin1', at, at + 40)));
  return `the answer has ${here} at ${at}, instead of ${there}`;
}

/** How long an answer may take, in milliseconds: the machine may be busy. */
const patience = 120_000;

/** Clients that ask, each the next requests when all answers are there, until they are told to stop. */
export function startClients(path, count) {
  const figures = { requests: 0, answers: 0 };
  let stopping = false;
  const runClient = (id) =>
    new Promise((resolve, reject) => {
      const socket = connect(path);
      const connection = { id, turn: id, increments: 0 };
      let batch;
      let received = [];
      let size = 0;
      const next = () => {
        batch = batchOf(connection);
        received = [];
        size = 0;
        figures.requests += batch.count;
        socket.write(batch.requests);
      };
      const fail = (what) => {
        socket.destroy();
        reject(new Error(`client ${id}, turn ${connection.turn}: ${what}`));
      };
      socket.on('connect', next);
      socket.on('error', fail);
      socket.setTimeout(patience, () => fail('an answer does not come'));
      socket.on('close', () => fail('the server closed the connection'));
      socket.on('data', (chunk) => {
        received.push(chunk);
        size += chunk.length;
        if (size < batch.answers.length) return;
        const all = Buffer.concat(received);
        if (!all.equals(batch.answers)) return fail(differenceOf(all, batch.answers));
        figures.answers += batch.count;
        if (!stopping) return next();
        socket.removeAllListeners('close');
        socket.end();
        resolve();
      });
    });
  const all = Promise.all(Array.from({ length: count }, (_, id) => runClient(id)));
  const stop = async () => {
    stopping = true;
    await all;
    return figures;
  };
  return { figures, failed: all, stop };
}

const rounds = 20_000;
const commands = ['set', 'get', 'incr', 'lpush', 'lpop'];

/** redis-benchmark again and again, until it is told to stop. It has an exit status of its own for an error. */
export function startBenchmark(program, path) {
  const figures = { requests: 0, increments: 0, runs: 0 };
  let stopping = false;
  const work = async () => {
    while (!stopping) {
      const args = [
        '-s',
        path,
        '-q',
        '-n',
        `${rounds}`,
        '-c',
        '50',
        '--threads',
        '2',
        '-t',
        commands.join(','),
      ];
      const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 300_000 });
      let said = '';
      child.stdout.on('data', (chunk) => (said += chunk));
      child.stderr.on('data', (chunk) => (said += chunk));
      const [status, signal] = await once(child, 'close');
      const done = said.match(/requests per second/g)?.length ?? 0;
      if (status !== 0 || done !== commands.length || /error|closed|refused/i.test(said))
        throw new Error(`redis-benchmark: ${signal ?? `status ${status}`}\n${said.slice(-2000)}`);
      figures.requests += rounds * commands.length;
      figures.increments += rounds;
      figures.runs++;
    }
  };
  const all = work();
  const stop = async () => {
    stopping = true;
    await all;
    return figures;
  };
  return { figures, failed: all, stop };
}
