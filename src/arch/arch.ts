// What generic code needs to know of a machine. A new machine is one file that makes an `Arch` and one row in
// `architectures` (registry.ts); nothing else asks which machine it is.
// Addresses here are places or code pointers (code-pointer.ts).
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import type { CodeMap, SymbolRules } from './code-map.ts';
import type { ProvableCode } from './proof.ts';

/** How control reaches a static call's trampoline from a site. */
export type CallKind = 'call' | 'tail' | 'conditional tail';

/** What a branch instruction does. */
export type BranchKind = 'call' | 'jump' | 'conditional jump';

/** An instruction as patching sees it. */
export interface SiteInstruction {
  readonly kind: BranchKind | 'nop' | 'return' | 'clear result' | 'other';
  /** Bytes; 0 when nothing decodable is there. */
  readonly size: number;
  /** For a branch: the code pointer it leads to, minus the place of the instruction. */
  readonly displacement: number;
  /** A branch that cannot hold what patching writes (x86 rel8, AArch64 b.cond, Thumb b.n). */
  readonly short: boolean;
}

/** The branch whose displacement field a relocation fills. */
export interface RelocatedBranch {
  /** Section-relative offset of the instruction. */
  readonly offset: number;
  readonly kind: BranchKind;
  readonly size: number;
  readonly short: boolean;
  /** The branch goes to S + A + bias; A is 0 for REL, whose addend is read from the field and part of this. */
  readonly bias: number;
}

/** What a static call is to do: go to a function, do nothing (NULL), or return 0. */
export type CallTarget =
  | { readonly kind: 'function'; readonly address: CodePointer } // a code pointer
  | { readonly kind: 'null' }
  | { readonly kind: 'return 0'; readonly address: CodePointer };

/** What an image offers for encodings that need code of its own. */
export interface CallSupport {
  /** Address of `__static_call_return`, for a conditional tail call of NULL. */
  readonly returnStub: CodePointer | undefined;
  /** Address of `__x86_return_thunk`, or of what a kernel returns through instead, where the image does so. */
  readonly returnThunk: CodePointer | undefined;
  /** The thunk stands only where bit 5 of an instruction's address is 0 (x86-64: ITS, cpu_wants_rethunk_at). */
  readonly returnsInLowHalf?: boolean | undefined;
  /** Address of `__WARN_trap`, whose calls trap in place (x86-64 from 6.19 on). */
  readonly warnTrap?: CodePointer | undefined;
  /** Address of the function of a spinlock's unlock, whose calls are the store itself (x86-64 from 7.3 on). */
  readonly spinUnlock?: CodePointer | undefined;
  /** The NOP of 5 bytes that a kernel has chosen for its processor (x86-64 before 5.13: ideal_nops). */
  readonly nop5?: Uint8Array | undefined;
  /** Where calls of a function go while their depth is counted (x86-64 from 6.2 on: callthunks_translate_call_dest). */
  readonly countedEntry?: ((to: CodePointer) => CodePointer) | undefined;
}

export interface CallSiteRequest {
  /** Place of the site. */
  readonly address: Address;
  readonly kind: CallKind;
  readonly target: CallTarget;
  /** Code pointer to the call's trampoline. */
  readonly trampoline: CodePointer;
  /** Code pointers to veneers that lead to the trampoline, the nearest first. */
  readonly veneers?: readonly CodePointer[] | undefined;
  /** Bytes at the site now (at least `maxSite` of them, less at the end of the code). */
  readonly current: Uint8Array;
  readonly support: CallSupport;
}

/**
 * Bytes for a site, and whether it has to stay on its trampoline: because the target is out of reach, or (a jump on
 * ARM) stands in the other state.
 */
export interface CallSiteBytes {
  readonly bytes: Uint8Array;
  readonly onTrampoline: boolean;
}

export interface SegmentOverride {
  readonly byte: number;
  readonly name: string;
}

export interface LockPrefix {
  /** The prefix itself. */
  readonly lock: number;
  /** What one CPU needs in its place: a prefix without effect. */
  readonly up: number;
  /** A one-byte NOP, allowed only where the lock is the instruction's first byte. */
  readonly nop: number;
  /** Section-relative offsets of every lock prefix of an instruction that can be locked, ascending. */
  find(code: Uint8Array, map: CodeMap): Uint32Array;
  /**
   * The segment override of the instruction whose lock, or what stands for it, is at byte `offset`: repeated in place of
   * the lock it means nothing new to any reader, as another one might. Undefined for an instruction without one.
   */
  overrideAt(code: Uint8Array, map: CodeMap, offset: number): SegmentOverride | undefined;
  /**
   * True where a byte in front of the lock at `offset` is a segment override, or the end of another instruction that looks
   * like one. A runtime that does not decode the code may leave such a lock in place.
   */
  isBehindOverride(code: Uint8Array, offset: number): boolean;
  /** True for the first byte of an instruction that has its lock behind other prefixes: the byte itself is no lock. */
  isInFront(code: Uint8Array, map: CodeMap, offset: number): boolean;
  /** For each of these offsets 1 where the lock is proven to be code, 0 where it may be a constant. */
  prove(provable: ProvableCode, locks: Uint32Array): Uint8Array;
}

/** Relocation types that tables, markers and links are made of (numbers of the machine's psABI). */
export interface ArchRelocations {
  readonly none: number;
  /** S + A - P in 32 bits. */
  readonly place32: number;
  /** S + A in 32 bits, where the machine's kernel writes its jump table with it. */
  readonly absolute32?: number;
  /** S + A - P in the width of a long. */
  readonly placeLong: number;
  /** Whether addends stand in the relocation (RELA) or in the field (REL). */
  readonly rela: boolean;
  name(type: number): string;
}

/** How the dynamic loader makes pointers in an image (numbers of the machine's psABI). */
export interface DynamicRelocations {
  readonly none: number;
  /** base + A */
  readonly relative: number;
  /** S + A */
  readonly symbolic: number;
  readonly jumpSlot: number;
  readonly globData: number;
}

/** A relocation that an in-memory link has to carry out. */
export interface LinkRelocation {
  readonly type: number;
  /** S, the symbol's address (0 for none); the place of a function, without Thumb bit. */
  readonly symbol: Address;
  /** T of the ARM psABI: S is a function in Thumb state. */
  readonly thumb: boolean;
  readonly addend: number;
  /** P, the address of the field. */
  readonly place: Address;
  /** Byte offset of the field in `bytes`. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Byte order of data; that of instructions is the machine's own. */
  readonly little: boolean;
  /** Address of a pointer to S (a GOT entry), made on first use. */
  slot(): number;
  /** Address of the global offset table. */
  readonly got: number;
}

/** A barrier between CPUs, and the NOP of its size that stands for it on one CPU and tells which barrier it was. */
export interface SmpBarrier {
  /** `dmb ish`. */
  readonly name: string;
  readonly barrier: Uint8Array;
  readonly nop: Uint8Array;
}

/** One instruction set: what patching reads and writes at a site. ARM has two, every other machine one. */
export interface InstructionSet {
  /** As disassemblers and people call it. */
  readonly name: string;
  /** What branches are called where no disassembler is asked. */
  readonly mnemonics: Readonly<Record<BranchKind, string>>;
  /** Longest instruction at a site, in bytes. */
  readonly maxSite: number;
  /** Sizes a static branch may have. */
  readonly branchSizes: readonly number[];
  /** Bytes of a trampoline with its signature. */
  readonly trampolineSize: number;
  /** Barriers that one CPU does not need; empty where there are none. */
  readonly smpBarriers: readonly SmpBarrier[];

  /**
   * Reads the instruction at byte `offset` as patching sees it. `address` is its place, if that leaves another
   * remainder by 4 than `offset` does: Thumb's blx counts from the place rounded down to a word.
   */
  readInstruction(code: Uint8Array, offset: number, address?: Address): SiteInstruction;
  /** Why the short branch at byte `offset` cannot be a static call: the end of a sentence about it. */
  explainShort(code: Uint8Array, offset: number): string;
  /**
   * Where a PLT stub or veneer at byte `offset` goes: the address of the pointer it loads, or the code pointer it
   * leads to. `address` is its place.
   */
  readStub(
    code: Uint8Array,
    offset: number,
    address: Address,
  ): { slot: Address } | { target: CodePointer } | undefined;

  /** A NOP of a branch site's size. */
  nop(size: number): Uint8Array;
  /** True where compilers leave other NOPs than patching writes. */
  readonly otherNops: boolean;
  /** A jump of a branch site's size; undefined when `displacement` (of places) is out of its range. */
  jump(size: number, displacement: number): Uint8Array | undefined;
  /** True when `current` may stand at a static call site of that kind (kernel: __static_call_validate). */
  isCallSite(current: Uint8Array, kind: CallKind): boolean;
  /** True when `code` at `offset` has the shape of a trampoline. */
  isTrampoline(code: Uint8Array, offset: number): boolean;
  /**
   * The address of the pointer that the trampoline at `address` jumps through, which has to be its key's `func`;
   * undefined for one that returns, and on machines whose trampolines branch to the function.
   */
  trampolineSlot(code: Uint8Array, offset: number, address: Address): Address | undefined;
  /**
   * The address of the literal, a word of data, that the trampoline at `address` loads its function from; undefined for
   * any other code, and on machines whose kernels have no such trampolines.
   */
  trampolineLiteral?(code: Uint8Array, offset: number, address: Address): Address | undefined;
  /**
   * What a site is to hold (kernel: __static_call_transform). A target out of reach leaves it on its trampoline;
   * undefined when no branch reaches that either.
   */
  encodeCallSite(request: CallSiteRequest): CallSiteBytes | undefined;
  /** What a trampoline is to begin with; undefined when the function is out of its range. */
  encodeTrampoline(address: Address, target: CallTarget, support: CallSupport): Uint8Array | undefined;
  /** A whole trampoline to a function, as a compiler leaves it; absent where modules of kernels ask for none. */
  makeTrampoline?(address: Address, to: CodePointer): Uint8Array;
}

/** A machine as one kind of ELF file holds it: class and byte order included. */
export interface Arch extends SymbolRules {
  /** As printed and in JSON. */
  readonly name: string;
  readonly machine: number;
  readonly class: 32 | 64;
  /** Bytes of a long and of a pointer. */
  readonly wordSize: 4 | 8;
  /** Largest page of the machine's kernels in bytes: segments of an in-memory link are apart by it. */
  readonly pageSize: number;
  readonly relocations: ArchRelocations;
  readonly dynamic: DynamicRelocations;
  readonly lockPrefix: LockPrefix | undefined;
  /**
   * Written over the head of a live site while its tail changes (text_poke_bp, smp_text_poke_single since 6.16);
   * undefined where one store does.
   */
  readonly breakpoint: Uint8Array | undefined;
  /** Names that linkers give to veneers, the stubs they put among other code; undefined where they make none. */
  readonly veneerName: RegExp | undefined;
  /** Longest instruction at any site, in bytes. */
  readonly maxSite: number;
  /** Longest trampoline with its signature, in bytes. */
  readonly trampolineSize: number;

  /** The instruction set of the code at a section-relative place. */
  instructionsAt(map: CodeMap, offset: number): InstructionSet;
  /** The instruction set of the code that a code pointer leads to. */
  instructionsOf(pointer: CodePointer): InstructionSet;
  /** The branch that the relocation of `type` at byte `place` belongs to, if it is one. */
  branchOfRelocation(type: number, code: Uint8Array, place: number): RelocatedBranch | undefined;
  /**
   * True when the code at byte `offset`, behind a call, reads the return address that the call has left below the stack
   * pointer: a call that is patched away leaves none. Undefined where no compiler does so.
   */
  readsReturnAddress?(code: Uint8Array, offset: number): boolean;
  /** How many bytes of a code section a sweep cannot decode; undefined where instructions have one length. */
  undecodableBytes?(code: Uint8Array, map: CodeMap): number;
  /** True when an instruction starts at byte `offset`, as a sweep of the code between its symbols finds them. */
  startsInstruction(code: Uint8Array, map: CodeMap, offset: number): boolean;
  /** The same for a branch, which may also stand behind prefixes of its own: a site is where the opcode is. */
  startsBranch(code: Uint8Array, map: CodeMap, offset: number): boolean;
  /**
   * Calls `visit` for every direct branch: the section-relative offset of its opcode, and the code pointer it leads
   * to, relative to the section.
   */
  forEachBranch(
    code: Uint8Array,
    map: CodeMap,
    visit: (offset: number, target: number, kind: BranchKind, short: boolean) => void,
  ): void;
  /**
   * Code as it is to be where it is copied from one address to another: what leads out of it still leads there. Undefined
   * for code that does not decode, or that does not reach from there; and on machines whose kernels copy none.
   */
  moveCode?(code: Uint8Array, from: Address, to: Address): Uint8Array | undefined;
  /**
   * True where `found`, which stands at `to`, is what a kernel makes of replacement `code` that lies at `from`: an
   * alternative. Undefined for machines without.
   */
  isReplacement?(found: Uint8Array, code: Uint8Array, from: Address, to: Address): boolean;
  /** `size` bytes of instructions that trap, for stubs of symbols that nobody defines. */
  trapFill(size: number): Uint8Array;
  /** Carries out a relocation of an in-memory link; returns an error's text, or undefined when done. */
  applyRelocation(relocation: LinkRelocation): string | undefined;
}

/** The bytes of the first way to go that can be encoded: to the target, else to the trampoline, else by a veneer. */
export function firstInReach(
  { target, trampoline, veneers = [] }: CallSiteRequest,
  encode: (pointer: CodePointer) => Uint8Array | undefined,
): CallSiteBytes | undefined {
  const direct = target.kind === 'null' ? [] : [target.address];
  for (const [i, pointer] of [...direct, trampoline, ...veneers].entries()) {
    const bytes = encode(pointer);
    if (bytes) return { bytes, onTrampoline: i >= direct.length || pointer === trampoline };
  }
  return undefined;
}

/** Every instruction set of a machine: what code pointers of either parity lead to. */
export function instructionSetsOf(arch: Pick<Arch, 'instructionsOf'>): readonly InstructionSet[] {
  return [...new Set([arch.instructionsOf(0), arch.instructionsOf(1)])];
}
