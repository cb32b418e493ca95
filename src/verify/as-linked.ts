// What shows that boot has been at an image: sites that are patched, and entries that only boot flags.
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { TextpokeError } from '../errors.ts';
import type { Kind } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';

/** One patched site among so many others is damage: boot leaves none out. */
const fewest = 100;

/** True where nothing that boot writes is there, but for single places that something else may have written. */
export function wasNeverBooted(program: Program): boolean {
  let sites = 0;
  let patched = 0;
  for (const kind of kinds) {
    if (hasFlagsOfBoot(program, kind)) return false;
    for (const site of kind.isAsLinked ? program.sites.of(kind) : []) {
      if (!program.image.codeAt(site.address)) continue;
      sites++;
      if (!isAsLinked(program, kind, site)) patched++;
    }
  }
  return patched * fewest <= sites;
}

/**
 * True where the flags of entries tell sites in init text from others. A linker leaves the same flag in all of them (objtool
 * of x86 sets it).
 */
function hasFlagsOfBoot({ image, sites }: Program, kind: Kind): boolean {
  const of = { init: 0, other: 0, wrong: 0 };
  for (const site of kind.isInit ? sites.of(kind) : []) {
    const isInit = image.isInitText(site.address);
    of[isInit ? 'init' : 'other']++;
    if (kind.isInit?.(site) !== isInit) of.wrong++;
  }
  return of.wrong * 2 < Math.min(of.init, of.other);
}

function isAsLinked(program: Program, kind: Kind, site: Site): boolean {
  try {
    return kind.isAsLinked?.(program, site) ?? true;
  } catch (error) {
    // What cannot be read at all is another rule's finding.
    if (error instanceof TextpokeError && error.code !== 'defect') return false;
    throw error;
  }
}
