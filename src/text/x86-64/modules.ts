// What an x86-64 kernel makes of the text of a module when it loads it, and since then.
import { readAlternatives } from '../../image/alternatives.ts';
import type { FoundModule } from '../../memory/kernel/module-files.ts';
import type { LiveText } from '../live.ts';
import { type KernelReplay, replayModules } from '../modules.ts';
import type { ReplayedModule } from '../result.ts';
import { keyedPasses } from './keyed.ts';
import { x86ModulePasses } from './passes.ts';
import type { X86State } from './state.ts';

export interface X86KernelReplay extends KernelReplay {
  readonly state: X86State;
  readonly isFunction: (address: number) => boolean;
  readonly live: LiveText;
}

/** The text of each module, in their order. Errors: `memory-malformed`. */
export function replayX86Modules(
  kernel: X86KernelReplay,
  modules: readonly FoundModule[],
): readonly ReplayedModule[] {
  const { image, state, isFunction, live } = kernel;
  return replayModules(kernel, modules, ({ image: module, program, isGone }) => {
    const alternatives = readAlternatives(module, { entrySize: state.alternatives?.entrySize, isGone });
    const keyed = keyedPasses(image, { program, isFunction, patchesEarly: false });
    return {
      state: { ...state, alternatives },
      passes: [...x86ModulePasses(image, state, keyed), ...live.passes],
    };
  });
}
