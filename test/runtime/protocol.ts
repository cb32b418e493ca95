// A model of threads that run a site while another one changes it. It knows nothing of the library: a protocol is a list
// of steps, and every interleaving of the writer with two readers is gone through.
//
// A CPU that is not synchronised may fetch each byte of an instruction from any moment since it was synchronised last
// (Intel SDM 3A 10.1.3; Arm ARM DDI 0487 B2.2.5, DDI 0406 A3.5.4). Bytes of one fetch need not be of one moment.

/** What the writer does, one after the other. A store is at a distance from the site's first byte. */
export type Step =
  | { readonly do: 'store'; readonly at: number; readonly bytes: readonly number[] }
  /** Returns when each reader has been synchronised, in any order. */
  | { readonly do: 'sync' }
  /** From now on a reader that ran into an int3 is let through as the new instruction; and no longer. */
  | { readonly do: 'open' | 'close' }
  /** Readers run no code, and are synchronised on their way back. */
  | { readonly do: 'stop' | 'resume' };

/** What an instruction set makes of fetched bytes: how many of them are one instruction; a trap is one that stops. */
export interface Decoder {
  /** Of the first instruction in these bytes. */
  lengthOf(bytes: readonly number[]): number;
  isTrap(bytes: readonly number[]): boolean;
  /** Whether bytes of different moments may be in one fetch: not where an instruction is one word. */
  readonly mixes: boolean;
  /** Whether one instruction may become the other while it is run: the architecture's list, where it has one. */
  mayBecome(old: readonly number[], bytes: readonly number[]): boolean;
}

/** Why a protocol is wrong, with what led there. */
export interface Counterexample {
  readonly why: string;
  readonly trace: readonly string[];
}

const readers = [0, 1] as const;

/** A reader's view of the site: the moments (numbers of stores) that it may fetch from, and whether it is in a trap. */
interface Reader {
  readonly since: number;
  readonly trapped: boolean;
  /** Has been synchronised by the sync that the writer waits for. */
  readonly synced: boolean;
}

interface State {
  readonly step: number;
  readonly readers: readonly Reader[];
}

/** All memories of the site, one for each store; a store of several bytes lands byte by byte. */
function momentsOf(old: readonly number[], steps: readonly Step[]) {
  const memories: number[][] = [[...old]];
  /** How many moments have begun before each step. */
  const before: number[] = [];
  for (const step of steps) {
    before.push(memories.length);
    if (step.do !== 'store') continue;
    const memory = [...(memories.at(-1) as number[])];
    step.bytes.forEach((byte, i) => {
      memory[step.at + i] = byte;
    });
    memories.push(memory);
  }
  before.push(memories.length);
  return { memories, before };
}

/** Every way to take each byte from one of the memories. */
function mixesOf(memories: readonly (readonly number[])[], decoder: Decoder): number[][] {
  if (!decoder.mixes) return memories.map((memory) => [...memory]);
  let mixes: number[][] = [[]];
  for (let i = 0; i < (memories[0] as readonly number[]).length; i++) {
    const values = [...new Set(memories.map((memory) => memory[i] as number))];
    mixes = mixes.flatMap((mix) => values.map((value) => [...mix, value]));
  }
  return mixes;
}

/**
 * Goes through every interleaving; undefined if each fetch is the old or the new instruction or a trap that is answered,
 * and if, once the writer has returned, each fetch is the new one.
 */
export function findCounterexample(
  decoder: Decoder,
  old: readonly number[],
  bytes: readonly number[],
  steps: readonly Step[],
): Counterexample | undefined {
  const { memories, before } = momentsOf(old, steps);
  const stopped = steps.map((_, i) => lastOf(steps.slice(0, i), 'stop', 'resume'));
  if (!decoder.mayBecome(old, bytes)) {
    const at = steps.findIndex((step, i) => step.do === 'store' && !stopped[i]);
    if (at >= 0) return { why: 'the architecture does not let these become each other', trace: [] };
  }
  const isWhole = (fetched: readonly number[], whole: readonly number[]) => {
    const length = decoder.lengthOf(whole);
    return decoder.lengthOf(fetched) === length && fetched.slice(0, length).every((b, i) => b === whole[i]);
  };
  const start: State = { step: 0, readers: readers.map(() => ({ since: 0, trapped: false, synced: false })) };
  const seen = new Set<string>();
  const queue: { state: State; trace: readonly string[] }[] = [{ state: start, trace: [] }];
  for (let next = queue.pop(); next; next = queue.pop()) {
    const { state, trace } = next;
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const returned = state.step === steps.length;
    const moments = before[state.step] as number;
    const step = steps[state.step];
    const go = (to: State, what: string) => queue.push({ state: to, trace: [...trace, what] });
    const change = (who: number, to: Partial<Reader>): State => ({
      ...state,
      readers: state.readers.map((reader, i) => (i === who ? { ...reader, ...to } : reader)),
    });
    const isStopped = lastOf(steps.slice(0, state.step), 'stop', 'resume');
    for (const who of readers) {
      const reader = state.readers[who] as Reader;
      if (isStopped) break;
      if (reader.trapped) {
        const open = lastOf(steps.slice(0, state.step), 'open', 'close');
        const now = memories[moments - 1] as number[];
        if (!open && decoder.isTrap(now))
          return { why: 'nobody answers for a trap', trace: [...trace, `reader ${who} is in its handler`] };
        // It runs the new instruction, or the site once more.
        go(change(who, { trapped: false }), `reader ${who} is let through`);
        continue;
      }
      for (const fetched of mixesOf(memories.slice(reader.since, moments), decoder)) {
        const what = `reader ${who} fetches ${fetched.map((b) => b.toString(16).padStart(2, '0')).join(' ')}`;
        if (decoder.isTrap(fetched)) {
          if (returned) return { why: 'a trap of a change that is over', trace: [...trace, what] };
          go(change(who, { trapped: true }), what);
        } else if (!isWhole(fetched, bytes)) {
          if (!isWhole(fetched, old)) return { why: 'neither old nor new', trace: [...trace, what] };
          if (returned) return { why: 'old, and the change has returned', trace: [...trace, what] };
        }
      }
      // An interrupt synchronises a CPU at any time.
      if (step?.do === 'sync' && !reader.synced)
        go(change(who, { since: moments - 1, synced: true }), `reader ${who} is synchronised`);
    }
    if (!step) continue;
    if (step.do === 'sync' && state.readers.some((reader) => !reader.synced)) continue;
    const after = state.readers.map((reader) => ({
      ...reader,
      synced: false,
      since: step.do === 'resume' ? moments - 1 : reader.since,
    }));
    go({ step: state.step + 1, readers: after }, `writer: ${step.do}`);
  }
  return undefined;
}

/** Whether the last of two kinds of steps was the first kind. */
function lastOf(steps: readonly Step[], on: Step['do'], off: Step['do']): boolean {
  const last = steps.findLast((step) => step.do === on || step.do === off);
  return last?.do === on;
}

/** x86-64. Whoever fetches an int3 looks at no byte behind it. */
export const x86: Decoder = {
  mixes: true,
  isTrap: ([first]) => first === 0xcc,
  lengthOf: ([first, second, third]) => {
    if (first === 0xcc || first === 0xc3) return 1;
    if (first === 0xeb || (first === 0x66 && second === 0x90)) return 2;
    if (first === 0x0f && ((second as number) & 0xf0) === 0x80) return 6;
    const overrides = [0x2e, 0x3e, 0x64, 0x65, 0xf0];
    if (overrides.includes(first as number) && second !== 0x2e && third !== 0x2e) return 1;
    return 5;
  },
  mayBecome: () => true,
};

const wordOf = (bytes: readonly number[]): number =>
  ((bytes[0] as number) |
    ((bytes[1] as number) << 8) |
    ((bytes[2] as number) << 16) |
    ((bytes[3] as number) << 24)) >>>
  0;

function wordsThatMayBecome(isListed: (word: number) => boolean, isTrap: (word: number) => boolean): Decoder {
  return {
    mixes: false,
    isTrap: (bytes) => isTrap(wordOf(bytes)),
    lengthOf: () => 4,
    mayBecome: (old, bytes) => isListed(wordOf(old)) && isListed(wordOf(bytes)),
  };
}

/** AArch64: B, BL, NOP, BRK of the list in DDI 0487 B2.2.5 (which has HVC, ISB, SMC and SVC as well). */
export const aarch64: Decoder = wordsThatMayBecome(
  (word) => [5, 37].includes(word >>> 26) || word === 0xd503201f || (word & 0xffe0001f) >>> 0 === 0xd4200000,
  (word) => (word & 0xffe0001f) >>> 0 === 0xd4200000,
);

/** A32: B, BL, NOP, BKPT of the list in DDI 0406 A3.5.4. BLX is not on it, and mov r0, r0 is no NOP. */
export const a32: Decoder = wordsThatMayBecome(
  (word) =>
    (word >>> 28 !== 15 && ((word >>> 25) & 7) === 5) ||
    word === 0xe320f000 ||
    (word & 0xfff000f0) >>> 0 === 0xe1200070,
  (word) => (word & 0xfff000f0) >>> 0 === 0xe1200070,
);

/** T32: nothing of 4 bytes, but for one half of a BL or BLX at a time, which no site asks for. */
export const t32: Decoder = wordsThatMayBecome(
  () => false,
  () => false,
);
