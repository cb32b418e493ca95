// The kinds of sites that textpoke knows, one row each. A new kind is a folder beside this file and a row here.
import type { TableRow } from '../bytes/table.ts';
import { staticKeysNamed } from '../demand/keys.ts';
import { type Program, type ProgramSource, readProgram } from '../demand/program.ts';
import { SiteLists } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import { barrier, type DumpedBarrier } from './barrier/kind.ts';
import { type Group, isKind, type Kind, keyOf, type TableKind } from './kind.ts';
import { type DumpedLock, keptLock, lockPrefix } from './lock-prefix/kind.ts';
import { type DumpedAlternative, oneCpu } from './one-cpu/kind.ts';
import { type DumpedJumpEntry, staticBranch } from './static-branch/kind.ts';
import { type DumpedCallSite, staticCall } from './static-call/kind.ts';
import { type DumpedTrampolineKey, trampolineKey } from './trampoline-key/kind.ts';

/** What an entry of each table shows, by the name of the table in JSON. */
export interface TableEntries {
  /** `__jump_table`: static branches. */
  readonly jumpTable: DumpedJumpEntry;
  /** `.static_call_sites`. */
  readonly staticCallSites: DumpedCallSite;
  /** `.smp_locks`: lock prefixes that one CPU does not need. */
  readonly smpLocks: DumpedLock;
  /** `.smp_locks.kept`: lock prefixes that must never be dropped. */
  readonly keptLocks: DumpedLock;
  /** `.smp_barriers`: barriers that one CPU does not need, on ARM. */
  readonly smpBarriers: DumpedBarrier;
  /** `.alt.smp.init`: sites of the 32-bit ARM kernel that one CPU replaces. */
  readonly altSmp: DumpedAlternative;
  /** `.static_call_tramp_key`: keys of calls that modules may make but not update. */
  readonly trampolineKeys: DumpedTrampolineKey;
}

const rows = {
  jumpTable: staticBranch,
  staticCallSites: staticCall,
  smpLocks: lockPrefix,
  keptLocks: keptLock,
  smpBarriers: barrier,
  altSmp: oneCpu,
  trampolineKeys: trampolineKey,
} as const satisfies { readonly [Name in keyof TableEntries]: TableKind<TableEntries[Name]> };

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

/**
 * The sites that a module lists, with the keys of those whose entries leave them to the kernel. `image` is the kernel
 * with its modules, `tables` its file. Errors: `table-malformed`, `step-refused`.
 */
export function moduleSites(of: Image, image: Image, tables = image): SiteLists {
  return new SiteLists(
    new Map(
      kinds
        .filter((kind) => kind.isInModules)
        .map((kind) => {
          const sites = kind.read(of);
          return [kind.id, kind.withKeys?.(image, sites, tables) ?? sites];
        }),
    ),
  );
}

/** How many sites a program has that patching changes; without any there is nothing to boot or to verify. */
export function countSites({ sites }: Program): number {
  return kinds.reduce((sum, kind) => sum + (kind.group ? sites.of(kind).length : 0), 0);
}

/** How many sites there are, by group, as JSON names them: `branches`, `calls`, `locks`, `barriers`. */
export type SiteCounts = Readonly<Record<string, number>>;

/** How many sites there are in each group, in the order of the rows. */
export function countGroups({ sites }: Pick<Program, 'sites'>): SiteCounts {
  const counts: Record<string, number> = {};
  for (const kind of kinds) {
    if (kind.group) counts[kind.group.id] = (counts[kind.group.id] ?? 0) + sites.of(kind).length;
  }
  return counts;
}

/** The groups of some kinds, each once. */
export function groupsOf(of: (kind: Kind) => boolean): Group[] {
  return [...new Set(kinds.flatMap((kind) => (kind.group && of(kind) ? [kind.group] : [])))];
}

/** The groups of sites that modules bring. */
export const moduleGroups: readonly Group[] = groupsOf((kind) => kind.isInModules === true);

/** The static keys that a person's name or pattern means. Errors: those of names. */
export function keysOfProgram({ image, sites }: Pick<Program, 'image' | 'sites'>, text: string): number[] {
  const listed = new Set(sites.of(staticBranch).flatMap((site) => keyOf(site) ?? []));
  return staticKeysNamed(image, text, listed, (key) => listed.has(key));
}
