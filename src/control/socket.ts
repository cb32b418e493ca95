// The socket on which a program lets its keys be changed (runtime/control.c; docs/runtime.md has the words of both sides).
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { TextpokeError } from '../errors.ts';
import { reasonOf } from '../files/source.ts';

/** How long a program may take for an answer, in milliseconds: it waits up to 10 seconds for threads that do not stop. */
const patience = 30_000;
/** Bytes of an answer: 16 million keys. */
const longest = 1 << 30;

/** A change that a program is asked for: a line of the protocol. */
export type ChangeLine = string;

/** A static key or a static call, as the program has it. Addresses are those of the running program. */
export type ControlledKey =
  | { readonly what: 'key'; readonly key: number; readonly count: number; readonly sites: number }
  | {
      readonly what: 'call';
      readonly key: number;
      /** 0 where the object has none. */
      readonly trampoline: number;
      /** A code pointer; 0 is NULL. */
      readonly function: number;
      readonly sites: number;
    }
  /** An object whose sites were not changed at all, and why. */
  | { readonly what: 'refused'; readonly start: number; readonly message: string };

/** A connection to a program. */
export class Control {
  /** Of the program that answers. */
  readonly pid: number;
  private readonly socket: Socket;
  private readonly path: string;
  private readonly lines: AsyncIterator<string>;

  private constructor(socket: Socket, path: string, lines: AsyncIterator<string>, pid: number) {
    this.socket = socket;
    this.path = path;
    this.lines = lines;
    this.pid = pid;
  }

  /** Errors: `read-failed` where nobody listens, or somebody else does. */
  static async open(path: string): Promise<Control> {
    const socket = connect(path);
    socket.setTimeout(patience, () => socket.destroy(new Error('the program does not answer')));
    const lines = linesOf(socket, path);
    socket.write('hello 1\n');
    const { value: hello = '' } = await lines.next();
    const [, pid] = /^textpoke 1 (\d+)$/.exec(hello) ?? [];
    if (pid === undefined || (await lines.next()).value !== 'ok') {
      socket.destroy();
      throw new TextpokeError(
        'read-failed',
        hello === ''
          ? 'nobody answers: the socket is for the owner of the process'
          : 'no program of libtextpoke listens there',
        { file: path },
      );
    }
    return new Control(socket, path, lines, Number(pid));
  }

  close(): void {
    this.socket.destroy();
  }

  /** The keys of all objects; one that several objects have sites of is there several times. */
  async list(): Promise<ControlledKey[]> {
    return (await this.ask('list\n')).map((line) => this.keyIn(line));
  }

  /** All of the changes, or none. Error `step-refused`. */
  async apply(changes: readonly ChangeLine[]): Promise<void> {
    await this.ask(`apply ${changes.length}\n${changes.map((line) => `${line}\n`).join('')}`);
  }

  /** How many CPUs the program is to run on. Error `step-refused`. */
  async setCpus(cpus: number): Promise<void> {
    await this.ask(`cpus ${cpus}\n`);
  }

  private async ask(request: string): Promise<string[]> {
    this.socket.write(request);
    const answer: string[] = [];
    for (;;) {
      const { value: line, done } = await this.lines.next();
      if (done)
        throw new TextpokeError('read-failed', 'the program has ended, or closed the connection', {
          file: this.path,
        });
      if (line === 'ok') return answer;
      const [, message] = /^error \d+ (.*)$/.exec(line) ?? [];
      if (message !== undefined)
        throw new TextpokeError('step-refused', `the program refuses: ${message}; its log says more`, {
          file: this.path,
        });
      answer.push(line);
    }
  }

  private keyIn(line: string): ControlledKey {
    const words = line.split(' ');
    const [what, ...rest] = words;
    // Addresses have the sign that the rest of textpoke gives them; those of programs have none.
    const numbers = rest.map(Number);
    const [first = Number.NaN, second = Number.NaN, third = Number.NaN, fourth = Number.NaN] = numbers;
    if (what === 'key' && isWhole([first, second, third]))
      return { what, key: first, count: second, sites: third };
    if (what === 'call' && isWhole([first, second, third, fourth]))
      return { what, key: first, trampoline: second, function: third, sites: fourth };
    if (what === 'refused' && isWhole([first, second]))
      return { what, start: first, message: words.slice(3).join(' ') };
    throw new TextpokeError(
      'read-failed',
      `the program answers ${JSON.stringify(line.slice(0, 80))}, which no answer is`,
      {
        file: this.path,
      },
    );
  }
}

const isWhole = (numbers: readonly number[]) => numbers.every(Number.isSafeInteger);

async function* linesOf(socket: Socket, path: string): AsyncGenerator<string> {
  let rest = '';
  let size = 0;
  socket.setEncoding('latin1');
  try {
    for await (const piece of socket) {
      const text = rest + (piece as string);
      size += text.length - rest.length;
      if (size > longest) throw new Error('the answer has no end');
      const lines = text.split('\n');
      rest = lines.pop() as string;
      yield* lines;
    }
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot ask: ${reasonOf(error)}`, { file: path });
  }
}

/** The socket on which a process listens. Error `read-failed` where it does not. */
export function socketOf(pid: number): string {
  const inodes = new Set(socketsOf(pid));
  for (const line of readProc('/proc/net/unix').split('\n')) {
    // Num RefCount Protocol Flags Type St Inode Path; a listening one has the flag 0x10000 (__SO_ACCEPTCON).
    const [, flags = '', inode = '', path] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+) (\/.*)$/.exec(line) ?? [];
    if (
      path !== undefined &&
      (Number.parseInt(flags, 16) & 0x10000) !== 0 &&
      inodes.has(inode) &&
      /textpoke/.test(path)
    )
      return path;
  }
  throw new TextpokeError(
    'read-failed',
    `process ${pid} has no socket of libtextpoke: it opens one by textpoke_control(), or if it is started with TEXTPOKE_CONTROL=1; if the socket has a name of its own, give that`,
  );
}

function* socketsOf(pid: number): Generator<string> {
  const directory = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const why = code === 'ENOENT' ? `there is no process ${pid}` : 'its owner may, and root';
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}; ${why}`, { file: directory });
  }
  for (const name of names) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${directory}/${name}`)) ?? [];
      if (inode !== undefined) yield inode;
    } catch {
      // It was closed meanwhile.
    }
  }
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`, { file: path });
  }
}
