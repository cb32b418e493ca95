// The order in which boot leaves the tables.
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { entryFinding } from './checked.ts';
import type { Finding } from './finding.ts';

/** TP004, at the first entry of a table that is out of order. */
export function* checkOrder(program: Program): Generator<Finding> {
  const { image } = program;
  for (const kind of kinds) {
    if (!kind.isSorted) continue;
    const sites = program.sites.of(kind);
    for (let i = 1; i < sites.length; i++) {
      const [before, here] = [sites[i - 1] as Site, sites[i] as Site];
      const [key, next] = [keyOf(before) ?? 0, keyOf(here) ?? 0];
      if (key < next || (key === next && before.address <= here.address)) continue;
      const [at, other] = [image.describe(here.address), image.describe(before.address)];
      const message = `the entry of ${at} in ${kind.table.name} must be before the entry of ${other}; tables are sorted by key and then by site`;
      yield entryFinding(program, 'TP004', here, here.entry.address, message);
      break;
    }
  }
}
