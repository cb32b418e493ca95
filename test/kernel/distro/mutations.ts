// Writes that no kernel makes, made of those that one made: at another place, with another byte, a breakpoint somewhere. Which
// of them would be right all the same is judged by the tables of the file, which are read here anew and not by the policy.
import { readFileSync } from 'node:fs';
import type { Image } from '../../../src/image/image.ts';
import type { Policy } from '../../../src/policy/policy.ts';
import { Random } from '../../seeded.ts';
import { type RecordedKernel, type Recording, recordedLines } from './writes.ts';
import { type ReadWrite, readWrite, replayWrites } from './writes-check.ts';

const mutations = ['place', 'byte', 'breakpoint'] as const;
export type Mutation = (typeof mutations)[number];

export interface Mutated {
  readonly made: ReadonlyMap<Mutation, number>;
  /** How many were left out, because they are right by the tables or were written at another time. */
  readonly right: number;
  /** Wrong ones that the policy allowed. */
  readonly allowed: readonly (ReadWrite & { readonly mutation: Mutation })[];
}

const nop5 = '0f1f440000';
/** xor %eax, %eax with three prefixes: a call of RET0. */
const returnsZero = '2e2e2e31c0';
/** What a call of __WARN_trap is. */
const warns = '67480fb93a';
const plainReturn = 'c3cccccccc';
/** Those of the kernel. */
const nops = [
  '90',
  '6690',
  '0f1f00',
  '0f1f4000',
  nop5,
  '660f1f440000',
  '0f1f8000000000',
  '0f1f840000000000',
  '2e0f1f840000000000',
];
const isNops = (hex: string): boolean => hex === '' || nops.includes(hex);
const size = (bytes: Uint8Array) => bytes.length;
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
  const allowed: (ReadWrite & { mutation: Mutation })[] = [];
  let right = 0;
  const each = Math.ceil(count / writes.length);
  replayWrites(policy, kernel, recording, lines, (checker, write) => {
    for (let i = 0; i < each; i++) {
      const mutation = mutations[i % mutations.length] as Mutation;
      const wrong = mutate(mutation, write, writes, random, bytesAt);
      if (!wrong) continue;
      if (known.has(`${wrong.address} ${hexOf(wrong.after)}`) || judge.isRight(wrong, bytesAt)) {
        right++;
        continue;
      }
      made.set(mutation, (made.get(mutation) ?? 0) + 1);
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
  // Near by, or where another write is made.
  const near = address + (random.chance(0.5) ? 1 : -1) * (1 + random.below(64));
  const to = random.chance(0.5) ? near : random.pick(writes).address + random.below(2);
  const bytes = mutation === 'place' ? after : Uint8Array.of(0xcc);
  const found = bytesAt(to, size(bytes));
  return found && { address: to, before: found, after: bytes };
}

/** Says which writes are right by the tables alone: the places of keys and tracing, locks, replacements. */
class Judge {
  private readonly image: Image;
  /** Places that may change while the kernel runs, and the bytes of each. */
  private readonly live = new Map<number, number>();
  private readonly calls = new Set<number>();
  private readonly locks = new Set<number>();
  private readonly returns = new Set<number>();
  private readonly replacements = new Map<number, string[]>();
  private readonly functions = new Set<number>();
  private readonly end: number;
  private readonly probes: ReadonlySet<number>;

  constructor(image: Image, kernel: RecordedKernel, probes: readonly number[]) {
    this.probes = new Set(probes);
    this.image = image;
    this.end = Number(BigInt.asIntN(64, kernel.start)) + kernel.all;
    const at = (name: string) => image.symbols.addressOf(name);
    const table = (from: string, to: string, width: number, each: (view: DataView, at: number) => void) => {
      const [first, last] = [at(from), at(to)];
      if (first === undefined || last === undefined || last <= first) return;
      const bytes = image.read(first, last - first);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let i = 0; i + width <= bytes.length; i += width)
        each(new DataView(view.buffer, view.byteOffset + i, width), first + i);
    };
    const relative = (view: DataView, place: number, field = 0) => place + field + view.getInt32(field, true);
    table('__start___jump_table', '__stop___jump_table', 16, (view, place) => {
      const site = relative(view, place);
      this.live.set(site, image.read(site, 1)[0] === 0xeb || image.read(site, 1)[0] === 0x66 ? 2 : 5);
    });
    table('__start_static_call_sites', '__stop_static_call_sites', 8, (view, place) => {
      const site = relative(view, place);
      this.live.set(site, image.read(site, 1)[0] === 0x0f ? 6 : 5);
      this.calls.add(site);
    });
    table('__start_mcount_loc', '__stop_mcount_loc', 8, (view) =>
      this.live.set(Number(view.getBigInt64(0, true)), 5),
    );
    table('__return_sites', '__return_sites_end', 4, (view, place) =>
      this.returns.add(relative(view, place)),
    );
    table('__smp_locks', '__smp_locks_end', 4, (view, place) => this.locks.add(relative(view, place)));
    const alternatives = at('__alt_instructions_end');
    const width =
      alternatives !== undefined && (alternatives - (at('__alt_instructions') ?? 0)) % 14 === 0 ? 14 : 12;
    table('__alt_instructions', '__alt_instructions_end', width, (view, place) => {
      const [site, by] = [relative(view, place), relative(view, place, 4)];
      const length = view.getUint8(width - 1);
      if (length > 0 && !image.contains(by, length)) return;
      this.replacements.set(site, [
        ...(this.replacements.get(site) ?? []),
        length === 0 ? '' : hexOf(image.read(by, length)),
      ]);
    });
    const { table: symbols } = image.symbols;
    for (let i = 1; symbols && i < symbols.count; i++) {
      const value = symbols.value[i] as number;
      this.functions.add(value);
      if (!symbols.name(i).startsWith('__SCT__')) continue;
      this.live.set(value, 5);
      this.calls.add(value);
    }
    for (const name of ['ftrace_call', 'ftrace_regs_call', 'ftrace_graph_call']) {
      const place = at(name);
      if (place !== undefined) this.live.set(place, 5);
    }
  }

  isRight(
    { address, before, after }: ReadWrite,
    bytesAt: (address: number, length: number) => Uint8Array | undefined,
  ): boolean {
    const length = this.live.get(address);
    // A change of text that is in use may begin at any time.
    if (length !== undefined && after.length === 1 && after[0] === 0xcc) return true;
    if (this.locks.has(address) && after.length === 1 && (after[0] === 0xf0 || after[0] === 0x3e))
      return true;
    const hex = hexOf(after);
    // Another processor needs no thunk.
    if (hex === plainReturn && this.returns.has(address)) return true;
    // Xen's operations do nothing where the kernel's own do something.
    if (this.replacements.has(address) && isNops(hex) && this.mayDoNothing(address)) return true;
    // What changes nothing is no harm.
    if (hex === hexOf(before)) return true;
    // Where no entry of an alternative fits, the NOPs of its place become longer ones.
    const isFill = () => /^(90)+$/.test(hexOf(this.image.read(address, after.length)));
    if (this.replacements.has(address) && isNops(hex) && isFill()) return true;
    // Behind the code of an alternative, NOPs fill its place; one of some bytes is right for any of no code.
    const isReplaced = (code: string) => hex.startsWith(code) && isNops(hex.slice(code.length));
    if (this.replacements.get(address)?.some(isReplaced)) return true;
    if (length === after.length) return this.isState(address, after);
    // A probe may jump to wherever code of no image is.
    if (this.probes.has(address - 1) && after.length === 4)
      return this.isState(address - 1, Uint8Array.of(0xe9, ...after));
    // Behind a breakpoint, or the first byte at the end.
    const behind = this.live.get(address - 1);
    if (behind !== undefined && behind === after.length + 1) {
      const firsts = behind === 5 ? [0xe8, 0xe9, 0x0f] : [0x66, 0xeb];
      return firsts.some((first) => this.isState(address - 1, Uint8Array.of(first, ...after)));
    }
    if (length !== undefined && after.length === 1) {
      const rest = bytesAt(address + 1, length - 1);
      return rest !== undefined && this.isState(address, Uint8Array.of(after[0] as number, ...rest));
    }
    return false;
  }

  /** Whether a call through pv_ops may be one of nop_func, by Xen's copy of the pointers. */
  private mayDoNothing(address: number): boolean {
    const { image } = this;
    const [operations, copy, nothing] = ['pv_ops', 'xen_irq_ops', 'nop_func'].map((name) =>
      image.symbols.addressOf(name),
    );
    const code = Buffer.from(image.read(address, 6));
    if (operations === undefined || copy === undefined || code.readUInt16BE(0) !== 0xff15) return false;
    const slot = copy + (address + 6 + code.readInt32LE(2) - operations);
    return image.contains(slot, 8) && image.readWord(slot) === nothing;
  }

  /** A NOP, or a branch to where a function begins, or to what is no part of the image. */
  private isState(address: number, bytes: Uint8Array): boolean {
    const hex = hexOf(bytes);
    if (hex === nop5 || hex === '6690') return true;
    if ((hex === returnsZero || hex === warns) && this.calls.has(address)) return true;
    // Calls at the end of functions, and trampolines, return where there is nothing to call.
    if (hex === plainReturn && this.calls.has(address) && this.image.read(address, 1)[0] === 0xe9)
      return true;
    if (bytes.length !== 5 || (bytes[0] !== 0xe8 && bytes[0] !== 0xe9)) return false;
    const to = address + 5 + new DataView(bytes.buffer, bytes.byteOffset).getInt32(1, true);
    const start = this.image.symbols.addressOf('_text') ?? 0;
    return to < start || to >= this.end || this.functions.has(to) || this.functions.has(to + 9);
  }
}
