// What an arm64 kernel makes of the text of a module when it loads it (arch/arm64/kernel/module.c, module_finalize), and since
// then.

import type { Image } from '../../image/image.ts';
import { arm64Loader } from '../../link/aarch64-loader.ts';
import type { CodeLoaderOf } from '../../link/code-loader.ts';
import type { FoundModule } from '../../memory/kernel/module-files.ts';
import { type KernelReplay, replayModules } from '../modules.ts';
import type { ReplayedModule } from '../result.ts';
import { staticBranches } from '../static-branches.ts';
import { alternatives } from './alternatives.ts';
import { constants } from './constants.ts';
import { ftraceEntries, ftraceNops, tracingEntries } from './ftrace.ts';
import type { LiveArm64 } from './live.ts';
import type { Arm64State } from './state.ts';

export interface Arm64KernelReplay extends KernelReplay {
  readonly state: Arm64State;
  /** What goes on behind start-up. */
  readonly live: Pick<LiveArm64, 'passes' | 'updates'>;
}

/** The text of each module, in their order. Errors: `memory-malformed`. */
export function replayArm64Modules(
  kernel: Arm64KernelReplay,
  modules: readonly FoundModule[],
): readonly ReplayedModule[] {
  const { state, live } = kernel;
  return replayModules<Arm64State>(kernel, modules, ({ program }) => ({
    state,
    passes: [
      alternatives,
      ftraceEntries,
      ftraceNops,
      constants,
      staticBranches(program),
      ...live.passes,
      ...live.updates(program),
    ],
  }));
}

/** How the kernel links modules. */
export function arm64ModuleLoader(kernel: Image, state: Arm64State): CodeLoaderOf {
  const erratum = state.cap('adrp');
  return arm64Loader({
    hasErratum: erratum !== undefined && state.has(erratum),
    tracingEntries: tracingEntries(kernel),
  });
}
