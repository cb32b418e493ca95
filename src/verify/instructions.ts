// What sites hold, against what is demanded of them.
import { sameBytes } from '../bytes/integer.ts';
import type { Circumstances, Demand } from '../demand/patch.ts';
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { TextpokeError } from '../errors.ts';
import { type Kind, keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type Finding, later } from './finding.ts';
import { checkTrampolines } from './trampolines.ts';
import { wrongBytes } from './wrong-bytes.ts';

/** TP007, TP008, TP012, TP021. */
export function* checkInstructions(program: Program, circumstances: Circumstances): Generator<Finding> {
  const { image, sites } = program;
  const seen = new Set<number>();
  const wrongKeys = new Set<number>();
  for (const kind of kinds) {
    const listed = kind.demand ? sites.of(kind) : [];
    const judge = (which: number) => checkSite(program, kind, listed[which] as Site, circumstances);
    for (const [i, site] of listed.entries()) {
      if (seen.has(site.address) || !image.codeAt(site.address)) continue;
      seen.add(site.address);
      const finding = later(judge, i);
      if (!finding) continue;
      const key = keyOf(site);
      if (key !== undefined) wrongKeys.add(key);
      yield finding;
    }
  }
  // Where sites contradict the key, its trampoline may be as right as they are.
  yield* checkTrampolines(program, wrongKeys);
}

/** What is demanded of a site; undefined where its key cannot be read at all, which is another rule's finding. */
function demandOf(
  program: Program,
  kind: Kind,
  site: Site,
  circumstances: Circumstances,
): Demand | undefined {
  try {
    return kind.demand?.(program, site, circumstances);
  } catch (error) {
    if (error instanceof TextpokeError && error.code !== 'defect') return undefined;
    throw error;
  }
}

function checkSite(
  program: Program,
  kind: Kind,
  site: Site,
  circumstances: Circumstances,
): Finding | undefined {
  const demand = demandOf(program, kind, site, circumstances);
  if (!demand) return undefined;
  const { address } = site;
  if ('unpatchable' in demand)
    return wrongBytes(program, 'TP021', address, demand.unpatchable, undefined, demand.size);
  const holds = (bytes: Uint8Array) => sameBytes(program.image.readUpTo(address, bytes.length), bytes);
  if (demand.right.some(holds)) return undefined;
  return wrongBytes(program, 'TP007', address, demand.why, demand.right[0]);
}
