// Through what functions return (x86_return_thunk), and where: the choice of arch/x86/kernel/cpu/bugs.c.
import type { Image } from '../../image/image.ts';
import { kernelOf, type PassNote, type TextSubject } from '../pass.ts';
import { branchTo, int3, isInLowHalf, jumpOpcode } from './branches.ts';
import type { X86State } from './state.ts';

const returnOpcode = 0xc3;

/** What x86_return_thunk can lead to in any kernel: the compiler's own, and those of mitigations. */
export const returnThunkName = /^(__x86_return_thunk|__x86_return_skl|\w+_return_thunk)$/;

const thunkNames = { ends: ['_return_thunk', '__x86_return_skl'] };

const thunksBySymbols = new WeakMap<Image['symbols'], ReadonlyMap<number, string>>();

/** The return thunks of a kernel by their places; all of its symbols are gone through once. */
function thunksOf(symbols: Image['symbols']): ReadonlyMap<number, string> {
  let thunks = thunksBySymbols.get(symbols);
  if (!thunks) {
    const found = new Map<number, string>();
    for (const { name, address } of symbols.named((of) => returnThunkName.test(of), thunkNames))
      if (!found.has(address)) found.set(address, name);
    thunks = found;
    thunksBySymbols.set(symbols, thunks);
  }
  return thunks;
}

/** A mitigation that sets a feature and the thunk together; names of the thunk, newest first. */
const chosenBy = [
  { feature: 'SRSO_ALIAS', thunks: ['srso_alias_return_thunk'] },
  { feature: 'SRSO', thunks: ['srso_return_thunk'] },
  { feature: 'CALL_DEPTH', thunks: ['call_depth_return_thunk', '__x86_return_skl'] },
] as const;

export interface Returns {
  /** The compiler's thunk, which sites lead to in the file. */
  readonly compiled: number | undefined;
  /** What the kernel writes for a return (patch_return): a jump to the thunk, or ret and int3; undefined: out of reach. */
  at(address: number): Uint8Array | undefined;
  readonly notes: readonly PassNote[];
}

/** What returns become. Features decide whether there is a thunk, and ITS whether it is in one half of the lines alone. */
export function returnsOf(subject: TextSubject<X86State>): Returns {
  const { state, slide } = subject;
  const { symbols } = kernelOf(subject);
  const compiled = symbols.addressOf('__x86_return_thunk');
  const thunk = state.returnThunk ?? compiled;
  const its = symbols.addressOf('its_return_thunk');
  const number = state.feature('RETHUNK');
  const wanted = number !== undefined && state.has(number);
  const plain = Uint8Array.of(returnOpcode, int3, int3, int3, int3);
  const notes = notesOf(subject, thunk);
  if (number === undefined) {
    notes.push({
      severity: 'left',
      message: 'the number of the feature RETHUNK is not known: returns are taken for plain ones',
      input: 'boot_cpu_data',
    });
  }
  return {
    compiled,
    notes,
    at(address) {
      if (!wanted || thunk === undefined) return plain;
      if (thunk === its && !isInLowHalf(address + slide)) return plain;
      return branchTo(jumpOpcode, address, thunk);
    },
  };
}

/** Whether the thunk is one, and the one that the features say. */
function notesOf(subject: TextSubject<X86State>, thunk: number | undefined): PassNote[] {
  const { state } = subject;
  const { symbols } = kernelOf(subject);
  if (state.returnThunk === undefined || thunk === undefined) return [];
  const input = 'x86_return_thunk';
  const name = thunksOf(symbols).get(thunk);
  if (name === undefined)
    return [{ severity: 'wrong', message: 'x86_return_thunk leads to no return thunk of the kernel', input }];
  for (const { feature, thunks } of chosenBy) {
    const number = state.feature(feature);
    const [expected] = thunks.filter((of) => symbols.addressOf(of) !== undefined);
    if (number === undefined || !state.has(number) || expected === undefined) continue;
    if (thunks.some((of) => symbols.addressOf(of) === thunk)) return [];
    const message = `x86_return_thunk leads to ${name}; the processor's features ask for ${expected}`;
    return [{ severity: 'wrong', message, input }];
  }
  return [];
}
