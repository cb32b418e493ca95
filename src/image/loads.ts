// The loadable segments of an image, checked once and found by address (gABI chapter 5, "Program Header").
import { hex } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import { PT_LOAD } from '../elf/constants.ts';
import type { ElfFile, Segment } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';

/** How often the segments may have the bytes of the file among them; linkers give each byte to one. */
const mostCopies = 2;

/**
 * The segments that are loaded, in order of address. Errors: `not-an-image` without any; `elf-truncated` and
 * `elf-malformed` for segments that the file does not have, has many times, or that no number can tell the place of.
 */
export function loadsOf({ path, segments, source }: ElfFile): Segment[] {
  const loads = segments.filter((s) => s.type === PT_LOAD && s.memsz > 0);
  const fail = (code: 'not-an-image' | 'elf-truncated' | 'elf-malformed', message: string): never => {
    throw new TextpokeError(code, message, { file: path });
  };
  if (loads.length === 0) fail('not-an-image', 'the file has no loadable segment (PT_LOAD)');
  let fileBytes = 0;
  for (const { offset, vaddr, filesz, memsz } of loads) {
    if (offset + filesz > source.size || filesz > memsz) {
      fail(
        'elf-truncated',
        `the segment at ${hex(vaddr)} needs bytes ${offset} to ${offset + filesz}, but the file has ${source.size} bytes`,
      );
    }
    if (!Number.isSafeInteger(vaddr) || !Number.isSafeInteger(vaddr + memsz)) {
      fail(
        'elf-malformed',
        `a segment (PT_LOAD) at ${hex(vaddr)} of ${memsz} bytes is outside the address space`,
      );
    }
    fileBytes += filesz;
  }
  if (fileBytes > mostCopies * source.size)
    fail('elf-malformed', `the segments (PT_LOAD) have ${fileBytes} bytes of a file of ${source.size}`);
  return loads.sort((a, b) => a.vaddr - b.vaddr);
}

/** Things that lie at addresses. Where some overlap, as the overlays of an ARM kernel do, the first has the address. */
export class AddressOrder<T> {
  private readonly items: T[] = [];
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  /** The one that was asked for last: tables name places of one section after the other. */
  private recent = 0;

  constructor(items: readonly T[], rangeOf: (item: T) => readonly [start: Address, size: number]) {
    let last = Number.NEGATIVE_INFINITY;
    for (const item of [...items].sort((a, b) => rangeOf(a)[0] - rangeOf(b)[0])) {
      const [start, size] = rangeOf(item);
      // What another has of it is cut off in front. (NaN for what no number can tell the place of.)
      const from = Math.max(start, last);
      if (!(from < start + size)) continue;
      last = start + size;
      this.items.push(item);
      this.starts.push(from);
      this.ends.push(last);
    }
  }

  /** The one that has an address. */
  at(address: Address): T | undefined {
    const { recent, starts, ends } = this;
    if (address >= (starts[recent] as number) && address < (ends[recent] as number))
      return this.items[recent];
    const i = countUpTo(starts, address) - 1;
    if (!(address < (ends[i] ?? Number.NEGATIVE_INFINITY))) return undefined;
    this.recent = i;
    return this.items[i];
  }

  /** All of them that have addresses, in order, with their ranges. */
  ranges<R>(make: (item: T, start: Address, size: number) => R): R[] {
    return this.items.map((item, i) => {
      const start = this.starts[i] as number;
      return make(item, start, (this.ends[i] as number) - start);
    });
  }
}
