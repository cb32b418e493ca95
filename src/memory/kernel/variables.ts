// What passes ask of a running kernel's own variables: where they lie, and what they hold. Addresses are those of the
// running kernel, as its lists have them.
import type { Image } from '../../image/image.ts';
import type { Btf } from '../../kernel/btf.ts';
import type { KernelReader } from './reader.ts';

export class KernelVariables {
  /** The kernel as linked. */
  readonly image: Image;
  /** What is linked at A runs at A + slide. */
  readonly slide: number;
  readonly reader: KernelReader;
  readonly btf: Btf;

  constructor(image: Image, slide: number, reader: KernelReader, btf: Btf) {
    this.image = image;
    this.slide = slide;
    this.reader = reader;
    this.btf = btf;
  }

  /** Where a variable or a function runs. */
  at(name: string): number | undefined {
    const address = this.image.symbols.addressOf(name);
    return address === undefined ? undefined : this.image.addressAt(address, this.slide);
  }

  /** The pointer that a variable holds; undefined where there is none, or the dump lacks it. */
  pointer(name: string): number | undefined {
    const at = this.at(name);
    return at === undefined ? undefined : this.reader.word(at);
  }

  /** The offsets of members of a structure, if it has all of them. */
  offsets<Name extends string>(
    struct: string,
    ...paths: readonly Name[]
  ): Readonly<Record<Name, number>> | undefined {
    const found: Partial<Record<Name, number>> = {};
    for (const path of paths) {
      const offset = this.btf.member(struct, path)?.offset;
      if (offset === undefined) return undefined;
      found[path] = offset;
    }
    return found as Record<Name, number>;
  }

  /** The offset of a member that not every kernel has. */
  offset(struct: string, path: string): number | undefined {
    return this.btf.member(struct, path)?.offset;
  }
}

/** Whether somebody holds a mutex of the kernel. */
export function isHeld(kernel: KernelVariables, mutex: string): boolean {
  const at = kernel.at(mutex);
  const owner = kernel.offset('mutex', 'owner');
  return at !== undefined && owner !== undefined && (kernel.reader.word(at + owner) ?? 0) !== 0;
}

/** Whether what lies at an address is the head of a list: what it leads to leads back to it. */
export function isListHead(reader: KernelReader, head: number): boolean {
  const next = reader.word(head);
  return next !== undefined && reader.word(next + reader.wordSize) === head;
}

/** Why a list could not be read to its end. */
export interface Broken {
  readonly message: string;
  /** The dump lacks a part of it, which is no fault of the kernel's. */
  readonly isMissing: boolean;
}

/** The dump lacks something. */
export const lacking = (what: string): Broken => ({ message: `${what} not in the dump`, isMissing: true });

/** Something that no kernel has. */
export const impossible = (message: string): Broken => ({ message, isMissing: false });

/** The same, said of something. */
export const brokenOf = (what: string, { message, isMissing }: Broken): Broken => ({
  message: `${what} ${message}`,
  isMissing,
});

/** What a walk along a list gave. */
export interface Walked {
  /** Addresses of the elements' links. */
  readonly elements: readonly number[];
  /** Why the list ended before its end. */
  readonly broken: Broken | undefined;
}

/**
 * Walks a list whose elements have a pointer to the next one at an offset: `struct list_head` (`end` is its head) or the
 * chain of a hash table (`end` is 0). At most `most` elements, each of them once.
 */
export function walkList(
  reader: KernelReader,
  first: number | undefined,
  end: number,
  most: number,
  offset = 0,
): Walked {
  const elements: number[] = [];
  const seen = new Set<number>();
  let at = first;
  while (at !== end) {
    if (at === undefined || !Number.isFinite(at)) return { elements, broken: lacking('leads to what is') };
    if (at === 0) return { elements, broken: impossible('leads to NULL') };
    if (seen.has(at)) return { elements, broken: impossible('leads in circles') };
    if (elements.length >= most) return { elements, broken: impossible(`has more than ${most} elements`) };
    seen.add(at);
    elements.push(at);
    at = reader.word(at + offset);
  }
  return { elements, broken: undefined };
}
