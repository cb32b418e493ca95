// What annotate is asked to do.
import type { Kind } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import type { ListingRules } from '../object/found.ts';
import type { ObjectCode } from '../object/object-code.ts';

/** What is listed, and how. Without a kind named, all kinds but the barriers are listed. */
export interface AnnotateOptions extends ListingRules {
  /** Static calls, in `.static_call_sites`. */
  readonly staticCall?: boolean | undefined;
  /** Static branches, in `__jump_table`. */
  readonly staticBranch?: boolean | undefined;
  /** Lock prefixes, in `.smp_locks`. */
  readonly smpLocks?: boolean | undefined;
  /** Barriers between CPUs (ARM); only who knows that the program shares no memory with other CPUs may ask. */
  readonly smpBarriers?: boolean | undefined;
  /** Also counts the bytes of code that cannot be decoded, which takes a sweep over all of it. */
  readonly countUndecodable?: boolean | undefined;
  /** Notes in every object that it was annotated, also where there is no site; false unless given. */
  readonly mark?: boolean | undefined;
}

/** Holds the instructions that an annotated object lists against another reader; throws when it disagrees. */
export type ObjectCheck = (annotated: ObjectCode) => void;

/** The kinds that options ask for, in the order in which they are looked for. */
export function kindsAskedFor(options: AnnotateOptions): Kind[] {
  const given = ({ annotate }: Kind) =>
    annotate && (options as Readonly<Record<string, unknown>>)[annotate.option];
  const isAnyNamed = kinds.some((kind) => !kind.annotate?.optIn && given(kind) === true);
  return kinds.filter((kind) => kind.annotate && (given(kind) ?? (!kind.annotate.optIn && !isAnyNamed)));
}
