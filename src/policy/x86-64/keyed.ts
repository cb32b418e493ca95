// Static branches, static calls with their trampolines, and locks: what the kinds (kinds/) say may stand there, for whatever
// their keys hold.

import type { CallTarget } from '../../arch/arch.ts';
import { hexBytes, sameBytes } from '../../bytes/integer.ts';
import type { Address } from '../../bytes/named-numbers.ts';
import type { ListedValues, State } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import { droppedLocks, lockPatches } from '../../kinds/lock-prefix/demand.ts';
import { lockPrefix } from '../../kinds/lock-prefix/kind.ts';
import { programOf } from '../../kinds/registry.ts';
import { staticBranch } from '../../kinds/static-branch/kind.ts';
import { staticCall } from '../../kinds/static-call/kind.ts';
import { hasTrampoline, trampolineStates } from '../../kinds/static-call/trampoline.ts';
import { branchSize, callOpcode, jumpOpcode } from '../../text/x86-64/branches.ts';
import { atomicNops } from '../../text/x86-64/ftrace.ts';
import { branching, fixed } from '../builder.ts';
import type { PolicyState, When } from '../policy.ts';
import { anyFunction, isKept, type KernelFile } from './kernel.ts';
import { returnStates } from './tables.ts';

const pointerSize = 8;

export function addKeyed(kernel: KernelFile): void {
  const { image, builder } = kernel;
  const program = programOf(image);
  const nops = atomicNops(image);
  const when = (address: Address): When => (isKept(kernel, address) ? 'always' : 'start-up');
  for (const site of program.sites.of(staticBranch)) {
    const states = staticBranch.states(program, site, new Map()).flatMap((state) => withNops(state, nops));
    if (states.length > 0) builder.add(site.address, 'static-branch', when(site.address), states.map(fixed));
  }
  const known = new Map<string, PolicyState[]>();
  const functions = anyFunction(kernel);
  const openCall = (states: readonly State[]): PolicyState[] => {
    const all = states.flatMap((state) => withNops(state, nops)).map((bytes) => opened(bytes, functions));
    const length = all[0]?.bytes.length ?? 0;
    const tail = states.some(({ bytes }) => bytes[0] === jumpOpcode) && length === branchSize;
    return (tail ? [...all, ...returnStates(kernel)] : all).filter(({ bytes }) => bytes.length === length);
  };
  for (const site of program.sites.of(staticCall)) {
    const listed = everyValue(program, site.key);
    // What a call may be depends on its instruction alone, but for the calls that may be written out.
    const current = image.readUpTo(site.address, 6);
    const first = current[0] === 0x0f ? hexBytes(current.subarray(0, 2)) : current[0];
    const own = listed.get(site.key)?.at(-1);
    const key = `${site.tail} ${first} ${own?.kind === 'function' ? own.address : ''}`;
    const states = known.get(key) ?? openCall(staticCall.states(program, site, listed));
    known.set(key, states);
    if (states.length > 0) builder.add(site.address, 'static-call', when(site.address), states);
  }
  for (const call of program.calls.values()) {
    if (!hasTrampoline(call) || call.literal !== undefined) continue;
    const address: number = call.trampoline;
    const states = openCall(trampolineStates(program, call, everyValue(program, call.key)));
    builder.add(address, 'trampoline', when(address), states);
  }
  const locks = droppedLocks(program, image, program.sites.of(lockPrefix));
  for (const { address, bytes } of lockPatches(program, locks, 1, 'ds'))
    builder.add(address, 'lock', 'always', [fixed(bytes), fixed(image.read(address, bytes.length))]);
}

/** Values that a call is encoded in different ways for: nothing, RET0, an operation that is written out, any function. */
function everyValue({ image, returnZero, support }: Program, key: Address): ListedValues {
  const values: CallTarget[] = [{ kind: 'null' }];
  if (returnZero !== undefined) values.push({ kind: 'return 0', address: returnZero });
  const someFunction = image.symbols.addressOf('_text');
  if (someFunction !== undefined) values.push({ kind: 'function', address: someFunction });
  // Two functions are written out, each for the one call that was made for it (arch/x86/kernel/static_call.c).
  const own = image.contains(key, pointerSize) ? image.readWord(key) : undefined;
  for (const address of [support.spinUnlock, support.warnTrap])
    if (address !== undefined && address === own) values.push({ kind: 'function', address });
  return new Map([[key, values]]);
}

/** A branch of a call may lead to any function. */
function opened(bytes: Uint8Array, functions: number): PolicyState {
  const { length } = bytes;
  const isBranch = length === branchSize && (bytes[0] === callOpcode || bytes[0] === jumpOpcode);
  const isConditional = length === 6 && bytes[0] === 0x0f && ((bytes[1] as number) & 0xf0) === 0x80;
  return isBranch || isConditional ? branching(bytes, functions) : fixed(bytes);
}

/** Kernels before 5.13 write one of two NOPs. */
function withNops({ bytes }: State, nops: readonly Uint8Array[]): Uint8Array[] {
  return nops.some((nop) => sameBytes(nop, bytes)) ? [...nops] : [bytes];
}
