// Whether code may be changed by somebody else: jump_label_text_reserved, static_call_text_reserved and
// alternatives_text_reserved.
import type { Runtime, Sites } from './runtime.ts';

export interface Reserved {
  readonly branches: boolean;
  readonly calls: boolean;
  readonly locks: boolean;
}

/** What patching owns between two addresses, both of which count, as in the kernel (of locks the last does not). */
export function textReserved(runtime: Runtime, start: number, end: number): Reserved {
  const { image } = runtime;
  // A module is asked only if it holds the start.
  const module = runtime.modules.find((m) => m.image.contains(start));
  const parts: readonly Sites[] = module ? [runtime, module] : [runtime];
  const overlaps = (address: number, size: number) => address <= end && address + size > start;
  // Sites in init text count until that is freed, in a module until it is loaded.
  const counts = (part: Sites, isInit: boolean) => !isInit || (part === runtime && !runtime.initFreed);
  return {
    branches: parts.some((part) =>
      part.branches.some(
        ({ address, bit1 }) => counts(part, bit1) && overlaps(address, image.instructionAt(address).size),
      ),
    ),
    calls: parts.some((part) =>
      part.callSites.some(({ address, init }) => {
        const size = Math.max(...image.instructionsAt(address).branchSizes);
        return counts(part, init) && overlaps(address, size);
      }),
    ),
    // Kept in mind only where they were dropped, and for good.
    locks:
      runtime.locksListed &&
      parts.some((part) => part.locks.some(({ address }) => start <= address && address < end)),
  };
}
