// What the notes of objects tell of sites without entry: objects that were never annotated, and sites that were
// separated from their entries after annotate.
import type { Address } from '../bytes/named-numbers.ts';
import type { Program } from '../demand/program.ts';
import { forgottenSources } from '../image/unit-notes.ts';
import { keyOf } from '../kinds/kind.ts';
import { lostSites, recordedKinds, sitesOutsideFunctions } from '../kinds/lost-sites.ts';
import type { Finding } from './finding.ts';

/**
 * TP030 to TP032; `sound` is the program without the entries at fault, and of the places that are `told` another rule
 * has spoken.
 */
export function* checkLostSites(
  program: Program,
  sound: Program,
  told: readonly Finding[],
): Generator<Finding> {
  const { image } = program;
  const outside = sitesOutsideFunctions(sound);
  for (const { kind, site } of outside) {
    const { address, entry } = site;
    const key = keyOf(site);
    const of = key === undefined ? '' : ` of ${image.describe(key)}`;
    const message = `the ${kind.noun}${of} is in code that no function covers`;
    yield { rule: 'TP031', address, place: image.describe(address), message, entry: entry.address };
  }
  // Each of those was made for a site, and so was each entry at fault that names none: one defect, which is said.
  let excuses = outside.length + countAstray(program, sound);
  const lost = [...lostSites(program)];
  const spoken = new Set(lost.length > 0 ? told.map(({ address }) => address) : []);
  for (const { kind, address, isMoved } of lost) {
    if (spoken.has(address) || excuses-- > 0) continue;
    const place = image.describe(address);
    const message = isMoved
      ? `${place} had a ${kind.noun} when it was annotated, was changed since, and has no entry in ${kind.table.name}`
      : `annotate listed the ${kind.noun}, but the site has no entry in ${kind.table.name}`;
    yield { rule: 'TP032', address, place, message };
  }
  for (const { source, count } of forgottenSources(image)) {
    const what = source === undefined ? 'an object' : `the object of ${source}`;
    const message = `${what} has static branches, but was never annotated${count > 1 ? ` (${count} objects)` : ''}`;
    yield { rule: 'TP030', address: undefined, place: source ?? image.file.path, message };
  }
}

/** How many entries at fault stand for a site that they do not name. */
function countAstray(program: Program, sound: Program): number {
  return recordedKinds.reduce((sum, kind) => {
    if (program.sites.of(kind).length === sound.sites.of(kind).length) return sum;
    const right = new Set(sound.sites.of(kind).map(({ entry }) => entry.address));
    const faulty = program.sites.of(kind).filter(({ entry }) => !right.has(entry.address));
    const named = new Set(faulty.map(({ address }) => address));
    const isSite = (address: Address) => kind.mayStand?.(program.image, address) === true;
    return sum + faulty.length - [...named].filter(isSite).length;
  }, 0);
}
