// The process that runs cases for run.ts: it says which case it is at in a file, and tells what it found by messages.
// A case that never ends, takes all memory or ends the process is therefore known.
import { openSync, writeSync } from 'node:fs';
import { type Case, inputOf, makeCase, minimised, type Outcome, runCase } from './case.ts';

/** Which cases a process runs: from `first` on, every one that is `step` further. */
export interface Errand {
  readonly run: number;
  readonly first: number;
  readonly step: number;
  /** Behind the last; Infinity with an `end`. */
  readonly limit: number;
  /** Time in milliseconds at which to end. */
  readonly end: number;
  readonly only?: string | undefined;
  /** File for the number of the case at hand: a 64-bit float. */
  readonly progress: string;
}

export type Message =
  | { readonly failure: string; readonly detail: string; readonly index: number; readonly case: Case }
  | { readonly counts: Readonly<Record<string, readonly [done: number, refused: number]>> }
  | { readonly over: true };

const tell = (message: Message) => new Promise((resolve) => process.send?.(message, resolve));

/** Processor time in milliseconds and memory in bytes that a case of so many bytes may take. */
const timeFor = (size: number) => 1000 + size / 250;
const memoryFor = (size: number) => 200e6 + 4 * size;

/** Runs a case and watches what it costs; one that costs too much is tried again. */
export async function watched(one: Case, tries = 2): Promise<Outcome> {
  const before = process.cpuUsage();
  const peak = process.resourceUsage().maxRSS;
  const outcome = await runCase(one);
  const { user, system } = process.cpuUsage(before);
  const time = (user + system) / 1000;
  if ('failure' in outcome || time < 900) {
    const more = (process.resourceUsage().maxRSS - peak) * 1024;
    if (!('failure' in outcome) && more > 150e6 && more > memoryFor(inputOf(one).length))
      return { failure: `${one.entry}: takes too much memory`, detail: `${Math.round(more / 1e6)} MB` };
    return outcome;
  }
  if (time < timeFor(inputOf(one).length)) return outcome;
  if (tries > 1) return watched(one, tries - 1);
  return { failure: `${one.entry}: takes too long`, detail: `${Math.round(time)} ms of processor time` };
}

async function work({ run, first, step, limit, end, only, progress }: Errand): Promise<void> {
  const file = openSync(progress, 'r+');
  const place = new Float64Array(1);
  const placeBytes = new Uint8Array(place.buffer);
  const at = (index: number) => {
    place[0] = index;
    writeSync(file, placeBytes, 0, 8, 0);
  };
  let counts: Record<string, [number, number]> = {};
  let told = Date.now();
  const seen = new Map<string, number>();
  for (let index = first; index < limit; index += step) {
    at(index);
    const one = makeCase(run, index, only);
    const outcome = await watched(one);
    counts[one.entry] ??= [0, 0];
    const count = counts[one.entry] as [number, number];
    if ('ended' in outcome) count[outcome.ended === 'done' ? 0 : 1]++;
    else {
      const times = (seen.get(outcome.failure) ?? 0) + 1;
      seen.set(outcome.failure, times);
      const small =
        times === 1 && !outcome.failure.includes('takes too')
          ? await minimised(one, async (other) => {
              const result = await runCase(other);
              return 'failure' in result && result.failure === outcome.failure;
            })
          : one;
      await tell({ ...outcome, index, case: small });
    }
    const now = Date.now();
    if (now - told > 500) {
      await tell({ counts });
      counts = {};
      told = now;
      if (now > end) break;
    }
  }
  await tell({ counts });
  await tell({ over: true });
  at(-1);
  process.disconnect?.();
}

if (process.send) process.on('message', (errand) => void work(errand as Errand));
