// What must and may stand at a site that the ARM kernel replaces on one CPU (arch/arm/kernel/head.S,
// __do_fixup_smp_on_up). The table does not say what stood there before, so there is no way back.
import { hexBytes, sameBytes } from '../../bytes/integer.ts';
import type { Patch, State } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import type { Site } from '../../demand/sites.ts';
import { TextpokeError } from '../../errors.ts';

/** A site with the instruction that one CPU needs there. */
export interface OneCpuSite extends Site {
  readonly replacement: Uint8Array;
}

/** The kernel's replacements for one CPU. Error `table-malformed`. */
export function oneCpuPatches({ image }: Program, sites: readonly OneCpuSite[]): Patch[] {
  return sites.map(({ address, replacement, entry }) => {
    // Tables of functions and processors, and smp_on_up itself, are data (arch/arm/kernel/head.S, mm/proc-v7.S).
    if (!image.isInstructionStart(address) && !image.isData(address, replacement.length)) {
      throw new TextpokeError(
        'table-malformed',
        `the site ${image.describe(address)} of an entry is neither an instruction nor data of the image`,
        { file: image.file.path, section: '.alt.smp.init', offset: entry.address },
      );
    }
    const current = image.read(address, replacement.length).slice();
    return {
      address,
      allowed: [{ bytes: current, meaning: 'for several CPUs' }],
      bytes: replacement,
      reason: `one CPU: ${hexBytes(replacement)}`,
    };
  });
}

/** True when a site holds what one CPU needs. */
export function isReplaced({ image }: Program, { address, replacement }: OneCpuSite): boolean {
  return sameBytes(image.readUpTo(address, replacement.length), replacement);
}

/** Both byte strings that may stand at a site. */
export function oneCpuStates({ image }: Program, { address, replacement }: OneCpuSite): State[] {
  return [
    { bytes: image.read(address, replacement.length).slice(), meaning: 'unchanged' },
    { bytes: replacement, meaning: 'one CPU' },
  ];
}
