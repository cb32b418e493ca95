// The row of the ARM kernel's sites for one CPU.
import { hexBytes } from '../../bytes/integer.ts';
import { barrierGroup, type DumpedBarrier } from '../barrier/kind.ts';
import type { Kind } from '../kind.ts';
import { type DumpedInstruction, instructionColumns, siteColumns } from '../shown.ts';
import { isReplaced, type OneCpuSite, oneCpuPatches, oneCpuStates } from './demand.ts';
import { altSmp, readOneCpuSites, replacementSize } from './table.ts';

/** An entry of `.alt.smp.init`; its site may be a word of data. */
export interface DumpedAlternative extends DumpedBarrier {
  /** What one CPU needs at the site: bytes in the order of memory. */
  readonly replacement?: DumpedInstruction;
}

export const oneCpu: Kind<OneCpuSite, DumpedAlternative> = {
  id: 'altSmp',
  table: altSmp,
  aliases: ['alt', 'alt-smp', 'alt.smp.init'],
  isInScript: () => false, // the kernel's, in its own script
  name: 'site for one CPU',
  plural: 'sites for one CPU',
  noun: 'site for one CPU',
  group: barrierGroup,

  hasKeys: false,
  decode: ([site], reader, bytes) => ({
    site: reader.code(site),
    ...reader.replaced(site, bytes.subarray(4)),
  }),
  columns: [...siteColumns, ...instructionColumns, 'one CPU', 'instruction'],
  cells: ({ site, instruction, replacement }, tools) => [
    ...tools.site(site),
    ...tools.instruction(instruction),
    ...tools.instruction(replacement),
  ],
  identify: ({ site }) => ({ place: site }),

  read: readOneCpuSites,
  sizeOf: (image, { address }) => image.instructionAt(address).size,
  longest: () => replacementSize,
  // The kernel's tables of functions and processors hold words for one CPU, too.
  places: (image, { address, replacement }) =>
    image.isData(address, replacement.length)
      ? []
      : [{ address, what: 'an entry for one CPU names a site', starts: 'instruction' }],
  meaning: () => '',
  tell: ({ replacement }) => `, replacement ${hexBytes(replacement)}`,
  changes: (_, { address }) => [[address, replacementSize]],

  states: oneCpuStates,
  phase: 'SMP alternatives',
  forCpus(program, sites, cpus) {
    // Whatever the number of CPUs: a table that leads nowhere is refused.
    const patches = oneCpuPatches(program, sites);
    if (cpus === 1) return { patches };
    const replaced = sites.filter((site) => isReplaced(program, site)).length;
    if (replaced === 0) return { patches: [] };
    const note = `${replaced} of ${sites.length} sites of ${altSmp.name} already hold the bytes for one CPU; the table does not contain the original bytes`;
    return { patches: [], note };
  },
};
