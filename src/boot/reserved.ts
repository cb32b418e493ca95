// Whether code may be changed by somebody else: jump_label_text_reserved, static_call_text_reserved and
// alternatives_text_reserved.
import { lockPrefix } from '../kinds/lock-prefix/kind.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import type { Part, Runtime } from './runtime.ts';

export interface Reserved {
  readonly branches: boolean;
  readonly calls: boolean;
  readonly locks: boolean;
}

/** What patching owns between two addresses, both of which count, as in the kernel (of locks the last does not). */
export function textReserved({ program, state }: Runtime, start: number, end: number): Reserved {
  const { image } = program;
  // A module is asked only if it holds the start.
  const module = state.modules.find((m) => m.image.contains(start));
  const parts: readonly Part[] = module ? [program, module] : [program];
  const overlaps = (address: number, size: number) => address <= end && address + size > start;
  // Sites in init text count until that is freed, in a module until it is loaded.
  const counts = (part: Part, isInit: boolean) => !isInit || (part === program && !state.initFreed);
  return {
    branches: parts.some((part) =>
      part.sites
        .of(staticBranch)
        .some(
          ({ address, bit1 }) => counts(part, bit1) && overlaps(address, image.instructionAt(address).size),
        ),
    ),
    calls: parts.some((part) =>
      part.sites.of(staticCall).some(({ address, init }) => {
        const size = Math.max(...image.instructionsAt(address).branchSizes);
        return counts(part, init) && overlaps(address, size);
      }),
    ),
    // Kept in mind only where they were dropped, and for good.
    locks:
      state.cpus.haveDropped &&
      parts.some((part) =>
        part.sites.of(lockPrefix).some(({ address }) => start <= address && address < end),
      ),
  };
}
