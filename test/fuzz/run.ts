// npm run fuzz: random inputs for every entry point (entries.ts), made from sound ones (seeds.ts) by changes that know
// their structures (mutations.ts).
//
//   npm run fuzz                          for a minute
//   npm run fuzz -- --seconds 3600 -j 2   for an hour, in two processes
//   npm run fuzz -- --cases 100000        so many cases, the same ones each time
//   npm run fuzz -- --seed 7              other cases
//   npm run fuzz -- --only boot           one entry point
//   npm run fuzz -- --replay FILE         a case that was found, again
//
// What fails is made smaller and written to --out DIR (fuzz-found), one file for each defect, with its input beside it.
// The status is 1 if anything failed.
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Case, inputOf, makeCase, minimised } from './case.ts';
import { type Errand, type Message, watched } from './child.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string' },
    cases: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    jobs: { type: 'string', short: 'j', default: '1' },
    out: { type: 'string', default: 'fuzz-found' },
    replay: { type: 'string' },
    from: { type: 'string', default: '0' },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);

interface Found {
  readonly file: string;
  times: number;
}

async function fuzz(): Promise<void> {
  const run = Number(options.seed);
  const jobs = Number(options.jobs);
  const limit = options.cases === undefined ? Number.MAX_SAFE_INTEGER : Number(options.cases);
  const seconds = options.seconds ?? (options.cases === undefined ? '60' : '1e9');
  const began = Date.now();
  const end = began + Number(seconds) * 1000;
  const counts = new Map<string, [number, number]>();
  const found = new Map<string, Found>();
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-fuzz-'));

  const report = async (failure: string, detail: string, index: number, one: Case) => {
    const known = found.get(failure);
    if (known) {
      known.times++;
      return;
    }
    const name = `${one.entry.replace(/\W/g, '-')}-${createHash('sha256').update(failure).digest('hex').slice(0, 8)}`;
    const file = join(options.out, `${name}.json`);
    found.set(failure, { file, times: 1 });
    mkdirSync(options.out, { recursive: true });
    const again = `npm run fuzz -- --replay ${file}`;
    writeFileSync(file, `${JSON.stringify({ failure, again, run, index, case: one, detail }, null, 1)}\n`);
    writeFileSync(join(options.out, `${name}.bin`), inputOf(one));
    say(`FAILED ${failure}\n  case ${index} of seed ${run}; ${again}`);
  };

  await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const first = Number(options.from) + job;
      const errand = { run, step: jobs, limit, end, only: options.only, progress: join(directory, `${job}`) };
      return drive({ ...errand, first }, counts, report);
    }),
  );
  rmSync(directory, { recursive: true });

  const took = (Date.now() - began) / 1000;
  let all = 0;
  for (const [entry, [done, refused]] of [...counts].sort()) {
    all += done + refused;
    say(`${entry.padEnd(16)}${String(done + refused).padStart(9)} cases, ${refused} refused`);
  }
  say(
    `${'all'.padEnd(16)}${String(all).padStart(9)} cases in ${took.toFixed(0)} s, ${Math.round(all / took)} a second`,
  );
  for (const [failure, { file, times }] of found) say(`${times} times ${failure}\n  ${file}`);
  say(`${found.size} defects found`);
  if (found.size > 0 || all === 0) process.exitCode = 1;
}

/** A case may take so much time of the processor in milliseconds, and its process so much memory, before it is ended. */
const longest = 20_000;
const most = 1.5e9;

/** Has a process run its cases; behind a case that ended it, or for which it was ended, another one goes on. */
async function drive(
  errand: Errand,
  counts: Map<string, [number, number]>,
  report: (failure: string, detail: string, index: number, one: Case) => Promise<void>,
): Promise<void> {
  for (let first = errand.first; first < errand.limit; ) {
    writeFileSync(errand.progress, new Uint8Array(new Float64Array([first]).buffer));
    const child = fork(new URL('child.ts', import.meta.url), {
      execArgv: [...process.execArgv, '--max-old-space-size=1200'],
    });
    const pending: Promise<void>[] = [];
    let isOver = false;
    child.on('message', (message: Message) => {
      if ('over' in message) isOver = true;
      else if ('counts' in message) {
        for (const [entry, [done, refused]] of Object.entries(message.counts)) {
          const [d, r] = counts.get(entry) ?? [0, 0];
          counts.set(entry, [d + done, r + refused]);
        }
      } else pending.push(report(message.failure, message.detail, message.index, message.case));
    });
    child.send({ ...errand, first });
    const ended = await watch(child, errand.progress);
    await Promise.all(pending);
    if (isOver) return;
    const index = progressOf(errand.progress);
    const one = makeCase(errand.run, index, errand.only);
    const failure = `${one.entry}: ${ended}`;
    await report(
      failure,
      ended,
      index,
      await minimised(one, async (smaller) => replayEnds(smaller, errand.progress), 12),
    );
    first = index + errand.step;
  }
}

const progressOf = (path: string): number => {
  const bytes = readFileSync(path);
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 8))[0] as number;
};

/** Memory of a process in bytes, and its time of the processor in milliseconds; by the clock where /proc is not. */
function costsOf(pid: number): { readonly memory: number; readonly time: number } {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    // proc(5): utime, stime (in hundredths of a second), rss (in pages), counted from the state.
    return { memory: 4096 * Number(fields[21]), time: 10 * (Number(fields[11]) + Number(fields[12])) };
  } catch {
    return { memory: 0, time: Date.now() };
  }
}

/** Waits for the end of a process, or ends it; says why it ended. */
async function watch(child: ChildProcess, progress: string): Promise<string> {
  let why: string | undefined;
  let last = Number.NaN;
  let since = 0;
  const timer = setInterval(() => {
    const index = progressOf(progress);
    const { memory, time } = costsOf(child.pid as number);
    if (index !== last) since = time;
    last = index;
    if (index < 0) return;
    if (time - since > longest) why = 'does not end';
    else if (memory > most) why = 'takes all memory';
    if (why !== undefined) child.kill('SIGKILL');
  }, 200);
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      clearInterval(timer);
      resolve(why ?? `ends the process (${signal ?? code})`);
    });
  });
}

/** Whether a case, in a process of its own, does not end well within some seconds. */
function replayEnds(one: Case, beside: string): boolean {
  const file = `${beside}.case`;
  writeFileSync(file, JSON.stringify({ case: one }));
  const args = [
    ...process.execArgv,
    '--max-old-space-size=1200',
    process.argv[1] as string,
    '--replay',
    file,
  ];
  const { status } = spawnSync(process.execPath, args, { timeout: 30_000, killSignal: 'SIGKILL' });
  return status !== 0;
}

if (options.replay !== undefined) {
  const outcome = await watched(JSON.parse(readFileSync(options.replay, 'utf8')).case as Case);
  if ('failure' in outcome) {
    say(`${outcome.failure}\n${outcome.detail}`);
    process.exitCode = 1;
  } else say(`${outcome.ended}: nothing is wrong`);
} else await fuzz();
