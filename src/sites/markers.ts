// The project's markers: R_*_NONE relocations on code, no-ops to every linker. A branch site at S carries one at
// S+0 against its target label and one at S+2 (unlikely) or S+3 (likely) against its key; a lock prefix that is
// never to be listed carries one against `__textpoke_keep_lock` on the F0 byte (include/textpoke/).
import type { CodeSection, ObjectCode, Place } from './object-code.ts';

export const keepLockSymbol = '__textpoke_keep_lock';

export interface BranchMarker {
  readonly offset: number;
  readonly target: Place;
  readonly key: Place;
  readonly likely: boolean;
}

export interface Markers {
  readonly branches: readonly BranchMarker[];
  /** Section-relative offsets of lock prefixes to keep. */
  readonly keptLocks: ReadonlySet<number>;
}

/** Reads the markers of one code section, in order of offset. */
export function readMarkers(object: ObjectCode, code: CodeSection): Markers {
  const { arch, symbols } = object;
  const keptLocks = new Set<number>();
  const at: { offset: number; place: Place }[] = [];
  for (const relocations of code.relocations) {
    for (let i = 0; i < relocations.count; i++) {
      if (relocations.type[i] !== arch.relocations.none) continue;
      const offset = relocations.offset[i] as number;
      const symbol = relocations.symbol[i] as number;
      if (symbol === 0) continue;
      if (symbols.name(symbol) === keepLockSymbol) keptLocks.add(offset);
      else at.push({ offset, place: object.placeOf(symbol, relocations.addend[i] as number) });
    }
  }
  // Greedy from the front: a key's marker at S+3 must not be taken for the next site's first (S+5 is its S+2).
  at.sort((a, b) => a.offset - b.offset);
  const branches: BranchMarker[] = [];
  for (let i = 0; i + 1 < at.length; ) {
    const first = at[i] as (typeof at)[number];
    const second = at[i + 1] as (typeof at)[number];
    const distance = second.offset - first.offset;
    if ((distance === 2 || distance === 3) && object.isCode(first.place.section)) {
      branches.push({ offset: first.offset, target: first.place, key: second.place, likely: distance === 3 });
      i += 2;
    } else i += 1;
  }
  return { branches, keptLocks };
}
