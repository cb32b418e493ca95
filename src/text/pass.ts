// A pass: one step of a kernel's patching, replayed over the expected text.
import type { Image } from '../image/image.ts';
import type { Broken } from '../memory/kernel/variables.ts';
import type { Texts } from './expected.ts';
import type { TextKind } from './kind.ts';

/** What a pass is told: an image or a module, relocated to where it runs or not, and what is known of the machine. */
export interface TextSubject<State> {
  /** The linked image (its tables, its symbols): the file's bytes. */
  readonly image: Image;
  /** The kernel that a module is loaded into, whose code its sites lead to; undefined where the image is the kernel. */
  readonly kernel?: Image | undefined;
  /** Where code of a module was that it gave back: start and end, as linked (`ModuleFile.init`). */
  readonly gone?: readonly (readonly [start: number, end: number])[] | undefined;
  /** What is linked at A runs at A + slide. */
  readonly slide: number;
  /** As linked; a pass may write to other stretches than .text: replacements (.altinstr_replacement) are patched too. */
  readonly texts: Texts;
  /** What the machine of these texts tells of itself (src/text/x86-64/state.ts and so on). */
  readonly state: State;
}

/** Something that a pass cannot replay, or that is wrong: never passed over without a word. */
export interface PassNote {
  /** As linked; undefined for a whole table. */
  readonly address?: number;
  /** `wrong`: the table or an input is not what it must be. `left`: it is right, and not replayed. */
  readonly severity: 'wrong' | 'left';
  readonly message: string;
  /** The input that it depends on, such as `x86_return_thunk`. */
  readonly input?: string;
}

/** A page of code that the kernel makes beside its image, and what must stand there. */
export interface GeneratedPage {
  /** In the running kernel. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** What a person calls it: `ITS thunks`. */
  readonly what: string;
}

export interface PassResult {
  /** Entries of the table that were looked at. */
  readonly sites: number;
  readonly notes: readonly PassNote[];
  /** Pages that the pass made beside the texts. */
  readonly pages?: readonly GeneratedPage[];
}

/** Whether code at an address was given back: init text. A module keeps its .exit.text as long as it is loaded. */
export function isGone({ image, kernel, gone = [] }: TextSubject<unknown>, address: number): boolean {
  if (gone.some(([start, end]) => address >= start && address < end)) return true;
  return !kernel && image.isInitText(address);
}

/** The kernel of a subject: the image itself, or what a module is loaded into. */
export function kernelOf({ image, kernel }: Pick<TextSubject<unknown>, 'image' | 'kernel'>): Image {
  return kernel ?? image;
}

export interface TextPass<State> {
  readonly kind: TextKind;
  /** What a person calls the step: `returns`. */
  readonly name: string;
  /** Replays it; undefined where this kernel has no such table. Errors: `table-malformed` for a table that no kernel has. */
  run(subject: TextSubject<State>): PassResult | undefined;
}

/** What could not be read of a list in memory: what a dump lacks is no fault of the kernel's, a list that cannot be is. */
export function brokenList({ message, isMissing }: Broken, input: string): PassNote {
  return { severity: isMissing ? 'left' : 'wrong', message, input };
}
