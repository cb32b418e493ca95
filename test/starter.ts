// Starts processes and waits for them, by a small process in between: a fork copies the page tables of the whole process,
// and has every page written anew that is touched afterwards, which costs a large one more than most tools cost.
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface StartOptions {
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdio?: 'pipe' | readonly ['ignore', 'pipe', 'pipe'];
  /** How text is read and written; UTF-8 without it. */
  readonly encoding?: 'utf8' | 'latin1';
  readonly input?: string;
  /** Milliseconds. */
  readonly timeout?: number;
}

interface Answer {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Bytes of standard output and standard error, which follow. */
  readonly out: number;
  readonly err: number;
  readonly error?: { readonly message: string };
}

const maxBuffer = 1 << 30;

/** A file that starts no more than these processes is done before the small one has begun. */
export const worthIt = 4;
let started = 0;
let pipes: readonly [questions: number, answers: number] | undefined;

function startStarter(): readonly [number, number] {
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-starter-'));
  const [questions, answers] = [join(directory, 'questions'), join(directory, 'answers')];
  execFileSync('mkfifo', [questions, answers]);
  const program = join(import.meta.dirname, 'starter.cjs');
  spawn(process.execPath, [program, questions, answers], { stdio: ['ignore', 'ignore', 'inherit'] }).unref();
  // Each waits for the other end.
  const opened = [openSync(questions, 'w'), openSync(answers, 'r')] as const;
  rmSync(directory, { recursive: true });
  return opened;
}

function read(from: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const count = readSync(from, bytes, at, size - at, null);
    if (count === 0) throw new Error('the process that starts others has ended');
    at += count;
  }
  return bytes;
}

/** What spawnSync does with text, in the directory, the environment and the mask of this process. */
export function startSync(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): SpawnSyncReturns<string> {
  const { encoding = 'utf8', input, ...rest } = options;
  if (started++ < worthIt) return spawnSync(command, args, { ...(options as object), encoding, maxBuffer });
  pipes ??= startStarter();
  const [questions, answers] = pipes;
  const passed = { cwd: process.cwd(), env: process.env, maxBuffer };
  const bytes = input === undefined ? {} : { input: Buffer.from(input, encoding).toString('base64') };
  const question = Buffer.from(
    JSON.stringify({
      umask: process.umask(),
      command,
      args,
      options: { ...passed, ...defined(rest) },
      ...bytes,
    }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(question.length);
  for (const part of [length, question])
    for (let at = 0; at < part.length; ) at += writeSync(questions, part, at);
  const head = read(answers, read(answers, 4).readUInt32LE()).toString();
  const { out, err, error, ...ended } = JSON.parse(head) as Answer;
  const [stdout, stderr] = [out, err].map((size) => read(answers, size).toString(encoding)) as [
    string,
    string,
  ];
  return {
    ...{ pid: 0, output: [null, stdout, stderr], stdout, stderr, ...ended },
    ...(error && { error: Object.assign(new Error(error.message), error) }),
  };
}

const defined = (all: object) =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
