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

/** From paravirt calls to the endbr seal (alternative_instructions, and module_finalize of a module). */
function middle(state: X86State): readonly Pass[] {
  // 5.10 writes the operations of paravirt calls over what alternatives made; later kernels the other way round.
  if (isOld(state)) return [retpolines, returns, alternatives, endbrSeal];
  const counted = countsBehindAlternatives(state) ? [alternatives, callThunks] : [callThunks, alternatives];
  return [paravirt, cfi, retpolines, returns, ...counted, endbrSeal];
}

const isOld = ({ version }: X86State): boolean => version[0] < 6;

/**
 * In the order of start-up (setup_arch, start_kernel, alternative_instructions), and behind it what goes on for ever. Static
 * calls come twice: other passes look at what stands at their sites, and what they write then is not the last word.
 */
export function x86Passes(image: Image, state: X86State, keyed: KeyedPasses): readonly Pass[] {
  const { branches, calls, trampolines, locks } = keyed;
  const early = [branches, calls, ftraceNops(ftraceNop(image, state))];
  const later = [locks, constants, calls, trampolines, branches];
  return [...early, ...middle(state), ...later, ...(isOld(state) ? [paravirt] : [])];
}

/**
 * In the order in which a module is loaded (load_module: module_finalize, ftrace_module_init, then what waits for modules
 * that come). Calls and branches are patched when everything else has been.
 */
export function x86ModulePasses(kernel: Image, state: X86State, keyed: KeyedPasses): readonly Pass[] {
  const { branches, calls, trampolines, locks } = keyed;
  const nops = ftraceNops(ftraceNop(kernel, state));
  const old = isOld(state) ? [paravirt] : [];
  return [...middle(state), locks, ...old, constants, nops, calls, trampolines, branches];
}
