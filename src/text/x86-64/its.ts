// Indirect branches in the lower half of a cache line are unsafe on some processors (Indirect Target Selection). There the
// kernel goes through thunks that it makes in pages of its own, a new one for each site (arch/x86/kernel/alternative.c,
// its_allocate_thunk). Which thunk a site has follows from the order of the sites; where a page lies, only memory tells.
import { readS32 } from '../../arch/x86-64/length.ts';
import { sameBytes } from '../../bytes/integer.ts';
import { type GeneratedPage, kernelOf, type TextSubject } from '../pass.ts';
import { int3 } from './branches.ts';
import type { Notes } from './sites.ts';
import type { X86State } from './state.ts';

const pageSize = 4096;
const firstOffset = 32;
/** Modules lie here (Documentation/arch/x86/x86_64/mm.rst), and pages of thunks among them: the last 2 GB. */
const modulesFrom = -0x8000_0000;
/** How many sites of a page say where it lies. */
const mostVotes = 9;
/** In front of a thunk with the end of a FineIBT check: udb; jne back to it. */
const paranoidStart = [0xd6, 0x75, 0xfd] as const;
export const itsThunkSize = 64;

/** A site that goes through a thunk of such a page. */
export interface ItsUse {
  /** Place of the branch, and its bytes, of which the last four are the distance. */
  readonly address: number;
  readonly length: number;
  readonly register: number;
  /** 4096 times the number of the page, plus the offset of the thunk's entry. */
  readonly thunk: number;
}

/** The pages that one image makes, in the order in which its sites ask for thunks. */
export class ItsPages {
  /** With the end of a check in front (cfi_paranoid). */
  private readonly paranoid: boolean;
  private readonly pages: Uint8Array[] = [];
  private readonly bases: (number | undefined)[] = [];
  private offset = firstOffset;
  /** Sites of .retpoline_sites that FineIBT's checks have taken over, branch and all. */
  readonly taken = new Set<number>();

  constructor(paranoid: boolean) {
    this.paranoid = paranoid;
  }

  /** Makes the next thunk, a jump to a register; what `ItsUse.thunk` has. */
  allocate(register: number): number {
    const size = 3 + (register >= 8 ? 1 : 0) + (this.paranoid ? paranoidStart.length : 0);
    if (this.pages.length === 0 || this.offset + size - 1 >= pageSize) {
      this.pages.push(new Uint8Array(pageSize).fill(int3));
      this.offset = firstOffset;
    }
    // The jump must lie in the upper half of a line.
    if ((this.offset + size - 1) % 64 < 32) this.offset = ((this.offset - 1) | 0x3f) + 33;
    const at = this.offset;
    this.offset += size;
    const code = [
      ...(this.paranoid ? paranoidStart : []),
      ...(register >= 8 ? [0x41] : []),
      0xff,
      0xe0 + (register & 7),
      int3,
    ];
    this.pages[this.pages.length - 1]?.set(code, at);
    return (this.pages.length - 1) * pageSize + at + (this.paranoid ? 1 : 0);
  }

  /**
   * Where the thunks of some sites lie, as linked, in the order of the sites: most of the first sites of a page say where it
   * is. Without any that could be a page of thunks: in the image, where they are when the kernel got no page; `before` is
   * how many bytes in front of these thunks the sites enter them.
   */
  targets(
    subject: TextSubject<X86State>,
    uses: readonly ItsUse[],
    before = 0,
  ): readonly (number | undefined)[] {
    const { thunkPages } = subject.state;
    for (const [page, base] of (thunkPages ?? []).entries()) this.bases[page] ??= base;
    const votes: Map<number, number>[] = [];
    const counts: number[] = [];
    for (const use of thunkPages ? [] : uses) {
      const page = Math.floor(use.thunk / pageSize);
      if (this.bases[page] !== undefined || (counts[page] ?? 0) >= mostVotes) continue;
      const base = baseOf(subject, use);
      if (base === undefined) continue;
      const of = votes[page] ?? new Map<number, number>();
      votes[page] = of;
      counts[page] = (counts[page] ?? 0) + 1;
      of.set(base, (of.get(base) ?? 0) + 1);
    }
    for (const [page, of] of votes.entries()) this.bases[page] ??= mostOf(of);
    const spare = kernelOf(subject).symbols.addressOf('__x86_indirect_its_thunk_array');
    return uses.map(({ thunk, register }) => {
      const base = this.bases[Math.floor(thunk / pageSize)];
      if (base !== undefined) return base + (thunk % pageSize) - subject.slide;
      return thunkPages || spare === undefined ? undefined : spare + itsThunkSize * register - before;
    });
  }

  /** What the pages must hold, once all thunks are made. Notes a page that holds something else. */
  generated({ state, slide }: TextSubject<X86State>, notes: Notes): readonly GeneratedPage[] {
    return this.pages.flatMap((bytes, i) => {
      const address = this.bases[i];
      if (address === undefined) return [];
      const found = state.reader.bytes(address, pageSize);
      if (found && !sameBytes(found, bytes))
        notes.wrong(address - slide, 'the page of ITS thunks that sites go to does not hold them');
      return [{ address, bytes, what: 'ITS thunks' }];
    });
  }
}

/** Notes branches whose thunks nobody knows: those of a given state that says nothing of pages cannot be known. */
export function noteUnknown(
  { state }: TextSubject<X86State>,
  addresses: readonly number[],
  notes: Notes,
): void {
  if (!state.thunkPages) {
    for (const address of addresses) notes.wrong(address, 'the ITS thunk of this site is not known');
    return;
  }
  if (addresses.length === 0) return;
  const message = `${addresses.length} indirect branches go to thunks against ITS, in pages that the kernel allocates; their addresses are not given, so these branches are left as they are`;
  notes.add({ severity: 'left', message, input: 'its_pages' });
}

/** Where the page of a site's thunk lies by the site in memory; undefined where no such page can be there. */
function baseOf(subject: TextSubject<X86State>, { address, length, thunk }: ItsUse): number | undefined {
  const { state, slide } = subject;
  const end = address + slide + length;
  const field = state.reader.bytes(end - 4, 4);
  if (!field) return undefined;
  const base = end + readS32(field, 0) - (thunk % pageSize);
  const isPage = base % pageSize === 0 && base >= modulesFrom && base < 0;
  return isPage && !kernelOf(subject).contains(base - slide) ? base : undefined;
}

function mostOf(votes: ReadonlyMap<number, number>): number | undefined {
  let most: number | undefined;
  let count = 0;
  for (const [base, number] of votes) if (number > count) [most, count] = [base, number];
  return most;
}

const pagesOf = new WeakMap<TextSubject<X86State>, ItsPages>();

/** The pages of a subject, which FineIBT's pass and the one over retpolines share. */
export function itsPagesOf(subject: TextSubject<X86State>): ItsPages {
  let pages = pagesOf.get(subject);
  if (!pages) {
    pages = new ItsPages(subject.state.bytes('cfi_paranoid', 1)?.[0] === 1);
    pagesOf.set(subject, pages);
  }
  return pages;
}
