// What verify found.
import type { Address, EntryAddress } from '../bytes/named-numbers.ts';
import type { SourceLine } from '../dwarf/source-lines.ts';
import type { RuleId } from './rules.ts';

export interface Finding {
  readonly rule: RuleId;
  /** The place; undefined for what is about a file as a whole. */
  readonly address: Address | undefined;
  /** `symbol+0x1c`. */
  readonly place: string;
  readonly message: string;
  /** The table's entry that is at fault. */
  readonly entry?: EntryAddress | undefined;
  readonly found?: Uint8Array | undefined;
  readonly expected?: Uint8Array | undefined;
}

/** A finding, and where its place comes from. */
export interface Located extends Finding {
  /** In the image's file. */
  readonly offset?: number | undefined;
  readonly source?: SourceLine | undefined;
}
