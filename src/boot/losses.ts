// Static branches of a program that no entry lists: what changes a key does not reach them.
import type { Program } from '../demand/program.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { forgottenSources } from '../image/unit-notes.ts';
import { lostSites, sitesOutsideFunctions } from '../kinds/lost-sites.ts';

const known = new WeakMap<Image, string | undefined>();

/** What is missing from the tables of a program, in words; undefined where nothing is known to be. */
export function lossOf(program: Program): string | undefined {
  if (!known.has(program.image)) known.set(program.image, findLoss(program));
  return known.get(program.image);
}

function findLoss(program: Program): string | undefined {
  const { image } = program;
  const forgotten = forgottenSources(image);
  if (forgotten.length > 0) {
    const names = forgotten.slice(0, 3).map(({ source = 'an unknown source' }) => source);
    const more = forgotten.length > names.length ? ` and ${forgotten.length - names.length} more` : '';
    return (
      `static branches of ${names.join(', ')}${more} were never annotated ` +
      '(or the linker compiled the code again: LTO)'
    );
  }
  const [outside] = sitesOutsideFunctions(program);
  if (outside) {
    const place = image.describe(outside.site.address);
    return `a ${outside.kind.noun} at ${place} is in code that no function covers (a post-link tool moved it)`;
  }
  const lost = lostSites(program);
  const [first] = lost;
  if (!first) return undefined;
  return `${lost.length} static branches have lost their entries (the first is at ${image.describe(first.address)})`;
}

/** Throws `step-refused` where a change of a key, which a step calls `key`, would leave branches of it behind. */
export function requireComplete(program: Program, key: string): void {
  const loss = lossOf(program);
  if (loss === undefined) return;
  throw new TextpokeError(
    'step-refused',
    `${loss}, so a change of the key ${key} may not reach all of its branches; textpoke verify lists what is missing`,
    { file: program.image.file.path },
  );
}
