// The project's markers: R_*_NONE relocations on code, no-ops to every linker. A branch site at S carries one at
// S+0 against its target label and one at S+2 (unlikely) or S+3 (likely) against its key; a lock prefix that is
// never to be listed carries one against `__textpoke_keep_lock` on the F0 byte (include/textpoke/). REL relocations
// have no addend, so on 32-bit ARM the key's address stands in .textpoke.keys: two words a site, its place and its key.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { CodeSection, ObjectCode, Place } from './object-code.ts';

const keySection = '.textpoke.keys';
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
  const branches = pairMarks(at, ({ place }) => object.isCode(place.section)).map(
    ({ target, key, likely }): BranchMarker => ({
      offset: target.offset,
      target: target.place,
      key: arch.relocations.rela ? key.place : keyBeside(object, code, target.offset),
      likely,
    }),
  );
  return { branches, keptLocks };
}

/** The two marks of a static branch. */
export interface MarkPair<Mark> {
  readonly target: Mark;
  readonly key: Mark;
  readonly likely: boolean;
}

/**
 * Pairs the marks of one section: one against a branch's target, and two bytes (unlikely) or three (likely) behind it
 * one against its key. `isCode` tells a mark that names code. In order of offset.
 */
export function pairMarks<Mark extends { readonly offset: number }>(
  marks: readonly Mark[],
  isCode: (mark: Mark) => boolean,
): MarkPair<Mark>[] {
  // Greedy from the front: a key's marker at S+3 must not be taken for the next site's first (S+5 is its S+2).
  const sorted = [...marks].sort((a, b) => a.offset - b.offset);
  const pairs: MarkPair<Mark>[] = [];
  for (let i = 0; i + 1 < sorted.length; i++) {
    const [target, key] = [sorted[i] as Mark, sorted[i + 1] as Mark];
    const distance = key.offset - target.offset;
    if ((distance !== 2 && distance !== 3) || !isCode(target)) continue;
    pairs.push({ target, key, likely: distance === 3 });
    i++;
  }
  return pairs;
}

/** The key whose address stands beside a site's place. Error `site-mismatch` where there is none. */
function keyBeside(object: ObjectCode, code: CodeSection, offset: number): Place {
  let keys = keysBySite.get(object);
  if (!keys) {
    keys = readKeyWords(object);
    keysBySite.set(object, keys);
  }
  const key = keys.get(`${code.section.index}:${offset}`);
  if (key) return key;
  throw new TextpokeError(
    'site-mismatch',
    `${object.describe(code.section.index, offset)}: the static branch has markers, but ${keySection} does not list the key of the site`,
    { section: code.section.name, offset },
  );
}

const keysBySite = new WeakMap<ObjectCode, ReadonlyMap<string, Place>>();

/** Keys by `section:offset` of their sites. */
function readKeyWords(object: ObjectCode): ReadonlyMap<string, Place> {
  const keys = new Map<string, Place>();
  for (const section of object.file.sections) {
    if (section.name !== keySection) continue;
    const fields = object.fieldRelocations(section.index);
    const view = new ByteView(object.file.data(section), object.file.header.little, { section: keySection });
    const placeAt = (at: number): Place | undefined => {
      const field = fields.get(at);
      return field && object.placeOf(field.relocations.symbol[field.index] as number, view.s32(at));
    };
    for (let at = 0; at + 8 <= section.size; at += 8) {
      const site = placeAt(at);
      const key = placeAt(at + 4);
      if (site && key) keys.set(`${site.section}:${site.offset}`, key);
    }
  }
  return keys;
}
