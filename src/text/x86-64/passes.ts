// The passes over the text of an x86-64 kernel, in the order in which its version makes them.
import type { TextPass } from '../pass.ts';
import { alternatives } from './alternatives.ts';
import { constants } from './constants.ts';
import type { KeyedPasses } from './keyed.ts';
import { paravirt } from './paravirt.ts';
import type { X86State } from './state.ts';

/** In the order of start-up (setup_arch, start_kernel, alternative_instructions), and behind it what goes on for ever. */
export function x86Passes({ version }: X86State, keyed: KeyedPasses): readonly TextPass<X86State>[] {
  const [major] = version;
  const early = [keyed.branches, keyed.calls];
  const later = [keyed.locks, constants, keyed.branches, keyed.calls, keyed.trampolines];
  if (major < 6) return [...early, alternatives, ...later, paravirt];
  return [...early, paravirt, alternatives, ...later];
}
