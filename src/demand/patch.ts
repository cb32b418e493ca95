// What patching asks and is told, as plain values: what may stand at a place, what must, and why.

import type { CallTarget } from '../arch/arch.ts';
import type { Address } from '../bytes/named-numbers.ts';

/** Bytes that may stand at a place. */
export interface Allowed {
  readonly bytes: Uint8Array;
  readonly meaning: string;
}

/** One write: what may stand there, what is to stand there, and why. */
export interface Patch {
  readonly address: Address;
  /** Byte strings that may be there; what is to be written is always among them. */
  readonly allowed: readonly Allowed[];
  readonly bytes: Uint8Array;
  readonly reason: string;
  /** The key that decides; undefined where none does. */
  readonly key?: Address | undefined;
  /** What a person has to know of the patch though nothing is wrong. */
  readonly note?: string | undefined;
}

/** One of the byte strings that a place may hold while the program runs. */
export interface State extends Allowed {
  /** Bits of `bytes` that count; undefined: all. */
  readonly mask?: Uint8Array | undefined;
}

/** What must stand at a site now, by the value of its key and the number of CPUs. */
export type Demand =
  | {
      /** Byte strings that are right; the first is what patching writes. */
      readonly right: readonly [Uint8Array, ...Uint8Array[]];
      /** Why, for a finding: `tracing is enabled, so a jump to f+0x10 is required`. */
      readonly why: string;
    }
  | {
      /** Why no byte string can do what the key says. */
      readonly unpatchable: string;
      /** Bytes of the site. */
      readonly size: number;
    };

/** A demand whose reason is put into words when it is asked for: of nearly all sites nobody asks. */
export class DemandFor {
  readonly right: readonly [Uint8Array, ...Uint8Array[]];
  private readonly words: () => string;

  constructor(right: readonly [Uint8Array, ...Uint8Array[]], words: () => string) {
    this.right = right;
    this.words = words;
  }

  get why(): string {
    return this.words();
  }
}

/** The circumstances in which a site is judged. */
export interface Circumstances {
  /** `linked`: as the linker left it, sites still on their trampolines. `booted`: patched and sorted. */
  readonly state: 'linked' | 'booted';
}

/** What replaces a lock on one CPU: a DS prefix, or a NOP. */
export type UpFill = 'ds' | 'nop';

/** Values that calls may have, by the address of the key; a call that is not there may go to any function. */
export type ListedValues = ReadonlyMap<Address, readonly CallTarget[]>;
