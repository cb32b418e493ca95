// The kinds of sites that textpoke knows, one row each. A new kind is a folder beside this file and a row here.
import type { TableRow } from '../bytes/table.ts';
import { type Program, type ProgramSource, readProgram } from '../demand/program.ts';
import type { Image } from '../image/image.ts';
import { barrier } from './barrier/kind.ts';
import { isKind, type Kind, type TableKind } from './kind.ts';
import { keptLock, lockPrefix } from './lock-prefix/kind.ts';
import { oneCpu } from './one-cpu/kind.ts';
import { staticBranch } from './static-branch/kind.ts';
import { staticCall } from './static-call/kind.ts';
import { trampolineKey } from './trampoline-key/kind.ts';

const rows = {
  jumpTable: staticBranch,
  staticCallSites: staticCall,
  smpLocks: lockPrefix,
  keptLocks: keptLock,
  smpBarriers: barrier,
  altSmp: oneCpu,
  trampolineKeys: trampolineKey,
} as const;

/** The rows by the names of their tables in JSON. */
export type Rows = typeof rows;

/** Every table, in the order of dump, which is the order of the kernel's boot. */
export const tableKinds: readonly TableKind[] = Object.values(rows);

/** Every kind of site, in the same order. */
export const kinds: readonly Kind[] = tableKinds.filter(isKind);

/** The kinds that annotate lists, in the order in which options and statistics name them. */
export const listedKinds: readonly Kind[] = [
  staticCall,
  staticBranch,
  ...kinds.filter((kind) => kind.statistic !== undefined && kind !== staticCall && kind !== staticBranch),
];

/** Every table's row. */
export const tables: readonly TableRow[] = tableKinds.map(({ table }) => table);

/** The program of an image with the sites of every kind. Errors as `readProgram`. */
export function programOf(image: Image, source?: ProgramSource): Program {
  return readProgram(image, kinds, source);
}

/** How many sites a program has that patching changes; without any there is nothing to boot or to verify. */
export function countSites({ sites }: Program): number {
  return kinds.reduce((sum, kind) => sum + (kind.group ? sites.of(kind).length : 0), 0);
}

/** How many sites there are in each group, in the order of the rows; groups are named as JSON names them. */
export function countGroups({ sites }: Pick<Program, 'sites'>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of kinds) {
    if (kind.group) counts[kind.group.id] = (counts[kind.group.id] ?? 0) + sites.of(kind).length;
  }
  return counts;
}
