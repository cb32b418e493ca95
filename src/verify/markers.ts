// Static branches that are marked and have no entry. Markers are relocations, so an image has them only where the
// linker was told to keep those (--emit-relocs).
import type { Address } from '../bytes/named-numbers.ts';
import type { Program } from '../demand/program.ts';
import { SHF_ALLOC, SHF_EXECINSTR } from '../elf/constants.ts';
import type { Section } from '../elf/file.ts';
import type { Image } from '../image/image.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { keepLockSymbol, pairMarks } from '../object/markers.ts';
import { Astray } from './astray.ts';
import type { Finding } from './finding.ts';

interface Mark {
  /** The marked place. */
  readonly offset: Address;
  /** What its relocation names. */
  readonly value: Address;
}

/** TP022; `sound` is the program without the entries at fault. */
export function* checkMarkers({ image, sites }: Program, sound: Program): Generator<Finding> {
  const code = image.file.sections.filter(
    ({ flags }) => (flags & SHF_EXECINSTR) !== 0 && (flags & SHF_ALLOC) !== 0,
  );
  const marked = code.flatMap((section) => markedBranches(image, section));
  if (marked.length === 0) return;
  const entries = sites.of(staticBranch);
  const listed = new Set(entries.map((site) => site.address));
  const right = new Set(sound.sites.of(staticBranch).map((site) => site.address));
  // An entry of the same key that names no site was made for it: one defect, which is said already.
  const astray = new Astray(entries.flatMap(({ address, key }) => (right.has(address) ? [] : [key])));
  for (const { offset: place, value } of marked) {
    if (listed.has(place) || astray.takes(value)) continue;
    const key = image.arch.relocations.rela ? ` of ${image.describe(value)}` : '';
    const message = `the static branch${key} has no entry in __jump_table; annotate its object`;
    yield { rule: 'TP022', address: place, place: image.describe(place), message };
  }
}

/** The marked branches of one section: their places, with their keys as values. */
function markedBranches(image: Image, section: Section): Mark[] {
  const marks = image.file
    .relocationSections(section.index)
    .filter(({ flags }) => (flags & SHF_ALLOC) === 0)
    .flatMap((relocations) => marksOf(image, relocations));
  const pairs = pairMarks(marks, ({ value }) => image.codeAt(value) !== undefined);
  return pairs.map(({ target, key }) => ({ offset: target.offset, value: key.value }));
}

function marksOf(image: Image, section: Section): Mark[] {
  const { none } = image.arch.relocations;
  const { symbols } = image;
  const { count, type, offset, symbol, addend } = image.file.relocations(section);
  const marks: Mark[] = [];
  for (let i = 0; i < count; i++) {
    const named = symbol[i] as number;
    if (type[i] !== none || named === 0 || !symbols.table || symbols.table.name(named) === keepLockSymbol)
      continue;
    const value = (symbols.table.value[named] as number) + (addend[i] as number);
    marks.push({ offset: offset[i] as number, value });
  }
  return marks;
}
