// Says which changed writes are right all the same, by what the sources of Linux say of each table. It knows nothing of
// src/policy: tables are read here, and each rule names the function of the kernel that writes such bytes.

import type { Image } from '../../../src/image/image.ts';
import { kernelVersion } from '../../../src/image/kernel.ts';
import { bytesOf, callSize, isNops, k8Atomic, StoredFunctions, target } from './judge-operations.ts';
import type { RecordedKernel } from './writes.ts';
import type { Moment, ReadWrite } from './writes-check.ts';

/** Why a write is right that the recorded kernel did not make. */
export type Reason =
  | 'changes nothing'
  | 'begins a change'
  | 'lock'
  | 'branch'
  | 'static call'
  | 'tracing'
  | 'return'
  | 'alternative'
  | 'operation'
  | 'probe';

type BytesAt = (address: number, length: number) => Uint8Array | undefined;
type IsState = (hex: string) => boolean;

/** arch/x86/kernel/static_call.c: xor5rax of kernels from 5.18 and up to there, retinsn, warninsn, unlockinsn. */
const returnsZero = ['2e2e2e31c0', '66664831c0'];
const plainReturn = 'c3cccccccc';
const warns = '67480fb93a';
const unlocks = '3e3ec60700';
/** arch/x86/kernel/cpu/bugs.c and callthunks.c: what x86_return_thunk is set to; retpoline.S defines them. */
const returnThunks = [
  ...['__x86_return_thunk', 'zen_untrain_ret', 'retbleed_return_thunk', 'srso_return_thunk'],
  ...['srso_alias_return_thunk', 'its_return_thunk', 'call_depth_return_thunk', '__x86_return_skl'],
];
/** Bytes of what callthunks.c writes in front of a function (skl_call_thunk_template). */
const countingBytes = 9;

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export class Judge {
  private readonly image: Image;
  private readonly version: number;
  /** What may stand at each place that changes while the kernel runs, and how many bytes it has. */
  private readonly live = new Map<
    number,
    { readonly length: number; readonly reason: Reason; is: IsState }
  >();
  private readonly locks = new Set<number>();
  private readonly returns = new Set<number>();
  /** Replacements by place, as hexadecimal digits. */
  private readonly alternatives = new Map<number, string[]>();
  /** Calls of operations, each with the pointer that it goes through. */
  private readonly operations = new Map<number, number>();
  private readonly stored: StoredFunctions;
  private readonly functions = new Set<number>();
  private readonly start: number;
  private readonly kept: number;
  private readonly end: number;
  private readonly probes: ReadonlySet<number>;

  constructor(image: Image, kernel: RecordedKernel, probes: readonly number[]) {
    this.probes = new Set(probes);
    this.image = image;
    const [major, minor] = kernelVersion(image) ?? [0, 0];
    this.version = 1000 * major + minor;
    this.start = Number(BigInt.asIntN(64, kernel.start));
    this.end = this.start + kernel.all;
    this.kept = kernel.kept;
    const { table } = image.symbols;
    for (let i = 1; table && i < table.count; i++) this.functions.add(table.value[i] as number);
    this.readKeyed();
    this.readTraced();
    for (const { view, at } of this.rows('__return_sites', '__return_sites_end', 4))
      this.returns.add(relative(view, at));
    for (const { view, at } of this.rows('__smp_locks', '__smp_locks_end', 4))
      this.locks.add(relative(view, at));
    this.readAlternatives();
    this.stored = new StoredFunctions(image, this.version);
    this.readOperations();
  }

  /** The reason for which a write is right now, be it at start-up or behind it; undefined: it is wrong. */
  reasonOf(
    { address, before, after }: ReadWrite,
    bytesAt: BytesAt,
    { hasStarted, isAnnounced }: Moment,
  ): Reason | undefined {
    const hex = hexOf(after);
    if (hex === hexOf(before)) return 'changes nothing';
    // free_initmem has given the other texts back.
    if (hasStarted && address - this.start >= this.kept) return undefined;
    const place = this.live.get(address);
    // text_poke_bp_batch, at any time.
    if (place && hex === 'cc') return 'begins a change';
    // alternatives_smp_lock, alternatives_smp_unlock.
    if (this.locks.has(address) && (hex === 'f0' || hex === '3e')) return 'lock';
    // A probe may be set wherever one was asked for.
    if (hex === 'cc' && isAnnounced(address)) return 'probe';
    // arch_disarm_kprobe.
    const isOwn = after.length === 1 && after[0] === this.byte(address);
    if (isOwn && isAnnounced(address) && before[0] === 0xcc) return 'probe';
    const step = this.stepOf(address, after, bytesAt);
    // text_poke_early and apply_alternatives.
    if (step || hasStarted) return step;
    if (place?.length === after.length && place.is(hex)) return place.reason;
    if (this.returns.has(address) && this.isReturn(address, hex)) return 'return';
    const slot = this.operations.get(address);
    if (slot !== undefined && this.stored.isOperation(slot, address, hex, '_paravirt_nop'))
      return 'operation';
    const of = this.alternatives.get(address);
    return of && this.isAlternative(address, of, hex) ? 'alternative' : undefined;
  }

  /** The second and the third write of a change, behind a breakpoint. */
  private stepOf(address: number, after: Uint8Array, bytesAt: BytesAt): Reason | undefined {
    const hex = hexOf(after);
    const isBroken = (at: number) => bytesAt(at, 1)?.[0] === 0xcc;
    const behind = isBroken(address - 1) ? this.live.get(address - 1) : undefined;
    if (behind?.length === after.length + 1)
      for (let first = 0; first < 0x100; first++)
        if (behind.is(first.toString(16).padStart(2, '0') + hex)) return behind.reason;
    const place = this.live.get(address);
    if (place && after.length === 1 && isBroken(address)) {
      const rest = bytesAt(address + 1, place.length - 1);
      if (rest && place.is(hex + hexOf(rest))) return place.reason;
    }
    // setup_detour_execution: a probe becomes a jump to a slot, which is outside of the image.
    const jumps = after.length === callSize - 1 && this.probes.has(address - 1) && isBroken(address - 1);
    return jumps && this.isOutside(target(address - 1, Buffer.concat([Buffer.of(0xe9), after])))
      ? 'probe'
      : undefined;
  }

  /** arch_static_branch and static_call: struct jump_entry, struct static_call_site. */
  private readKeyed(): void {
    const { image } = this;
    for (const { view, at } of this.rows('__start___jump_table', '__stop___jump_table', 16)) {
      const site = relative(view, at);
      const to = relative(view, at, 4);
      // __jump_label_patch: what stands there says how long it is.
      const isShort = [0xeb, 0x66].includes(this.byte(site)) && hexOf(image.read(site, 5)) !== k8Atomic;
      const states = isShort
        ? ['6690', `eb${(to - site - 2 + 256).toString(16).padStart(3, '0').slice(-2)}`]
        : [...this.nopsOfFive(), branchHex(0xe9, site, to)];
      this.live.set(site, { length: isShort ? 2 : 5, reason: 'branch', is: (hex) => states.includes(hex) });
    }
    for (const { view, at } of this.rows('__start_static_call_sites', '__stop_static_call_sites', 8)) {
      const site = relative(view, at);
      const key = (relative(view, at, 4) & ~3) | 0;
      const isTail = (view.getInt32(4, true) & 1) !== 0;
      this.addCall(site, isTail, this.nameAt(key).replace(/^__SCK__/, ''));
    }
    const { table } = image.symbols;
    for (let i = 1; table && i < table.count; i++)
      if (table.name(i).startsWith('__SCT__'))
        this.addCall(table.value[i] as number, true, table.name(i).slice(7));
  }

  /** __static_call_transform. */
  private addCall(site: number, isTail: boolean, key: string): void {
    const isConditional = this.byte(site) === 0x0f && (this.byte(site + 1) & 0xf0) === 0x80;
    const is: IsState = (hex) => {
      if (isConditional)
        return hex.startsWith(hexOf(this.image.read(site, 2))) && this.isFunction(target(site, bytesOf(hex)));
      if (isTail) return (hex.startsWith('e9') && this.leads(site, hex)) || this.isReturn(site, hex);
      if (this.nopsOfFive().includes(hex)) return true;
      const zero = returnsZero[this.version < 5018 ? 1 : 0];
      if (hex === zero || (this.version < 5018 && hex === returnsZero[0])) return true;
      if (key === 'WARN_trap' && hex === warns) return true;
      if (key === 'queued_spin_unlock' && hex === unlocks) return true;
      return hex.startsWith('e8') && this.leads(site, hex);
    };
    this.live.set(site, { length: isConditional ? 6 : callSize, reason: 'static call', is });
  }

  /** ftrace_make_nop, ftrace_make_call, ftrace_update_ftrace_func, ftrace_enable_ftrace_graph_caller. */
  private readTraced(): void {
    const callers = ['ftrace_caller', 'ftrace_regs_caller'].flatMap((name) => this.places(name));
    const traced =
      (site: number): IsState =>
      (hex) => {
        if (this.nopsOfFive().includes(hex)) return true;
        const to = target(site, bytesOf(hex));
        // Dispatchers of BPF are jumped to up to 6.2, and all trampolines of BPF may be from 6.19 on.
        if (hex.startsWith('e9')) return (this.version < 6003 || this.version >= 6019) && this.isOutside(to);
        return hex.startsWith('e8') && (callers.includes(to) || this.isOutside(to));
      };
    for (const { view } of this.rows('__start_mcount_loc', '__stop_mcount_loc', 8)) {
      const site = Number(view.getBigInt64(0, true));
      this.live.set(site, { length: callSize, reason: 'tracing', is: traced(site) });
    }
    for (const site of ['ftrace_call', 'ftrace_regs_call'].flatMap((name) => this.places(name)))
      this.live.set(site, {
        ...{ length: callSize, reason: 'tracing' },
        is: (hex) => hex.startsWith('e8') && this.leads(site, hex),
      });
    const ends = ['ftrace_graph_caller', 'ftrace_stub'].flatMap((name) => this.places(name));
    for (const site of this.places('ftrace_graph_call'))
      this.live.set(site, {
        ...{ length: callSize, reason: 'tracing' },
        is: (hex) => hex.startsWith('e9') && ends.includes(target(site, bytesOf(hex))),
      });
  }

  /** struct alt_instr: 13 bytes with padlen at first, then 12, then 14 with flags; stable kernels took these over. */
  private readAlternatives(): void {
    const entries = (width: number) => [...this.rows('__alt_instructions', '__alt_instructions_end', width)];
    // kexec has code among its data, so a place need not lie in a text.
    const isSound = (width: number) =>
      entries(width).every(({ view, at }) => this.image.contains(relative(view, at)));
    const width = [13, 12, 14].find(isSound);
    if (width === undefined) throw new Error('the entries of __alt_instructions have no known size');
    for (const { view, at } of entries(width)) {
      const [site, by] = [relative(view, at), relative(view, at, 4)];
      const size = view.getUint8(width === 14 ? 13 : 11);
      const codes = this.alternatives.get(site) ?? [];
      if (size === 0) codes.push('');
      else if (this.image.contains(by, size)) codes.push(hexOf(this.image.read(by, size)));
      this.alternatives.set(site, codes);
    }
  }

  /** apply_alternatives: a replacement and NOPs behind it; add_nops and optimize_nops. */
  private isAlternative(address: number, codes: readonly string[], hex: string): boolean {
    if (codes.some((code) => hex.startsWith(code) && isNops(this.version, hex.slice(code.length))))
      return true;
    const was = hexOf(this.image.read(address, hex.length / 2));
    if (/^(90)+$/.test(was) && isNops(this.version, hex)) return true;
    // alt_replace_call: a call of an operation that does nothing is a NOP of its length.
    if (!was.startsWith('ff15') || hex.length !== 12) return false;
    return this.stored.isOperation(target(address, bytesOf(was)), address, hex, 'nop_func');
  }

  /** struct paravirt_patch_site, of 16 bytes: the place, the number of the operation, the length. */
  private readOperations(): void {
    const [operations] = this.places('pv_ops');
    for (const { view } of this.rows('__parainstructions', '__parainstructions_end', 16))
      if (operations !== undefined)
        this.operations.set(Number(view.getBigInt64(0, true)), operations + 8 * view.getUint8(8));
  }

  /** patch_return: a plain return, or a jump to the thunk of a mitigation. */
  private isReturn(site: number, hex: string): boolean {
    if (hex === plainReturn) return true;
    return (
      hex.startsWith('e9') &&
      returnThunks.some((name) => this.places(name).includes(target(site, bytesOf(hex))))
    );
  }

  /** One instruction each, as they are written while others may run them. */
  private nopsOfFive(): string[] {
    return this.version < 5013 ? ['0f1f440000', k8Atomic] : ['0f1f440000'];
  }

  /** A function of the image, the code that counts its calls, or what is no part of the image. */
  private leads(site: number, hex: string): boolean {
    const to = target(site, bytesOf(hex));
    return this.isOutside(to) || this.isFunction(to) || this.isFunction(to + countingBytes);
  }

  private isFunction(address: number): boolean {
    return this.functions.has(address);
  }

  private isOutside(address: number): boolean {
    return address < this.start || address >= this.end;
  }

  private byte(address: number): number {
    return this.image.read(address, 1)[0] as number;
  }

  private places(name: string): readonly number[] {
    return this.image.symbols.addressesOf(name);
  }

  private nameAt(address: number): string {
    return this.image.symbolAt(address)?.name ?? '';
  }

  private *rows(from: string, to: string, width: number) {
    const [first, last] = [this.places(from)[0], this.places(to)[0]];
    if (first === undefined || last === undefined || last <= first) return;
    const bytes = this.image.read(first, last - first).slice();
    for (let i = 0; i + width <= bytes.length; i += width)
      yield { view: new DataView(bytes.buffer, i, width), at: first + i };
  }
}

/** What a field of four bytes counts from itself. */
function relative(view: DataView, at: number, field = 0): number {
  return at + field + view.getInt32(field, true);
}

function branchHex(opcode: number, from: number, to: number): string {
  const bytes = Buffer.alloc(callSize);
  bytes[0] = opcode;
  bytes.writeInt32LE((to - from - callSize) | 0, 1);
  return bytes.toString('hex');
}
