// Static branches as a pass over the text of a machine on which a site has one form for each state of its key: what it must
// hold is asked of the kind (kinds/static-branch), with keys from memory and code as it must be.
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { programOf } from '../kinds/registry.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import type { PassNote, PassResult, TextPass } from './pass.ts';
import type { ReplayImage } from './replay-image.ts';

/** `replay`: code as it must be, data of the memory. */
export function staticBranches(image: Image, replay: ReplayImage): TextPass<unknown> {
  return {
    kind: 'static-branch',
    name: 'static branches',
    run({ texts }): PassResult {
      const program = programOf(replay, { tables: image });
      const notes: PassNote[] = [];
      let count = 0;
      for (const site of program.sites.of(staticBranch)) {
        const { address, key } = site;
        // Keys of init text may be gone.
        if (image.isInitText(address)) continue;
        count++;
        const input = image.describe(key);
        try {
          const demand = staticBranch.demand?.(program, site, { state: 'booted' });
          if (!demand) continue;
          if ('unpatchable' in demand) {
            notes.push({ severity: 'wrong', address, message: demand.unpatchable, input });
            continue;
          }
          const [bytes] = demand.right;
          texts.holding(address, bytes.length)?.write(address, bytes, 'static-branch');
        } catch (error) {
          if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
          notes.push({ severity: 'left', address, message: error.message, input });
        }
      }
      return { sites: count, notes };
    },
  };
}
