// The passes over the text of an x86-64 kernel, in the order in which its version makes them.
import type { Image } from '../../image/image.ts';
import type { TextPass } from '../pass.ts';
import { alternatives } from './alternatives.ts';
import { callThunks, countsBehindAlternatives } from './call-thunks.ts';
import { cfi } from './cfi.ts';
import { constants } from './constants.ts';
import { endbrSeal } from './endbr.ts';
import { ftraceNop, ftraceNops } from './ftrace.ts';
import type { KeyedPasses } from './keyed.ts';
import { paravirt } from './paravirt.ts';
import { retpolines } from './retpolines.ts';
import { returns } from './returns.ts';
import type { X86State } from './state.ts';

type Pass = TextPass<X86State>;

/**
 * In the order of start-up (setup_arch, start_kernel, alternative_instructions), and behind it what goes on for ever. Static
 * calls come twice: other passes look at what stands at their sites, and what they write then is not the last word.
 */
export function x86Passes(image: Image, state: X86State, keyed: KeyedPasses): readonly Pass[] {
  const { branches, calls, trampolines, locks } = keyed;
  const early = [branches, calls, ftraceNops(ftraceNop(image, state))];
  const later = [locks, constants, calls, trampolines, branches];
  // 5.10 writes the operations over what alternatives made; later kernels the other way round.
  if (state.version[0] < 6)
    return [...early, retpolines, returns, alternatives, endbrSeal, ...later, paravirt];
  const middle = countsBehindAlternatives(state) ? [alternatives, callThunks] : [callThunks, alternatives];
  return [...early, paravirt, cfi, retpolines, returns, ...middle, endbrSeal, ...later];
}
