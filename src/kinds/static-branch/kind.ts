// The row of static branches.
import type { Arch } from '../../arch/arch.ts';
import { hex, largestOf } from '../../bytes/integer.ts';
import type { Kind } from '../kind.ts';
import {
  type DumpedEntry,
  type DumpedInstruction,
  type DumpedPlace,
  flagsText,
  instructionColumns,
  placeName,
  siteColumns,
} from '../shown.ts';
import { branchAt, branchDemand, branchSizes, branchStates } from './demand.ts';
import { findStaticBranches, findWaysOut } from './find.ts';
import { type BranchSite, branchFields, jumpBit1, jumpBranch, jumpTable, readBranchSites } from './table.ts';

/** An entry of `__jump_table`. */
export interface DumpedJumpEntry extends DumpedEntry {
  /** Where the NOP or the jump stands. */
  readonly site: DumpedPlace;
  /** Where the branch goes when it is taken. */
  readonly target: DumpedPlace;
  /** The static key, without the flags of the field. */
  readonly key: DumpedPlace;
  /** Likely: the site jumps to the target while the key is off; unlikely: while it is on. */
  readonly branch: 'likely' | 'unlikely';
  /** Bit 1 of the key field: the compiler left a jump to be made a NOP; once booted, the site lies in init text. */
  readonly bit1: boolean;
  /** The site lies in init text. */
  readonly init: boolean;
  /** What stands at the site. */
  readonly instruction?: DumpedInstruction;
}

const likelihood = (branch: boolean) => (branch ? 'likely' : 'unlikely');

export const staticBranch: Kind<BranchSite, DumpedJumpEntry> = {
  id: 'jumpTable',
  table: jumpTable,
  aliases: ['jump', 'jump-table', 'jump_table'],
  isInScript: () => true,
  name: 'static branch',
  plural: 'static branches',
  noun: 'static branch',
  group: { id: 'branches', noun: 'static branch', state: 'static branch' },
  statistic: 'staticBranches',
  annotate: {
    option: 'staticBranch',
    options: [{ flags: '--static-branch', description: 'only static branches (__jump_table)' }],
    find: findStaticBranches,
    waysOut: findWaysOut,
  },

  hasKeys: true,
  stateOf(key) {
    const enabled = key.count();
    if (enabled === undefined) return undefined;
    const state = enabled === 0 ? 'off' : 'on';
    return enabled === 0 || enabled === 1 ? { state } : { state, enabled };
  },
  decode([site, target, value], reader) {
    const found = reader.key(value);
    if (!found) return undefined;
    return {
      site: reader.code(site),
      target: reader.code(target),
      key: found.key,
      branch: likelihood((found.flags & jumpBranch) !== 0),
      bit1: (found.flags & jumpBit1) !== 0,
      init: reader.isInit(site),
      ...reader.instruction(site),
    };
  },
  isAsBuilt: ({ bit1, init }) => bit1 && !init,
  columns: [...siteColumns, 'target', 'key', 'branch', 'flags', ...instructionColumns],
  cells: ({ site, target, key, branch, bit1, init, instruction }, tools) => [
    ...tools.site(site),
    placeName(target),
    tools.key(key),
    branch,
    flagsText({ init, 'built as jump': bit1 && tools.isAsBuilt }),
    ...tools.instruction(instruction),
  ],
  identify: ({ site, key, branch }) => ({ place: site, key: placeName(key), flags: branch }),

  read: readBranchSites,
  sizeOf: (image, { address }) => image.instructionAt(address).size,
  longest: ({ maxSite }: Arch) => maxSite,
  places: (_, { address, target }) => [
    { address, what: 'a jump entry names a site', starts: 'instruction' },
    { address: target, what: 'a jump entry names a target', starts: 'instruction' },
  ],
  meaning: ({ key, branch, target }) => `${key} ${branch} ${target}`,
  tell: ({ target, key, branch }) => ` to ${hex(target)}, key ${hex(key)}, ${likelihood(branch)}`,
  isSorted: true,
  target: ({ target }) => target,
  isInit: ({ bit1 }) => bit1,
  reference: (_, { target }) => ({ what: 'target', code: target }),
  changes: ({ image }, site) => [
    [site.address, image.instructionAt(site.address).size || largestOf(branchSizes(image, site))],
    [site.key, 4],
  ],

  mayStand: (image, address) => branchAt(image, { address }) !== undefined,

  demand: branchDemand,
  states: branchStates,
  phase: 'jump_label_init',
  reserves: (image, { address }, { start, end }) =>
    address <= end && address + image.instructionAt(address).size > start,
  isInModules: true,
  link: {
    fields: branchFields,
    isTyped: true,
    module: ['jump_entries', 'num_jump_entries'],
    list: { struct: 'static_key_mod', entries: 'entries', order: ['next', 'entries', 'mod'] },
  },
};
