// Sites that have something in common, as they are counted.
import type { KeyGroup, SiteGroup, TableSummary } from './summary.ts';

/** Tells places apart: a number only within a file, text in all members of an archive. */
export type Identity = number | string;

/** A group that grows. */
export type Growing<Group extends SiteGroup = SiteGroup> = Group & {
  name: string;
  sites: number;
  bytes: number;
  initSites: number;
  readonly tables: Record<string, number>;
};

/** Groups by what tells them apart. */
export type Groups<Group extends SiteGroup = SiteGroup> = Map<Identity, Growing<Group>>;

/** What was counted in a file. */
export interface FileTally {
  readonly tables: readonly TableSummary[];
  readonly textBytes: number;
  readonly initBytes: number;
  readonly patchableBytes: number;
  readonly sites: number;
  readonly initSites: number;
  readonly keys: Groups<KeyGroup>;
  readonly functions: Groups;
  readonly files: Groups;
  readonly sections: Groups;
}

/** What is added up. */
export type SiteNumbers = Pick<SiteGroup, 'sites' | 'bytes' | 'initSites'>;

/** The group of an identity; it is made, without a site, if this is the first time. */
export function groupOf<Group extends SiteGroup>(
  groups: Groups<Group>,
  identity: Identity,
  make: () => Omit<Group, keyof SiteNumbers | 'tables'>,
): Growing<Group> {
  const known = groups.get(identity);
  if (known) return known;
  const made = { ...make(), sites: 0, bytes: 0, initSites: 0, tables: {} } as unknown as Growing<Group>;
  groups.set(identity, made);
  return made;
}

/** Adds to a group what a table lists. */
export function addTo(
  group: Growing,
  tables: Iterable<readonly [table: string, sites: number]>,
  { sites, bytes, initSites }: SiteNumbers,
): void {
  group.sites += sites;
  group.bytes += bytes;
  group.initSites += initSites;
  for (const [table, listed] of tables) group.tables[table] = (group.tables[table] ?? 0) + listed;
}

/** Orders in which groups can be listed. */
const comparisons = {
  sites: (a: SiteGroup, b: SiteGroup) => b.sites - a.sites,
  bytes: (a: SiteGroup, b: SiteGroup) => b.bytes - a.bytes,
  init: (a: SiteGroup, b: SiteGroup) => b.initSites - a.initSites,
  name: () => 0,
  address: (a: SiteGroup, b: SiteGroup) => byAddress(a.address ?? '', b.address ?? ''),
} as const;

export type GroupOrder = keyof typeof comparisons;
export const groupOrders = Object.keys(comparisons) as readonly GroupOrder[];

/** Groups in an order; what is alike in it is in order of names, then of addresses and members. */
export function inOrder<Group extends SiteGroup>(groups: Iterable<Group>, order: GroupOrder): Group[] {
  const compare = comparisons[order];
  return [...groups].sort(
    (a, b) =>
      compare(a, b) ||
      byText(a.name, b.name) ||
      byAddress(a.address ?? '', b.address ?? '') ||
      byText(a.member ?? '', b.member ?? ''),
  );
}

/** By code units: no output depends on a locale. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `0x...` of up to 16 digits. */
function byAddress(a: string, b: string): number {
  return a.length - b.length || byText(a, b);
}
