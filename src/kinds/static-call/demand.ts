// What must and may stand at a static call site (kernel/static_call_inline.c, arch/x86/kernel/static_call.c).

import type { CallKind, CallSiteBytes, CallSupport, CallTarget } from '../../arch/arch.ts';
import { hex, sameBytes } from '../../bytes/integer.ts';
import type { CodePointer } from '../../bytes/named-numbers.ts';
import {
  type Allowed,
  type Circumstances,
  type Demand,
  DemandFor,
  type Patch,
  type State,
} from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import type { StaticCall } from '../../image/static-calls.ts';
import { calleeAt, calleeOf } from './callee.ts';
import { valueStates } from './open-values.ts';
import type { CallSite } from './table.ts';
import { isTrampolineAt } from './trampoline.ts';
import { type CallValue, describeValue, readCallValue } from './values.ts';

/** Which kind of call it is: the table knows tail calls, the instruction knows conditional ones. */
export function callKindOf(image: Image, site: CallSite): CallKind {
  if (!site.tail) return 'call';
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const { isCallSite } = image.instructionsAt(site.address);
  return isCallSite(current, 'conditional tail') ? 'conditional tail' : 'tail';
}

/**
 * The bytes a site holds for `value`; a site of an external function, or one out of reach, stays on its trampoline.
 * Undefined when neither is in reach and the site does not go to its trampoline already.
 */
function reachableBytes(
  program: Program,
  site: CallSite,
  value: CallValue,
  trampoline: CodePointer | undefined,
): CallSiteBytes | undefined {
  const { image, support } = program;
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const kind = callKindOf(image, site);
  if (trampoline === undefined && (value.kind === 'external' || kind === 'conditional tail')) {
    throw new TextpokeError(
      'site-unpatchable',
      `${image.describe(site.address)}: the call needs its trampoline, but the image has no symbol for the trampoline`,
      { file: image.file.path },
    );
  }
  const target: CallTarget =
    value.kind === 'external' ? { kind: 'function', address: trampoline as CodePointer } : value;
  const instructions = image.instructionsAt(site.address);
  const encoded = instructions.encodeCallSite({
    address: site.address,
    kind,
    target,
    trampoline: trampoline ?? (site.address as number), // what no branch leads to
    veneers: trampoline === undefined ? undefined : image.stubs.veneersTo(trampoline, site.address),
    current,
    support,
  });
  if (encoded && !encoded.onTrampoline) return encoded;
  const to = encoded && calleeOf(image, encoded.bytes, site.address);
  if (trampoline !== undefined && to?.kind === 'address' && to.address === trampoline) return encoded;
  if (!isOnOwnTrampoline(program, site, program.calls.get(site.key))) return undefined;
  // Out of every branch's reach but a veneer's: what stands there is right.
  const { size } = instructions.readInstruction(current, 0, site.address);
  return { bytes: current.slice(0, size), onTrampoline: true };
}

/** True for a site that boot has not patched: it goes to its trampoline. */
export function isCallAsLinked(program: Program, site: CallSite): boolean {
  return isOnOwnTrampoline(program, site, program.calls.get(site.key));
}

/** Whether the site goes to its trampoline; without a symbol for that, to anything shaped like one. */
function isOnOwnTrampoline({ image }: Program, site: CallSite, call: StaticCall | undefined): boolean {
  const target = calleeAt(image, site.address);
  if (target?.kind !== 'address') return false;
  if (call?.trampoline !== undefined) return target.address === call.trampoline;
  return isTrampolineAt(image, target.address);
}

/** What brings a site to a value of its key, from one of `before`. Error `branch-range`. */
export function callPatch(
  program: Program,
  site: CallSite,
  before: readonly CallValue[],
  after: CallValue,
): Patch {
  const { image } = program;
  const call = program.calls.get(site.key);
  const name = call?.name ?? hex(site.key);
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const what = describeValue(image, after);
  const encoded = reachableBytes(program, site, after, call?.trampoline);
  if (!encoded) {
    throw new TextpokeError(
      'branch-range',
      `${image.describe(site.address)}: ${what} and the trampoline of the call are both out of reach`,
      { file: image.file.path },
    );
  }
  const { bytes, onTrampoline } = encoded;
  const allowed: Allowed[] = before.flatMap((value) => {
    const found = reachableBytes(program, site, value, call?.trampoline);
    return found ? [{ bytes: found.bytes, meaning: `${name} = ${describeValue(image, value)}` }] : [];
  });
  const valid = image.instructionsAt(site.address).isCallSite(current, callKindOf(image, site));
  if (valid && isOnOwnTrampoline(program, site, call))
    allowed.push({ bytes: current.slice(0, bytes.length), meaning: `${name}'s trampoline` });
  const stays = onTrampoline && after.kind !== 'null';
  return {
    address: site.address,
    allowed,
    bytes,
    reason: `${name} = ${what}`,
    key: site.key,
    ...(stays && {
      note: `${image.describe(site.address)}: ${name} (the site goes to the trampoline: ${what} ${whyNot(image, site, after)})`,
    }),
  };
}

/** Why a site cannot go to a function itself. */
function whyNot(image: Image, site: CallSite, value: CallValue): string {
  if (value.kind === 'external') return 'is a function of another object';
  if (value.kind === 'null') return 'is not a function';
  const sameState = image.arch.instructionsOf(value.address) === image.instructionsAt(site.address);
  return sameState
    ? 'is out of reach'
    : 'is out of reach or in the other state, and a jump cannot change the state';
}

/** What must stand at a site now. Errors as `readCallValue`, `site-unpatchable`. */
export function callDemand(program: Program, site: CallSite, { state }: Circumstances): Demand {
  const { image } = program;
  const call = program.calls.get(site.key);
  const value = readCallValue(program, site.key);
  const name = () => call?.name ?? image.describe(site.key);
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const instructions = image.instructionsAt(site.address);
  const { short, size } = instructions.readInstruction(current, 0, site.address);
  if (short) return { unpatchable: `the branch of ${name()} ${instructions.explainShort(current, 0)}`, size };
  const what = () => describeValue(image, value);
  const encoded = reachableBytes(program, site, value, call?.trampoline);
  if (!encoded) {
    const unpatchable = `${what()} and the trampoline of ${name()} are both out of reach, and the site goes to another place`;
    return { unpatchable, size };
  }
  const { bytes, onTrampoline } = encoded;
  const why = () => `${name()} = ${what()}; the site holds a different instruction`;
  const early = earlierBytes(program, site, value, call?.trampoline).filter(
    (other) => !sameBytes(other, bytes),
  );
  const mayStay = state === 'linked' || onTrampoline;
  const isRight = sameBytes(current.subarray(0, bytes.length), bytes);
  const stays =
    !isRight &&
    mayStay &&
    instructions.isCallSite(current, callKindOf(image, site)) &&
    isOnOwnTrampoline(program, site, call);
  return new DemandFor([bytes, ...(stays ? [current.subarray(0, bytes.length)] : []), ...early], why);
}

/**
 * What a kernel may have written at a site before it was done with its start-up and has not written again since. Before
 * 6.6 sites that were patched before call depth tracking began stay as they are; and 6.1 returns from a conditional
 * tail call through the function that the linker knows, whatever others return through.
 */
function earlierBytes(
  program: Program,
  site: CallSite,
  value: CallValue,
  trampoline: CodePointer | undefined,
): Uint8Array[] {
  const { image, profile, support } = program;
  if (profile.version === undefined || profile.forceReinit) return [];
  const { returnThunk } = support;
  const linked = image.symbols.addressOf('__x86_return_thunk');
  const others: CallSupport[] = [];
  if (support.countedEntry) others.push({ ...support, countedEntry: undefined });
  if (returnThunk !== undefined && linked !== undefined && callKindOf(image, site) === 'conditional tail')
    others.push({ ...support, returnThunk: linked });
  return others.flatMap((other) => {
    const found = reachableBytes({ ...program, support: other }, site, value, trampoline);
    return found ? [found.bytes] : [];
  });
}

/** Every byte string that may stand at a site while the program runs. */
export function callStates(
  program: Program,
  site: CallSite,
  listed: readonly CallTarget[] | undefined,
): State[] {
  const trampoline = program.calls.get(site.key)?.trampoline;
  const bytesFor = (value: CallValue) => reachableBytes(program, site, value, trampoline)?.bytes;
  const states = valueStates(program, site.key, listed, bytesFor, site.address);
  // Out of reach of its function, a site stays here.
  const through = trampoline === undefined ? undefined : bytesFor({ kind: 'function', address: trampoline });
  return listed || !through ? states : [...states, { bytes: through, meaning: 'its trampoline' }];
}
