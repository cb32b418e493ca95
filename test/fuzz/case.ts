// Cases: made from a seed number and an index, run, and made smaller when they fail.
import { errorCodes, TextpokeError } from '../../src/errors.ts';
import { Random } from '../seeded.ts';
import { type Edit, edited } from './edits.ts';
import { type Entry, entries } from './entries.ts';
import { mutate } from './mutations.ts';
import { seedBytes, seedOf } from './seeds.ts';

/** A case, as it is written down. */
export interface Case {
  /** Name of the entry point. */
  readonly entry: string;
  readonly seed: string;
  readonly edits: readonly Edit[];
  /** What options come of. */
  readonly options: number;
}

export type Outcome =
  | { readonly ended: 'done' | 'refused' }
  /** `failure` is the same for the same defect, or nearly; `detail` is for people. */
  | { readonly failure: string; readonly detail: string };

const named = new Map(entries.map((entry) => [entry.name, entry]));

/** Entry points in turn, so that any hundred cases in a row have each as often as its share says. */
const wheel: readonly Entry[] = entries
  .flatMap((entry) => Array.from({ length: entry.share }, (_, i) => ({ entry, at: (i + 0.5) / entry.share })))
  .sort((a, b) => a.at - b.at)
  .map(({ entry }) => entry);

/** Case number `index` of a run; `only` is the entry point that all cases are for. */
export function makeCase(run: number, index: number, only?: string): Case {
  const random = new Random(run, index);
  const entry = only === undefined ? (wheel[index % wheel.length] as Entry) : named.get(only);
  if (!entry) throw new Error(`there is no entry point ${only}; known: ${[...named.keys()].join(', ')}`);
  const seed = random.pick(entry.seeds);
  const others = Array.from({ length: 2 }, () => random.pick(entry.seeds)).map(
    (name) => [name, seedBytes(name).length] as const,
  );
  const edits = mutate(random, { ...seedOf(seed), others, words: entry.words ?? [] });
  return { entry: entry.name, seed, edits, options: random.below(2 ** 32) };
}

/** The bytes that a case gives its entry point. */
export const inputOf = ({ seed, edits }: Case): Uint8Array => edited(seedBytes(seed), edits, seedBytes);

/** What is the same for the same defect: the first line without numbers and names, and where it was thrown. */
function signatureOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.split('\n')[0]?.replace(/0x[0-9a-f]+|-?\d+|"[^"]*"|\([^)]*\)/g, '#');
  const frames = error.stack?.split('\n').filter((line) => /\/(src|node_modules)\//.test(line)) ?? [];
  const place = /\/((?:src|node_modules)\/[^):]*)/.exec(frames[0] ?? '')?.[1] ?? '';
  return `${error.name} ${message?.slice(0, 120)} ${place}`.trim();
}

/** Runs a case; what is thrown is part of the outcome. */
export async function runCase(one: Case): Promise<Outcome> {
  const entry = named.get(one.entry);
  if (!entry) throw new Error(`there is no entry point ${one.entry}`);
  try {
    await entry.run({ seed: one.seed, bytes: inputOf(one), random: new Random(one.options) });
    return { ended: 'done' };
  } catch (error) {
    if (!(error instanceof TextpokeError) || error.code === 'defect' || !(error.code in errorCodes)) {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { failure: `${one.entry}: ${signatureOf(error)}`, detail };
    }
    const line = error.describe();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: an error is one line that moves no cursor
    if (/[\x00-\x1f\x7f-\x9f]/.test(line))
      return { failure: `${one.entry}: an error has control characters`, detail: JSON.stringify(line) };
    return { ended: 'refused' };
  }
}

/** A smaller case for which `fails` still holds: fewer edits, shorter ones. */
export async function minimised(
  one: Case,
  fails: (smaller: Case) => Promise<boolean>,
  attempts = 60,
): Promise<Case> {
  let best = one;
  let left = attempts;
  const isBetter = async (edits: readonly Edit[]): Promise<boolean> => {
    if (left-- <= 0 || !(await fails({ ...best, edits }))) return false;
    best = { ...best, edits };
    return true;
  };
  const replaced = (i: number, ...by: readonly Edit[]) => best.edits.toSpliced(i, 1, ...by);
  for (let i = best.edits.length - 1; i >= 0; i--) await isBetter(replaced(i));
  for (let i = 0; i < best.edits.length; i++) {
    for (;;) {
      const edit = best.edits[i] as Edit;
      const half =
        'times' in edit && (edit.times ?? 1) > 1
          ? { ...edit, times: Math.floor((edit.times ?? 1) / 2) }
          : 'put' in edit && edit.what === undefined && edit.put.length > 2
            ? { ...edit, put: edit.put.slice(0, Math.ceil(edit.put.length / 4) * 2) }
            : 'size' in edit && edit.size > 1
              ? { ...edit, size: edit.size >> 1 }
              : undefined;
      if (!half || !(await isBetter(replaced(i, half)))) break;
    }
  }
  return best;
}
