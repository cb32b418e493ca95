// What generic code needs to know of a machine. A new machine is one file that makes an `Arch` and one row in
// `architectures` (registry.ts); nothing else asks which machine it is.

/** How control reaches a static call's trampoline from a site. */
export type CallKind = 'call' | 'tail' | 'conditional tail';

/** What a branch instruction does. */
export type BranchKind = 'call' | 'jump' | 'conditional jump';

/** An instruction as patching sees it. */
export interface SiteInstruction {
  readonly kind: BranchKind | 'nop' | 'return' | 'clear result' | 'other';
  /** Bytes; 0 when nothing decodable is there. */
  readonly size: number;
  /** For a branch: its target minus the instruction's own first byte. */
  readonly displacement: number;
  /** A branch that cannot hold what patching writes (x86 rel8, b.cond). */
  readonly short: boolean;
}

/** The branch whose displacement field a relocation fills. */
export interface RelocatedBranch {
  /** Section-relative offset of the instruction. */
  readonly offset: number;
  readonly kind: BranchKind;
  readonly size: number;
  readonly short: boolean;
  /** The branch goes to S + A + bias. */
  readonly bias: number;
}

/**
 * What the symbols say of a code section: offsets (section-relative bytes, ascending) where an instruction
 * starts for sure, and data in code as pairs start, end (ascending, disjoint).
 */
export interface CodeMap {
  readonly starts: Uint32Array;
  readonly data: Uint32Array;
}

/** What a static call is to do: go to a function, do nothing (NULL), or return 0. */
export type CallTarget =
  | { readonly kind: 'function'; readonly address: number }
  | { readonly kind: 'null' }
  | { readonly kind: 'return 0'; readonly address: number };

/** What an image offers for encodings that need code of its own. */
export interface CallSupport {
  /** Address of `__static_call_return`, for a conditional tail call of NULL. */
  readonly returnStub: number | undefined;
  /** Address of `__x86_return_thunk`, where the image returns through it. */
  readonly returnThunk: number | undefined;
}

export interface CallSiteRequest {
  /** Virtual address of the site. */
  readonly address: number;
  readonly kind: CallKind;
  readonly target: CallTarget;
  /** Virtual address of the call's trampoline. */
  readonly trampoline: number;
  /** Virtual addresses of veneers that lead to the trampoline, the nearest first. */
  readonly veneers?: readonly number[] | undefined;
  /** Bytes at the site now (at least `maxSite` of them, less at the end of the code). */
  readonly current: Uint8Array;
  readonly support: CallSupport;
}

/** Bytes for a site, and whether it has to stay on its trampoline because the target is out of reach. */
export interface CallSiteBytes {
  readonly bytes: Uint8Array;
  readonly onTrampoline: boolean;
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
}

/** Relocation types that tables, markers and links are made of (numbers of the machine's psABI). */
export interface ArchRelocations {
  readonly none: number;
  /** S + A - P in 32 bits. */
  readonly place32: number;
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
  /** S, the symbol's address (0 for none). */
  readonly symbol: number;
  readonly addend: number;
  /** P, the address of the field. */
  readonly place: number;
  /** Byte offset of the field in `bytes`. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Address of a pointer to S (a GOT entry), made on first use. */
  slot(): number;
}

export interface Arch {
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
  /** Written over the head of a live site while its tail changes (text_poke_bp); undefined where one store does. */
  readonly breakpoint: Uint8Array | undefined;
  /** What branches are called where no disassembler is asked. */
  readonly mnemonics: Readonly<Record<BranchKind, string>>;
  /** Longest instruction at a site, in bytes. */
  readonly maxSite: number;
  /** Bytes of a trampoline with its signature. */
  readonly trampolineSize: number;
  /** What a mapping symbol says of the bytes behind it, up to the next one; undefined for any other name. */
  readonly mappingSymbol: ((name: string) => 'code' | 'data' | undefined) | undefined;
  /** Names that linkers give to veneers, the stubs they put among other code; undefined where they make none. */
  readonly veneerName: RegExp | undefined;

  /** Reads the instruction at byte `offset` as patching sees it. */
  readInstruction(code: Uint8Array, offset: number): SiteInstruction;
  /** The branch that the relocation of `type` at byte `place` belongs to, if it is one. */
  branchOfRelocation(type: number, code: Uint8Array, place: number): RelocatedBranch | undefined;
  /** Why the short branch at byte `offset` cannot be a static call: the end of a sentence about it. */
  explainShort(code: Uint8Array, offset: number): string;
  /** True when an instruction starts at byte `offset`, as a sweep of the code between its symbols finds them. */
  startsInstruction(code: Uint8Array, map: CodeMap, offset: number): boolean;
  /** The same for a branch, which may also stand behind prefixes of its own: a site is where the opcode is. */
  startsBranch(code: Uint8Array, map: CodeMap, offset: number): boolean;
  /** Calls `visit` for every direct branch: the section-relative offset of its opcode, and its target relative to the section. */
  forEachBranch(
    code: Uint8Array,
    map: CodeMap,
    visit: (offset: number, target: number, kind: BranchKind, short: boolean) => void,
  ): void;
  /** Where a PLT stub or veneer at byte `offset` goes: the address of the pointer it loads, or of its target. */
  readStub(
    code: Uint8Array,
    offset: number,
    address: number,
  ): { slot: number } | { target: number } | undefined;

  /** A NOP of a branch site's size. */
  nop(size: number): Uint8Array;
  /** A jump of a branch site's size; undefined when `displacement` (from its first byte) is out of its range. */
  jump(size: number, displacement: number): Uint8Array | undefined;
  /** Sizes a static branch may have. */
  readonly branchSizes: readonly number[];
  /** True when `current` may stand at a static call site of that kind (kernel: __static_call_validate). */
  isCallSite(current: Uint8Array, kind: CallKind): boolean;
  /** True when `code` at `offset` has the shape of a trampoline. */
  isTrampoline(code: Uint8Array, offset: number): boolean;
  /**
   * What a site is to hold (kernel: __static_call_transform). A target out of reach leaves it on its trampoline;
   * undefined when no branch reaches that either.
   */
  encodeCallSite(request: CallSiteRequest): CallSiteBytes | undefined;
  /** What a trampoline is to hold; undefined when the function is out of its range. */
  encodeTrampoline(address: number, target: CallTarget, support: CallSupport): Uint8Array | undefined;
  /** `size` bytes of instructions that trap, for stubs of symbols that nobody defines. */
  trapFill(size: number): Uint8Array;
  /** Carries out a relocation of an in-memory link; returns an error's text, or undefined when done. */
  applyRelocation(relocation: LinkRelocation): string | undefined;
}
