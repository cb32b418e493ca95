// What explain tells of a place or a key; its JSON document is made of it (output/explain-place.ts).
import type { DumpedInstruction, DumpedPlace } from '../kinds/shown.ts';

/** A byte string that a site may hold. */
export interface ExplainedState {
  /** In the order of memory, two hexadecimal digits each. */
  readonly bytes: string;
  /** Bits of `bytes` that count; absent: all. */
  readonly mask?: string;
  /** As capstone reads it; absent where it was not asked, and where some bits do not count. */
  readonly text?: string;
  /** When: `tracing enabled`. */
  readonly meaning: string;
  /** It stands there in the file. */
  readonly isThere: boolean;
  /** It must stand there once the program has started, as the file's keys are; absent where the number of CPUs decides. */
  readonly isRight?: boolean;
}

/** A site of a table. */
export interface ExplainedSite {
  /** `static branch`. */
  readonly kind: string;
  /** Section name of the table. */
  readonly table: string;
  /** Position in the table. */
  readonly index: number;
  /** With its source lines, from the function that it is in to what was inlined. */
  readonly place: DumpedPlace;
  readonly key?: DumpedPlace;
  /** `unlikely`, `tail`, `init`. */
  readonly flags?: string;
  /** Where a branch goes when it is taken. */
  readonly target?: DumpedPlace;
  readonly instruction?: DumpedInstruction;
  /** What is wrong with the entry. */
  readonly problem?: string;
  /** Every byte string that may stand there while the program runs. */
  readonly states?: readonly ExplainedState[];
  /** Why there are no states. */
  readonly statesProblem?: string;
  /** What changes it: `key`, `call`, `cpus`, or nothing. */
  readonly changedBy: 'key' | 'call' | 'cpus' | 'nothing';
}

/** A key, static or of a static call. */
export interface ExplainedKey {
  readonly place: DumpedPlace;
  /** A static key, or the key of a static call. */
  readonly kind: 'key' | 'call';
  /** Its value in the file: `enabled`, `disabled`, or a function; absent in an object. */
  readonly value?: string;
  /** How many entries name it. */
  readonly sites: number;
}

/** What there is of a name or an address in a file, or in a member of an archive. */
export interface Explained {
  readonly file: string;
  readonly member?: string;
  readonly keys: readonly ExplainedKey[];
  readonly sites: readonly ExplainedSite[];
  /** Why some places have no source line. */
  readonly linesProblem?: string;
}

/** What an entry says of its site. */
export interface Shown {
  readonly place: DumpedPlace;
  readonly key?: DumpedPlace;
  readonly flags?: string;
  readonly target?: DumpedPlace;
  readonly instruction?: DumpedInstruction;
  readonly problem?: string;
}
