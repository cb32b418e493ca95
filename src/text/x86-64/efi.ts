// The executable pages of the address space in which a kernel calls the firmware: the firmware's code, where its map says that
// it lies, and what is the kernel's own.
import { countUpTo } from '../../bytes/search.ts';
import type { EfiRegion, EfiSpace } from '../../memory/kernel/efi.ts';
import {
  type ExecutableMemory,
  type ExecutableStretch,
  executableMemory,
} from '../../memory/page-tables/executable.ts';
import type { NamedPages } from '../executable.ts';

/** Parts of pages that are looked at: stretches cut where the firmware's regions begin and end. */
const mostParts = 1 << 20;

export interface EfiPages {
  readonly pages: readonly NamedPages[];
  readonly walked: ExecutableMemory;
}

/**
 * Names the executable pages of this space that the kernel's own tables do not have (`kernel`, in order of address). `text` is
 * the image's text in physical memory, which is mapped there once more for firmware of 32 bits.
 */
export function efiPages(
  { tables, regions }: EfiSpace,
  kernel: readonly ExecutableStretch[],
  text: { readonly physical: number; readonly size: number } | undefined,
): EfiPages {
  const { start, end } = tables.tables;
  const walked = executableMemory(tables, start, end, true);
  let parts = 0;
  const pages: NamedPages[] = [];
  const put = (one: NamedPages): void => {
    const last = pages.at(-1);
    const goesOn = last?.end === one.start && last.kind === one.kind && last.isWritable === one.isWritable;
    if (goesOn) pages[pages.length - 1] = { ...last, end: one.end };
    else pages.push(one);
  };
  const starts = regions.map(({ physical }) => physical);
  const own: EfiRegion | undefined = text && { ...text, virtual: text.physical };
  for (const stretch of besides(walked.stretches, kernel)) {
    const { physical = Number.NaN, isWritable } = stretch;
    for (let at = stretch.start; at < stretch.end; ) {
      if (parts++ >= mostParts)
        return { pages, walked: { ...walked, cut: `more than ${mostParts} parts of them are executable` } };
      const from = physical + (at - stretch.start);
      const before = countUpTo(starts, from);
      const region = [regions[before - 1], own].find(
        (one) => one !== undefined && from >= one.physical && from < one.physical + one.size,
      );
      // Up to where the same holds: the stretch, a region, or the next one.
      const next = starts[before] ?? Number.POSITIVE_INFINITY;
      const ahead = text && text.physical > from ? text.physical : Number.POSITIVE_INFINITY;
      const border = region ? region.physical + region.size : Math.min(next, ahead);
      const to = Math.min(stretch.end, at + border - from);
      const isThere = region && (at === from || at - region.virtual === from - region.physical);
      const kind = isThere ? (region === own ? 'image' : 'efi') : undefined;
      put({ kind, name: kind === undefined ? '' : 'firmware', start: at, end: to, isWritable });
      at = to;
    }
  }
  return { pages, walked };
}

/** The parts of stretches that others, in the same order, do not have: the same memory with at least the same rights. */
function* besides(
  stretches: readonly ExecutableStretch[],
  others: readonly ExecutableStretch[],
): Generator<ExecutableStretch> {
  let next = 0;
  for (const { start, end, isWritable, isOfUsers, physical } of stretches) {
    const part = (from: number, to: number): ExecutableStretch => ({
      ...{ start: from, end: to, isWritable, isOfUsers },
      physical: physical === undefined ? undefined : physical + (from - start),
    });
    while (next < others.length && (others[next] as ExecutableStretch).end <= start) next++;
    let at = start;
    for (let i = next; i < others.length; i++) {
      const other = others[i] as ExecutableStretch;
      if (other.start >= end) break;
      if (isWritable && !other.isWritable) continue;
      if (other.physical === undefined || other.physical - other.start !== (physical ?? Number.NaN) - start)
        continue;
      if (other.start > at) yield part(at, other.start);
      at = Math.max(at, Math.min(other.end, end));
    }
    if (at < end) yield part(at, end);
  }
}
