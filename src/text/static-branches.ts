// Static branches as a pass over the text of a machine on which a site has one form for each state of its key: what it must
// hold is asked of the kind (kinds/static-branch), with keys from memory and code as it must be.
import { sameBytes } from '../bytes/integer.ts';
import type { Program } from '../demand/program.ts';
import { TextpokeError } from '../errors.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { isGone, type PassNote, type PassResult, type TextPass } from './pass.ts';

const twoNops =
  'a branch that was on and is off has the NOP that the kernel writes, and one that never was has that of the compiler';

/** The places, and where each leads while its branch is taken. */
export const branchesOf = (program: Program) => program.sites.of(staticBranch);

/** `program`: what the image or the module lists; code as it must be, data of the memory. */
export function staticBranches(program: Program): TextPass<unknown> {
  return {
    kind: 'static-branch',
    name: 'static branches',
    run(subject): PassResult {
      const { image, texts } = subject;
      const notes: PassNote[] = [];
      let count = 0;
      for (const site of branchesOf(program)) {
        const { address, key } = site;
        // Keys of init text may be gone.
        if (isGone(subject, address)) continue;
        count++;
        const input = image.describe(key);
        try {
          const demand = staticBranch.demand?.(program, site, { state: 'booted' });
          if (!demand) continue;
          if ('unpatchable' in demand) {
            notes.push({ severity: 'wrong', address, message: demand.unpatchable, input });
            continue;
          }
          const { right } = demand;
          const [written] = right;
          const text = texts.holding(address, written.length);
          if (!text) continue;
          const before = text.at(address, written.length);
          // What is right already was not written to, unless it was something else in between.
          const bytes = right.find((one) => sameBytes(one, before)) ?? written;
          for (const other of right)
            if (other !== bytes)
              text.accept({ address, bytes: other.slice(), kind: 'static-branch', why: twoNops });
          text.write(address, bytes, 'static-branch');
        } catch (error) {
          if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
          notes.push({ severity: 'left', address, message: error.message, input });
        }
      }
      return { sites: count, notes };
    },
  };
}
