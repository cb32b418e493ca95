// What came of a replay: the text compared with memory, and what was not replayed.
import type { ComparedText } from './compare.ts';
import type { ExpectedText } from './expected.ts';
import type { TextKind } from './kind.ts';
import type { GeneratedPage, PassNote } from './pass.ts';
import type { LiveText } from './x86-64/live.ts';

/** A pass that was made. */
export interface PassDone {
  readonly kind: TextKind;
  readonly name: string;
  /** Entries of its table. */
  readonly sites: number;
}

export interface ReplayedText {
  readonly compared: ComparedText;
  readonly text: ExpectedText;
  readonly passes: readonly PassDone[];
  readonly notes: readonly PassNote[];
  /** Pages of code that the kernel made beside its image. */
  readonly pages: readonly GeneratedPage[];
  /** What goes on changing it, and what its executable pages are; undefined where nothing says. */
  readonly live: LiveText | undefined;
  /** Places that were being changed, as linked: what stands there is right, and is no site's form. */
  readonly changing: readonly number[];
}

/** Why nothing was compared. */
export interface TextNotCompared {
  readonly why: string;
}
