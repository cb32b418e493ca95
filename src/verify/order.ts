// The order in which boot leaves the tables.
import type { Runtime } from '../boot/runtime.ts';
import { entryFinding } from './entries.ts';
import type { Finding } from './finding.ts';

/** TP004, at the first entry of a table that is out of order. */
export function* checkOrder(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const tables = [
    { name: '__jump_table', sites: runtime.branches },
    { name: '.static_call_sites', sites: runtime.callSites },
  ];
  for (const { name, sites } of tables) {
    for (let i = 1; i < sites.length; i++) {
      const before = sites[i - 1] as (typeof sites)[number];
      const here = sites[i] as (typeof sites)[number];
      if (before.key < here.key || (before.key === here.key && before.address <= here.address)) continue;
      const [at, other] = [image.describe(here.address), image.describe(before.address)];
      const message = `the entry of ${at} in ${name} belongs in front of that of ${other}; tables are sorted by key, then code`;
      yield entryFinding(runtime, 'TP004', here, here.entry.address, message);
      break;
    }
  }
}
