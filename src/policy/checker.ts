// The reference checker of a policy: whether a write to the text of a kernel is one that its own patching makes. It keeps
// what the text must hold, as the writes so far have made it, so that a write is judged by what stands there.
import { readS32 } from '../arch/x86-64/length.ts';
import { largestOf, sameBytes } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import { type Matching, matches } from './match.ts';
import type { Policy, PolicyForm, PolicyKind } from './policy.ts';
import { Shadow } from './shadow.ts';

/** Why a write is refused. */
export type Refusal =
  /** No place of the policy is there, or none of so many bytes. */
  | 'place'
  /** What stood there is not what the writes so far have made. */
  | 'before'
  /** Nothing that may stand there. */
  | 'bytes'
  /** Right at another time: the kernel has started, or a later step was at these bytes already. */
  | 'time'
  /** Text that is in use is written by a breakpoint first, then what is behind it, then the first byte. */
  | 'order';

/** What a write is that may be made. */
export interface Allowed {
  readonly allowed: true;
  readonly kind: PolicyKind | 'kprobe';
  readonly step: WriteStep;
}

/** Why a write may not be made, and in words. */
export interface Refused {
  readonly allowed: false;
  readonly why: Refusal;
  readonly message: string;
}

/** What the checker says of a write. */
export type Verdict = Allowed | Refused;

/** `whole`: all bytes at once. The others are the steps of a change while the text is in use. */
export type WriteStep = 'whole' | 'breakpoint' | 'behind' | 'first';

/** How the kernel runs that is watched. */
export interface CheckerOptions {
  /** What is linked at A runs at A + slide; 0 unless given. */
  readonly slide?: number | undefined;
  /**
   * What a variable of the kernel holds now, as a hypervisor reads it; `address` is where it runs. Without it, the first
   * place of a variable may hold anything, and the others must hold the same.
   */
  readonly readVariable?:
    | ((name: string, address: number | undefined, size: number) => Uint8Array | undefined)
    | undefined;
  /**
   * What memory of the kernel holds, as a hypervisor reads it through the kernel's page tables. It is asked for what a
   * variable that the compiler left out must lead to. Without it, such a pointer may lead to any memory of the kernel's.
   */
  readonly readMemory?: ((address: number, size: number) => Uint8Array | undefined) | undefined;
  /**
   * Whether code begins at an address of the running kernel outside of its image: a function of a module, a program of BPF, a
   * trampoline, a page of thunks. Without it, a branch may lead anywhere outside, where the policy has a set that is `outside`.
   */
  readonly isCode?: ((address: number) => boolean) | undefined;
}

const int3 = 0xcc;
const jump = 0xe9;
const jumpSize = 5;

/** What may change while the text is in use. */
const stepped: ReadonlySet<PolicyKind> = new Set(['static-branch', 'static-call', 'trampoline', 'ftrace']);

/** A place that is being changed by steps. */
interface Change {
  /** What stood there. */
  readonly old: Uint8Array;
  /** The bytes behind the first were written. */
  isBehind: boolean;
}

/** A place at which a probe is announced, by what the code there is. */
interface ProbePlace {
  readonly code: Uint8Array;
  now: Uint8Array;
}

/** Judges the writes to the text of a kernel, from its first instruction on. */
export class WriteChecker {
  readonly policy: Policy;
  private readonly slide: number;
  private readonly shadow: Shadow;
  private readonly matching: Matching;
  private readonly rank: ReadonlyMap<PolicyKind, number>;
  private hasStarted = false;
  /** By address, as linked. */
  private readonly changes = new Map<number, Change>();
  private readonly probes = new Map<number, ProbePlace>();
  /** How often places were written at start-up that are written so many times. */
  private readonly done = new Map<number, number>();

  constructor(policy: Policy, { slide = 0, readVariable, readMemory, isCode }: CheckerOptions = {}) {
    this.policy = policy;
    this.slide = slide;
    this.shadow = new Shadow(policy, slide);
    this.rank = new Map(policy.order.map((kind, i) => [kind, i + 1]));
    const values = new Map<number, Uint8Array>();
    this.matching = {
      policy,
      slide,
      isCode,
      memory: readMemory,
      value: (variable) => {
        const known = values.get(variable);
        if (known) return known;
        const { name, address, size } = policy.variables[variable] as Policy['variables'][number];
        return readVariable?.(name, address === undefined ? undefined : address + slide, size);
      },
      learn: (variable, value) => values.set(variable, Uint8Array.from(value)),
    };
  }

  /** From here on only what may be written at any time is allowed: the kernel gives its init text back. */
  endStartUp(): void {
    this.hasStarted = true;
  }

  /**
   * Allows a probe at an address of the running kernel, where `code` stands (5 bytes, or the first alone where the kernel
   * makes no jump of it). A probe at the start of a traced function writes what tracing writes.
   */
  allowProbe(address: number, code: Uint8Array): void {
    if (!this.placesAt(address - this.slide).next().done) return;
    this.probes.set(address - this.slide, {
      code: Uint8Array.from(code.subarray(0, jumpSize)),
      now: Uint8Array.from(code.subarray(0, jumpSize)),
    });
  }

  /** Allows it no longer. What stands there stays what it is. */
  forbidProbe(address: number): void {
    this.probes.delete(address - this.slide);
  }

  /**
   * Judges a write at an address of the running kernel, and takes it over if it is allowed. A write is what one call of the
   * kernel's functions for it writes, not one store of its instructions.
   */
  checkWrite(address: number, before: Uint8Array, after: Uint8Array): Verdict {
    return this.judge(address, before, after, true);
  }

  /** Judges a write without taking it over. */
  wouldAllow(address: number, before: Uint8Array, after: Uint8Array): Verdict {
    return this.judge(address, before, after, false);
  }

  private judge(runs: number, before: Uint8Array, after: Uint8Array, takes: boolean): Verdict {
    const address = runs - this.slide;
    const length = after.length;
    if (length === 0 || before.length !== length)
      return refused('place', 'the bytes before and after a write must be as many, and some');
    const probe = this.judgeProbe(address, before, after, takes);
    if (probe) return probe;
    const held = this.shadow.at(address, length);
    if (!held) return refused('place', 'the policy has no place there');
    if (!sameBytes(held, before))
      return refused('before', 'something else stood there than the writes so far have made');
    const at = [...this.placesAt(address)];
    const wholes = at.filter((place) => this.formAt(place).length === length);
    let refusal = refused('place', 'no place of so many bytes is there');
    for (const place of wholes) {
      const verdict = this.judgeWhole(place, address, held, after, takes);
      if (verdict.allowed) return verdict;
      refusal = verdict;
    }
    const step = this.judgeStep(address, after, at, takes);
    return step && (step.allowed || refusal.why === 'place') ? step : refusal;
  }

  private *placesAt(address: number): Generator<number> {
    const { addresses } = this.policy;
    for (let i = countUpTo(addresses, address - 0.5); i < addresses.length && addresses[i] === address; i++)
      yield i;
  }

  private formAt(place: number): PolicyForm {
    const { forms, formOf } = this.policy;
    return forms[formOf[place] as number] as PolicyForm;
  }

  /** All bytes of a place at once: at start-up, when nothing else runs; one byte at any time. */
  private judgeWhole(
    place: number,
    address: number,
    held: Uint8Array,
    after: Uint8Array,
    takes: boolean,
  ): Verdict {
    const { kind, when, times, states, length } = this.formAt(place);
    if (this.changes.has(address)) return refused('order', 'the place is being changed by steps');
    // The code that counts calls is written where nothing was, in front of what is in use.
    const isUnused = kind === 'call-thunk' && when === 'always';
    if (this.hasStarted && (when !== 'always' || (length > 1 && !isUnused)))
      return when === 'always'
        ? refused('order', 'text that is in use is changed by steps')
        : refused('time', 'this is done at start-up alone');
    if (isUnused && !held.every((byte) => byte === 0x90) && !sameBytes(held, after))
      return refused('order', 'something stands there already');
    const rank = this.rank.get(kind) ?? 0;
    if (rank > 0 && rank < this.shadow.rankAt(address, length))
      return refused('time', 'a later step of start-up has been there');
    const done = this.done.get(place) ?? 0;
    if (times > 0 && done >= times) return refused('time', 'this has been done there');
    const learn = takes;
    if (!states.some((state) => matches(this.matching, state, address, after, held, learn)))
      return refused('bytes', `this is nothing that may stand at a place of ${kind}`);
    if (takes) {
      this.shadow.write(address, after, rank);
      if (times > 0) this.done.set(place, done + 1);
    }
    return { allowed: true, kind, step: 'whole' };
  }

  /** Whether a place may be changed by steps now: init text until it is given back. */
  private hasSteps({ kind, when, length }: PolicyForm): boolean {
    return stepped.has(kind) && length > 1 && (when === 'always' || !this.hasStarted);
  }

  /** A step of a change while the text is in use (text_poke_bp_batch). */
  private judgeStep(
    address: number,
    after: Uint8Array,
    at: readonly number[],
    takes: boolean,
  ): Verdict | undefined {
    const live = at.filter((place) => this.hasSteps(this.formAt(place)));
    const change = this.changes.get(address);
    if (after.length === 1 && live.length > 0) {
      const [first] = live as [number];
      const { kind } = this.formAt(first);
      if (!change) {
        if (after[0] !== int3) return refused('order', 'a change begins with a breakpoint');
        const length = largestOf(live.map((place) => this.formAt(place).length));
        const old = this.shadow.at(address, length);
        if (!old) return undefined;
        if (takes) {
          this.changes.set(address, { old: old.slice(), isBehind: false });
          this.shadow.write(address, after, 0);
        }
        return { allowed: true, kind, step: 'breakpoint' };
      }
      for (const place of live) {
        const { length, states, kind: of } = this.formAt(place);
        const now = this.shadow.at(address, length)?.slice();
        if (!now) continue;
        now[0] = after[0] as number;
        const isOld = sameBytes(now, change.old.subarray(0, length));
        if (!isOld && !states.some((state) => matches(this.matching, state, address, now, change.old, false)))
          continue;
        if (takes) {
          this.changes.delete(address);
          this.shadow.write(address, after, 0);
        }
        return { allowed: true, kind: of, step: 'first' };
      }
      return refused('bytes', 'with this first byte, nothing stands there that may');
    }
    return this.judgeBehind(address, after, takes);
  }

  /** The bytes behind a breakpoint. */
  private judgeBehind(address: number, after: Uint8Array, takes: boolean): Verdict | undefined {
    const begin = address - 1;
    let verdict: Verdict | undefined;
    for (const place of this.placesAt(begin)) {
      const form = this.formAt(place);
      const { kind, length, states } = form;
      if (!this.hasSteps(form) || length !== after.length + 1) continue;
      const change = this.changes.get(begin);
      if (!change) {
        verdict = refused('order', 'a change begins with a breakpoint in front');
        continue;
      }
      if (change.isBehind) {
        verdict = refused('order', 'this has been written already');
        continue;
      }
      const candidate = new Uint8Array(length);
      candidate.set(after, 1);
      const fits = states.some((state) => {
        candidate[0] = state.bytes[0] as number;
        return matches(this.matching, state, begin, candidate, change.old, false);
      });
      const isOld = sameBytes(after, change.old.subarray(1, length));
      if (!fits && !isOld) {
        verdict = refused(
          'bytes',
          `this is nothing that may stand behind the first byte of a place of ${kind}`,
        );
        continue;
      }
      if (takes) {
        change.isBehind = true;
        this.shadow.write(address, after, 0);
      }
      return { allowed: true, kind, step: 'behind' };
    }
    return verdict;
  }

  /** A probe that was announced: a breakpoint, which may become a jump to code that the kernel makes, and back. */
  private judgeProbe(
    address: number,
    before: Uint8Array,
    after: Uint8Array,
    takes: boolean,
  ): Verdict | undefined {
    const isHere = this.probes.has(address);
    const place = isHere ? address : address - 1;
    const probe = this.probes.get(place);
    if (!probe) return undefined;
    const { now } = probe;
    const from = address - place;
    const rest = now.subarray(from, from + after.length);
    if (rest.length !== after.length || (isHere ? after.length !== 1 : after.length !== jumpSize - 1))
      return undefined;
    if (!sameBytes(rest, before))
      return refused('before', 'something else stood there than the writes so far have made');
    const made = now.slice();
    made.set(after, from);
    const isCode = sameBytes(made, probe.code);
    const tail = made.subarray(1);
    const leads = jumpSize === made.length && this.leadsOutside(place, readS32(made, 1));
    // A jump is taken back before another one is made.
    const isJumping = !sameBytes(now.subarray(1), probe.code.subarray(1));
    const isSound = isHere
      ? after[0] === int3 || (now[0] === int3 && (isCode || (after[0] === jump && isJumping && leads)))
      : now[0] === int3 && (sameBytes(tail, probe.code.subarray(1)) || (leads && !isJumping));
    if (!isSound) return refused('bytes', 'this is nothing that a probe writes');
    if (takes) probe.now = made;
    return {
      allowed: true,
      kind: 'kprobe',
      step: isHere ? (after[0] === int3 ? 'breakpoint' : 'first') : 'behind',
    };
  }

  private leadsOutside(place: number, distance: number): boolean {
    const [start, end] = this.policy.image;
    const to = place + jumpSize + distance;
    return to < start || to >= end;
  }
}

function refused(why: Refusal, message: string): Refused {
  return { allowed: false, why, message };
}
