// What came of a replay: the text compared with memory, and what was not replayed.
import type { Image } from '../image/image.ts';
import type { CodeLoaderOf } from '../link/code-loader.ts';
import type { FoundModule } from '../memory/kernel/module-files.ts';
import type { LoadedModule } from '../memory/kernel/modules.ts';
import type { ComparedText } from './compare.ts';
import type { ExpectedText } from './expected.ts';
import type { TextKind } from './kind.ts';
import type { LiveText } from './live.ts';
import type { GeneratedPage, PassNote } from './pass.ts';

/** A pass that was made. */
export interface PassDone {
  readonly kind: TextKind;
  readonly name: string;
  /** Entries of its table. */
  readonly sites: number;
}

/** A section of a module's code. */
export interface ModuleSection {
  readonly text: ExpectedText;
  readonly compared: ComparedText;
}

/** Bytes between the sections of a module's code, or behind them, that are no filling. Addresses are as linked. */
export interface StrayCode {
  readonly address: number;
  /** From the first to the last byte that is none. */
  readonly bytes: Uint8Array;
  /** What the rest of the room is filled with. */
  readonly filling: number;
}

/** A module whose text was replayed, or why it was not. */
export interface ReplayedModule {
  readonly module: LoadedModule;
  /** Why it was not compared; the rest is empty then. */
  readonly why: string | undefined;
  /** Linked to where it lies, as it was loaded. */
  readonly image: Image | undefined;
  readonly sections: readonly ModuleSection[];
  /** Bytes of the room between sections, and those of them that the memory does not have. */
  readonly room: number;
  readonly missingRoom: number;
  readonly stray: readonly StrayCode[];
  readonly passes: readonly PassDone[];
  readonly notes: readonly PassNote[];
  readonly pages: readonly GeneratedPage[];
  /** As in `ReplayedText`. */
  readonly changing: readonly number[];
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
  /** How the kernel's loader links the code of modules, where that is more than to relocate it. */
  readonly loader?: CodeLoaderOf;
  /** Replays the text of modules, in the order in which they were loaded. Errors: `memory-malformed`. */
  readonly replayModules?: (modules: readonly FoundModule[]) => readonly ReplayedModule[];
}

/** Why nothing was compared. */
export interface TextNotCompared {
  readonly why: string;
}
