// What is known of code besides its bytes, from which a machine proves that a lock prefix is one and no constant.
import { countUpTo } from '../bytes/search.ts';
import type { Functions } from './functions.ts';

/** The fields of an object's code that relocations fill, in ascending order of their section-relative offsets. */
export interface RelocatedFields {
  readonly offsets: Uint32Array;
  readonly types: Uint32Array;
  /** S + A as an offset in the same section; NaN for what lies elsewhere. */
  readonly targets: Float64Array;
}

/** A code section of an object, or a range of an image. */
export interface ProvableCode {
  readonly code: Uint8Array;
  readonly functions: Functions;
  /** Offsets that patching sends the flow to: both ways out of each static branch, ascending. */
  readonly entries: Float64Array;
  /** Undefined in an image, whose fields are filled. */
  readonly relocated: RelocatedFields | undefined;
  /** Virtual address of the first byte, where code may name addresses; undefined in an object. */
  readonly address: number | undefined;
}

/** Index of the first field at or behind byte `offset`. */
export function fieldFrom({ offsets }: RelocatedFields, offset: number): number {
  return countUpTo(offsets, offset - 1);
}
