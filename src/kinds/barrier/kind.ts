// The row of barriers between CPUs.
import type { Site } from '../../demand/sites.ts';
import { readImageTable } from '../../image/tables.ts';
import type { Kind } from '../kind.ts';
import {
  type DumpedEntry,
  type DumpedInstruction,
  type DumpedPlace,
  instructionColumns,
  siteColumns,
} from '../shown.ts';
import { barrierPatches, barrierStates } from './demand.ts';
import { findBarriers } from './find.ts';
import { smpBarriers } from './table.ts';

/** An entry of `.smp_barriers`. */
export interface DumpedBarrier extends DumpedEntry {
  /** Where the barrier stands. */
  readonly site: DumpedPlace;
  /** What stands there. */
  readonly instruction?: DumpedInstruction;
}

/** Both tables of ARM are counted as one. */
export const barrierGroup = { id: 'barriers', noun: 'barrier', state: 'barrier' } as const;

export const barrier: Kind<Site, DumpedBarrier> = {
  id: 'smpBarriers',
  table: smpBarriers,
  aliases: ['barrier', 'barriers', 'smp-barriers', 'smp_barriers'],
  isInScript: (arch) => arch.instructionsOf(0).smpBarriers.length > 0,
  name: 'barrier',
  plural: 'barriers',
  noun: 'site for one CPU',
  group: barrierGroup,
  statistic: 'barriers',
  annotate: {
    option: 'smpBarriers',
    options: [{ flags: '--smp-barriers', description: 'also barriers between CPUs, on ARM (.smp_barriers)' }],
    optIn: true,
    find: findBarriers,
  },

  hasKeys: false,
  decode: ([site], reader) => ({
    site: reader.code(site),
    ...reader.instruction(site),
  }),
  columns: [...siteColumns, ...instructionColumns],
  cells: ({ site, instruction }, tools) => [...tools.site(site), ...tools.instruction(instruction)],
  identify: ({ site }) => ({ place: site }),

  read: (image) =>
    Array.from(readImageTable(image, smpBarriers), ({ address: at, fields }) => ({
      entry: { address: at },
      address: fields[0] as number,
    })),
  sizeOf: (image, { address }) => image.instructionAt(address).size,
  longest: ({ maxSite }) => maxSite,
  places: (_, { address }) => [{ address, what: 'an entry for one CPU names a site', starts: 'instruction' }],
  meaning: () => '',
  tell: () => '',
  changes: (_, { address }) => [[address, 4]],

  states: barrierStates,
  phase: 'SMP alternatives',
  forCpus: (program, sites, cpus) => ({ patches: barrierPatches(program, sites, cpus) }),
};
