// What may be written to the text of a kernel: for each place the byte strings that may stand there, by which patching, and
// when. Made of the kernel's file alone; addresses are those of the link.
import type { TextKind } from '../text/kind.ts';

/** The patching of places that tables name. */
export const policyKinds = [
  'static-branch',
  'static-call',
  'trampoline',
  'ftrace',
  'paravirt',
  'retpoline',
  'return',
  'alternative',
  'call-thunk',
  'endbr',
  'lock',
  'constant',
] as const satisfies readonly TextKind[];
/** A kind of patching of which a policy has places. */
export type PolicyKind = (typeof policyKinds)[number];

/**
 * `start-up`: only until the kernel gives its init text back. `always`: also while it runs, by a breakpoint first, then the
 * bytes behind it, then the first byte; what has one byte is one write.
 */
export type When = 'start-up' | 'always';

/** Bytes of a state that are no fixed ones. `at` counts from the place. */
export type StateField =
  /** Four bytes that grow with the slide of the kernel, or shrink with it: an address, or a distance to what never moves. */
  | { readonly at: number; readonly is: 'address'; readonly sign: 1 | -1 }
  /** A distance of four bytes from so many bytes behind them to one address, which moves with the image or does not. */
  | {
      readonly at: number;
      readonly is: 'distance';
      readonly to: number;
      readonly behind: number;
      readonly moves: boolean;
    }
  /** A distance from the end of these four bytes to one of `policy.targets[targets]`. */
  | { readonly at: number; readonly is: 'branch'; readonly targets: number }
  /** The distance that stood there, less so many bytes. */
  | { readonly at: number; readonly is: 'nearer'; readonly by: number }
  /** So many bytes of `policy.variables[variable]`. */
  | { readonly at: number; readonly is: 'value'; readonly size: number; readonly variable: number };

/** Bytes that may stand at a place. */
export interface PolicyState {
  /** 0 where a field stands. */
  readonly bytes: Uint8Array;
  readonly fields: readonly StateField[];
}

/** What places have in common. */
export interface PolicyForm {
  readonly kind: PolicyKind;
  readonly when: When;
  /** How often it is written at start-up; 0: any number of times. */
  readonly times: number;
  /** Bytes of the place. */
  readonly length: number;
  readonly states: readonly PolicyState[];
}

/** What branches may lead to. */
export interface PolicyTargets {
  readonly name: string;
  /** As linked, ascending. */
  readonly addresses: Float64Array;
  /** So many bytes in front of each address as well, where the code stands that counts calls. */
  readonly before: number;
  /** Whatever is no part of the image: modules, and code that the kernel makes. */
  readonly outside: boolean;
}

/** A variable whose value the kernel writes into code. */
export interface PolicyVariable {
  readonly name: string;
  /** Bytes that each place has of it. */
  readonly size: number;
  /** As linked; undefined where the compiler left it out. */
  readonly address: number | undefined;
  /** What a pointer without an address must lead to. */
  readonly pointer?: PolicyPointer | undefined;
}

/** The address of memory that the kernel has allocated: outside of the image, and a multiple of 8. */
export interface PolicyPointer {
  /** What leads there is a cache (struct kmem_cache), which has a pointer to this name so many bytes behind its start. */
  readonly cache?: { readonly name: string; readonly at: number } | undefined;
}

/** Adjacent bytes that some place has, as the file has them. */
export interface PolicyStretch {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Offsets of four bytes to which the loader adds the slide of the kernel, or from which it takes it away. */
  readonly added: readonly number[];
  readonly taken: readonly number[];
}

/** All that may be written to the text of one kernel. */
export interface Policy {
  /** Which kernel. */
  readonly banner: string;
  readonly buildId: string | undefined;
  /** Where the image begins and ends, as linked: what lies there can be no target that is `outside`. */
  readonly image: readonly [start: number, end: number];
  /** Text that the kernel keeps: probes may stand there. */
  readonly kept: readonly [start: number, end: number];
  /** Kinds whose writes come in this order at a byte; others come at any time. */
  readonly order: readonly PolicyKind[];
  readonly targets: readonly PolicyTargets[];
  readonly variables: readonly PolicyVariable[];
  readonly forms: readonly PolicyForm[];
  readonly stretches: readonly PolicyStretch[];
  /** Places by address, and among those of one address by form. */
  readonly addresses: Float64Array;
  /** For each place the number of its form. */
  readonly formOf: Uint32Array;
}
