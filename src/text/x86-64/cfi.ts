// .cfi_sites (since 6.2): the hashes in front of functions of a kernel that clang made with kCFI. A kernel that has FineIBT
// mixes them with a seed, and makes the checks those of FineIBT, or leaves kCFI's, or turns them off (__apply_fineibt). The
// callers are the sites of .retpoline_sites: the check stands in front of them.
//
// Order: the first step of alternative_instructions, in front of the retpolines.
import { kernelOf, type TextPass, type TextSubject } from '../pass.ts';
import { branchAt, branchSize, branchTo, callOpcode, csPrefix, isInLowHalf, setS32 } from './branches.ts';
import {
  callerHash,
  callerMove,
  hasExactEndbr,
  jumpOver,
  preambleHash,
  rehash,
  templateOf,
  withHash,
} from './cfi-code.ts';
import { type CfiState, cfiStateOf, isCareful, takesLess } from './cfi-state.ts';
import { endbrSize, isEndbr } from './endbr-code.ts';
import { type ItsUse, itsPagesOf, noteUnknown } from './its.ts';
import { indirectBranch, thunkBranch } from './retpoline-code.ts';
import { Notes, readSites, TextFinder } from './sites.ts';
import type { X86State } from './state.ts';

/** Where kCFI's check has its jump over the trap, and what 7.3 writes there: jne, and a test that has a trap in it. */
const trapAt = 10;
const newTrap = Uint8Array.of(0x75, 0x01, 0xa8, 0xd6);
const oldTrap = Uint8Array.of(0x74, 0x02, 0x0f, 0x0b);
/** How many callers say which of the two a kernel has. */
const mostVotes = 64;
const bhiThunkSize = 32;
/** %r11, through which checked calls go. */
const callRegister = 11;

export const cfi: TextPass<X86State> = {
  kind: 'cfi',
  name: 'kCFI and FineIBT',
  run(subject) {
    const functions = readSites(subject.image, 'cfi');
    if (!functions) return undefined;
    const notes = new Notes();
    // What the kernel has decided is said once, not again for each module.
    const state = cfiStateOf(subject, subject.kernel ? new Notes() : notes);
    const calls = readSites(subject.image, 'retpoline') ?? new Float64Array(0);
    if (state) new CfiPatch(subject, state, notes, functions, calls).run();
    return { sites: functions.length, notes: notes.all };
  },
};

class CfiPatch {
  private readonly subject: TextSubject<X86State>;
  private readonly state: CfiState;
  private readonly notes: Notes;
  private readonly functions: Float64Array;
  /** Places of the checks, each with the branch behind it. */
  private readonly callers: readonly number[];
  private readonly finder: TextFinder;

  constructor(
    subject: TextSubject<X86State>,
    state: CfiState,
    notes: Notes,
    functions: Float64Array,
    calls: Float64Array,
  ) {
    this.subject = subject;
    this.state = state;
    this.notes = notes;
    this.functions = functions;
    this.finder = new TextFinder(subject);
    const size = state.caller.bytes.length;
    this.callers = [...calls].map((site) => site - size).filter((at) => this.hashOfCaller(at) !== undefined);
  }

  run(): void {
    const { mode, caller } = this.state;
    for (const address of this.callers) this.write(address, jumpOver(caller.bytes.length));
    this.mix();
    if (mode === 'kcfi') this.enable();
    if (mode !== 'fineibt') return;
    for (const address of this.functions) this.rewriteFunction(address);
    this.rewriteCallers();
    if (takesLess(kernelOf(this.subject))) return;
    for (const address of this.functions) this.poisonFunction(address);
  }

  private write(address: number, bytes: Uint8Array): void {
    this.finder.holding(address, bytes.length)?.write(address, bytes, 'cfi');
  }

  private hashOfCaller(address: number): number | undefined {
    const size = this.state.caller.bytes.length;
    const text = this.finder.holding(address, size);
    return text && callerHash(text, address, size);
  }

  /** Mixes all hashes with the seed. */
  private mix(): void {
    const { seed, poison } = this.state;
    if (seed === undefined) return;
    const word = new Uint8Array(4);
    for (const address of this.functions) {
      const text = this.finder.site(address, 5, this.notes);
      const found = text && preambleHash(text, address);
      if (text && !found) this.notes.wrong(address, '.cfi_sites names a place without a hash');
      if (!found) continue;
      setS32(word, 0, rehash(found.hash, seed, poison));
      this.write(address + 1, word);
    }
    for (const address of this.callers) {
      setS32(word, 0, -rehash(this.hashOfCaller(address) ?? 0, seed, poison) | 0);
      this.write(address + 2, word);
    }
  }

  /** Turns kCFI's checks on again, since 7.x with another trap. */
  private enable(): void {
    const { reader } = this.subject.state;
    let balance = 0;
    for (const address of this.callers.slice(0, mostVotes)) {
      const found = reader.bytes(address + this.subject.slide + trapAt, newTrap.length);
      if (found?.every((byte, i) => byte === newTrap[i])) balance++;
      if (found?.every((byte, i) => byte === oldTrap[i])) balance--;
    }
    for (const address of this.callers) {
      if (balance > 0) this.write(address + trapAt, newTrap);
      this.write(address, callerMove);
    }
  }

  private rewriteFunction(address: number): void {
    const { state, finder } = this;
    const begin = address + state.offset;
    const text = finder.holding(address, state.offset + endbrSize);
    if (!text || (isCareful(state) && !isEndbr(text.at(begin, endbrSize), state.poison))) return;
    const found = preambleHash(text, address);
    if (!found) return;
    const at = isCareful(state) ? begin - state.prefix : address;
    this.write(at, withHash(state.preamble, found.hash));
    if (state.tellsArity && found.register > 0) this.tellArity(at, begin, found.register);
  }

  /** FineIBT-BHI: code that clobbers as many arguments as the function has where the hash is wrong (cfi_fineibt_bhi_preamble). */
  private tellArity(at: number, begin: number, arity: number): void {
    const kernel = kernelOf(this.subject);
    const [start, middle, thunks] = ['fineibt_preamble_start', 'fineibt_preamble_bhi', '__bhi_args'].map(
      (name) => kernel.symbols.addressOf(name),
    );
    if (start === undefined || middle === undefined || thunks === undefined) return;
    const from = at + (middle - start);
    const one = templateOf(kernel, 'fineibt_bhi1');
    if (one && arity === 1 && !this.state.warns) {
      this.write(from, one.bytes);
      return;
    }
    // A call that ends where the function begins, behind as many prefixes as there is room for.
    const prefixes = begin - branchSize - from;
    const call = branchTo(callOpcode, from + prefixes, thunks + bhiThunkSize * arity);
    if (call && prefixes >= 0 && prefixes < branchSize)
      this.write(from, Uint8Array.of(...Array<number>(prefixes).fill(csPrefix), ...call));
  }

  private rewriteCallers(): void {
    const { state, subject } = this;
    const { isParanoid, paranoid, caller } = state;
    if (!isParanoid || !paranoid) {
      for (const address of this.callers)
        this.write(address, withHash(caller, this.hashOfCaller(address) ?? 0));
      return;
    }
    const { symbols } = kernelOf(subject);
    const [start, inner] = ['fineibt_paranoid_start', 'fineibt_paranoid_ind'].map((name) =>
      symbols.addressOf(name),
    );
    const its = subject.state.feature('INDIRECT_THUNK_ITS');
    const isUnsafe = its !== undefined && subject.state.has(its);
    const size = caller.bytes.length;
    const branchFrom = start === undefined || inner === undefined ? size + 2 : inner - start;
    const pages = itsPagesOf(subject);
    const uses: ItsUse[] = [];
    const through: { address: number; opcode: number; bytes: Uint8Array; length: number }[] = [];
    for (const address of this.callers) {
      const text = this.finder.holding(address + size, 1);
      const branch = text && branchAt(text, address + size);
      if (!branch || branch.isConditional) {
        this.notes.wrong(address + size, 'behind a check stands no call and no jump');
        continue;
      }
      const bytes = withHash(paranoid, this.hashOfCaller(address) ?? 0);
      const { opcode } = branch;
      pages.taken.add(address + size);
      if (isUnsafe && isInLowHalf(address + branchFrom + 2 + subject.slide)) {
        const length = branch.length;
        through.push({ address, opcode, bytes, length });
        uses.push({
          address: address + size,
          length,
          register: callRegister,
          thunk: pages.allocate(callRegister),
        });
        continue;
      }
      const site = {
        opcode,
        isConditional: false,
        length: bytes.length - branchFrom,
        register: callRegister,
      };
      const indirect = indirectBranch(site, false, 'filled', []);
      if (indirect) bytes.set(indirect, branchFrom);
      this.write(address, bytes);
    }
    const unknown: number[] = [];
    for (const [i, target] of pages.targets(subject, uses, 2).entries()) {
      const { address, opcode, bytes, length } = through[i] as (typeof through)[number];
      const site = { opcode, isConditional: false, length, register: callRegister };
      const branch = target === undefined ? undefined : thunkBranch(site, address + size, target);
      if (branch) bytes.set(branch, size);
      else unknown.push(address);
      this.write(address, bytes);
    }
    noteUnknown(subject, unknown, this.notes);
  }

  /** Nobody calls the function itself any more. */
  private poisonFunction(address: number): void {
    const { offset, poison } = this.state;
    const begin = address + offset;
    const text = this.finder.holding(begin, endbrSize);
    if (!text) return;
    const goes = isCareful(this.state)
      ? hasExactEndbr(text, begin)
      : isEndbr(text.at(begin, endbrSize), poison);
    if (goes) this.write(begin, poison);
  }
}

/**
 * What sealing a function does to the hash in front of it (poison_cfi), for the pass over .ibt_endbr_seal; undefined where a
 * kernel has no FineIBT.
 */
export function sealOf(subject: TextSubject<X86State>): ((address: number) => void) | undefined {
  const state = cfiStateOf(subject, new Notes());
  if (!state || state.mode === 'off') return undefined;
  const finder = new TextFinder(subject);
  const zero = new Uint8Array(4);
  const clearsHash = !takesLess(kernelOf(subject));
  const { mode, offset, prefix, poison, preamble } = state;
  return (begin) => {
    const address = mode === 'fineibt' && isCareful(state) ? begin - prefix : begin - offset;
    const text = finder.holding(address, offset);
    if (!text) return;
    if (mode === 'kcfi') {
      const isHash = !isCareful(state) || preambleHash(text, address) !== undefined;
      if (clearsHash && isHash) text.write(address + 1, zero, 'endbr');
      return;
    }
    const isPreamble = isEndbr(text.at(address, endbrSize), poison);
    if (isPreamble) text.write(address, poison, 'endbr');
    if (clearsHash && (isPreamble || !isCareful(state))) text.write(address + preamble.hashAt, zero, 'endbr');
  };
}
