// Writes that no kernel makes, made of those that one made: at another place, with another byte, a breakpoint somewhere, at
// another time. Which of them would be right all the same says judge.ts.
import { readFileSync } from 'node:fs';
import type { Image } from '../../../src/image/image.ts';
import type { Policy } from '../../../src/policy/policy.ts';
import { Random } from '../../seeded.ts';
import { Judge, type Reason } from './judge.ts';
import { type RecordedKernel, type Recording, recordedLines } from './writes.ts';
import { type ReadWrite, readWrite, replayWrites } from './writes-check.ts';

/** `late`: what was written at another time is written behind start-up, or taken back. */
const early = ['place', 'byte', 'breakpoint'] as const;
const late = ['place', 'byte', 'breakpoint', 'late'] as const;
export type Mutation = (typeof late)[number];

export interface Mutated {
  readonly made: ReadonlyMap<Mutation, number>;
  /** How many were left out, because they are right, and why. `recorded`: the kernel writes this there, at another time. */
  readonly right: ReadonlyMap<Reason | 'recorded', number>;
  /** Wrong ones that the policy allowed. */
  readonly allowed: readonly (ReadWrite & { readonly mutation: Mutation })[];
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Makes about `count` of them from a recording, each at the moment of the write that it is made of. */
export function mutateWrites(
  policy: Policy,
  image: Image,
  kernel: RecordedKernel,
  recording: Recording,
  count: number,
  seed = 1,
): Mutated {
  const random = new Random(seed);
  const lines = [...recordedLines(recording.file)];
  const writes = lines.flatMap((line) => ('address' in line ? [readWrite(line)] : []));
  const known = new Set(writes.map(({ address, after }) => `${address} ${hexOf(after)}`));
  const judge = new Judge(image, kernel, recording.probes);
  const text = readFileSync(recording.first);
  const start = Number(BigInt.asIntN(64, kernel.start));
  const bytesAt = (address: number, length: number) => {
    const from = address - start;
    return from >= 0 && from + length <= text.length
      ? Uint8Array.from(text.subarray(from, from + length))
      : undefined;
  };
  const made = new Map<Mutation, number>();
  const right = new Map<Reason | 'recorded', number>();
  const allowed: (ReadWrite & { mutation: Mutation })[] = [];
  const count1 = <T>(counts: Map<T, number>, what: T) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const each = Math.ceil(count / writes.length);
  replayWrites(policy, kernel, recording, lines, (checker, write, moment) => {
    const mutations = moment.hasStarted ? late : early;
    for (let i = 0; i < each; i++) {
      const mutation = mutations[i % mutations.length] as Mutation;
      const wrong = mutate(mutation, write, writes, random, bytesAt);
      if (!wrong) continue;
      const isRecorded = mutation !== 'late' && known.has(`${wrong.address} ${hexOf(wrong.after)}`);
      const reason = isRecorded ? 'recorded' : judge.reasonOf(wrong, bytesAt, moment);
      if (reason !== undefined) {
        count1(right, reason);
        continue;
      }
      count1(made, mutation);
      if (checker.wouldAllow(wrong.address + recording.slide, wrong.before, wrong.after).allowed)
        allowed.push({ ...wrong, mutation });
    }
    Buffer.from(write.after).copy(text, write.address - start);
  });
  return { made, right, allowed };
}

function mutate(
  mutation: Mutation,
  { address, before, after }: ReadWrite,
  writes: readonly ReadWrite[],
  random: Random,
  bytesAt: (address: number, length: number) => Uint8Array | undefined,
): ReadWrite | undefined {
  if (mutation === 'byte') {
    const changed = after.slice();
    const at = random.below(changed.length);
    changed[at] = (changed[at] as number) ^ (1 + random.below(255));
    return { address, before, after: changed };
  }
  if (mutation === 'late') {
    const other = random.pick(writes);
    const found = bytesAt(other.address, other.after.length);
    // What start-up wrote stands there mostly: then it is taken back.
    const after = random.chance(0.5) ? other.after : other.before;
    return found && { address: other.address, before: found, after };
  }
  // Near by, or where another write is made.
  const near = address + (random.chance(0.5) ? 1 : -1) * (1 + random.below(64));
  const to = random.chance(0.5) ? near : random.pick(writes).address + random.below(2);
  const bytes = mutation === 'place' ? after : Uint8Array.of(0xcc);
  const found = bytesAt(to, bytes.length);
  return found && { address: to, before: found, after: bytes };
}
