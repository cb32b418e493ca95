// The built program in a thread that stays: a process for each command line costs ten times as much as most of them.
// Only what a process has of its own is left out: its start, its end, and its descriptors.
import { join } from 'node:path';
import { MessageChannel, receiveMessageOnPort, SHARE_ENV, Worker } from 'node:worker_threads';
import { builtProgram } from '../built.ts';
import { tryRun } from '../tools.ts';

/** What a command line came to, as of a process. */
export interface Said {
  /** null when it came to no end. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Commands that need no process of their own, and start no further one. */
const commands = new Set(['annotate', 'boot', 'verify', 'dump', 'diff', 'explain', 'states', 'ldscript']);
const ownProcess = (args: readonly string[]) =>
  args.some((word) => /^(-j|--jobs|--files-from|--running)/.test(word));

/** Milliseconds after which a command stalls. */
const patience = 10 * 60_000;

const started = new Set<string>();
let thread: ((args: readonly string[]) => Said) | undefined;

function startThread(): (args: readonly string[]) => Said {
  const { port1, port2 } = new MessageChannel();
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(join(import.meta.dirname, 'warm.cjs'), {
    workerData: { bundle: join(builtProgram(), '..', '..', 'dist', 'textpoke.cjs'), port: port2, flag },
    transferList: [port2],
    argv: [],
    execArgv: [],
    env: SHARE_ENV,
  });
  worker.unref();
  return (args) => {
    Atomics.store(flag, 0, 0);
    port1.postMessage(args);
    // The thread may wake this one late, for the command before.
    while (Atomics.load(flag, 0) === 0)
      if (Atomics.wait(flag, 0, 0, patience) === 'timed-out') throw new Error(`stalls: ${args.join(' ')}`);
    const message = receiveMessageOnPort(port1)?.message as Said | { ended: number } | undefined;
    if (message && !('ended' in message)) return message;
    thread = undefined;
    throw new Error(`ends its thread${message ? ` with ${message.ended}` : ''}: ${args.join(' ')}`);
  };
}

/**
 * Runs the built program, in `cwd`: in a process of its own the first time that a file of tests runs a command, and
 * whenever the command needs one.
 */
export function runBuilt(args: readonly string[], cwd?: string): Said {
  const [command = ''] = args;
  if (!started.has(command) || !commands.has(command) || ownProcess(args)) {
    started.add(command);
    return tryRun(process.execPath, [builtProgram(), ...args], cwd);
  }
  thread ??= startThread();
  const before = process.cwd();
  if (cwd !== undefined) process.chdir(cwd);
  try {
    return thread(args);
  } finally {
    if (cwd !== undefined) process.chdir(before);
  }
}
