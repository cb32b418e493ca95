// Every byte string that may stand at a patchable place of the program as it runs: an allow-list for whoever watches
// its text.
import type { CallTarget } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { sameBytes } from '../bytes/integer.ts';
import type { Image } from '../image/image.ts';
import type { BranchSite, CallSite, StaticCall } from '../image/sites.ts';
import { barrierAt } from '../object/find-barriers.ts';
import { branchAt, branchBytes } from './jump-label.ts';
import type { Runtime } from './runtime.ts';
import { droppedLocks } from './smp-locks.ts';
import { type CallValue, describeValue, reachableBytes, readCallValue } from './static-call.ts';

export interface State {
  readonly bytes: Uint8Array;
  /** Bits of `bytes` that count; undefined: all. */
  readonly mask?: Uint8Array | undefined;
  readonly meaning: string;
}

export interface PlaceStates {
  readonly address: number;
  readonly kind: 'static branch' | 'static call' | 'trampoline' | 'lock' | 'barrier';
  /** Address of the key that decides, where one does. */
  readonly key?: number;
  readonly states: readonly State[];
}

/** Values that calls may have, by the address of the key; a call that is not there may go to any function. */
export type ListedValues = ReadonlyMap<number, readonly CallTarget[]>;

/** The states of every place, in order of address. Errors as those of patching. */
export function patchableStates(runtime: Runtime, listed: ListedValues): PlaceStates[] {
  const { image } = runtime;
  const places: PlaceStates[] = [];
  const add = (address: number, kind: PlaceStates['kind'], states: readonly State[], key?: number) => {
    const live = kind === 'lock' ? [] : withBreakpoint(image.arch.breakpoint, states);
    places.push({
      address,
      kind,
      ...(key === undefined ? {} : { key }),
      states: distinct([...states, ...live]),
    });
  };
  for (const part of runtime.parts) {
    for (const site of part.branches) {
      if (runtime.isPatched(site.address, site.bit1))
        add(site.address, 'static branch', branchStates(runtime, site), site.key);
    }
    for (const site of part.callSites) {
      if (!runtime.isPatched(site.address, site.init)) continue;
      add(site.address, 'static call', callStates(runtime, site, listed.get(site.key)), site.key);
    }
    for (const { address } of droppedLocks(runtime, part)) add(address, 'lock', lockStates(runtime));
  }
  for (const call of runtime.calls.values()) {
    if (call.trampoline === undefined || !image.contains(call.key)) continue;
    add(
      placeOf(image.arch, call.trampoline),
      'trampoline',
      trampolineStates(runtime, call, call.trampoline, listed),
      call.key,
    );
  }
  for (const { address } of runtime.barriers) add(address, 'barrier', barrierStates(runtime, address));
  for (const { address, replacement } of runtime.alternatives) {
    const bytes = image.read(address, replacement.length).slice();
    const states = [
      { bytes, meaning: 'as it is' },
      { bytes: replacement, meaning: 'one CPU' },
    ];
    add(address, 'barrier', states);
  }
  return places.sort((a, b) => a.address - b.address);
}

function branchStates({ image }: Runtime, site: BranchSite): State[] {
  const found = branchAt(image, site);
  if (!found) return [];
  const states = [false, true].map((jump) => ({
    bytes: branchBytes(image, site, found.size, jump),
    meaning: `${image.describe(site.key)} ${jump !== site.branch ? 'enabled' : 'disabled'}`,
  }));
  if (found.kind === 'nop')
    states.push({ bytes: image.read(site.address, found.size).slice(), meaning: 'NOP' });
  return states;
}

/** Every value of a call when nobody has listed some. */
function openValues({ returnZero }: Runtime): CallTarget[] {
  return [
    { kind: 'null' },
    ...(returnZero === undefined ? [] : [{ kind: 'return 0', address: returnZero } as const]),
  ];
}

function callStates(runtime: Runtime, site: CallSite, listed: readonly CallTarget[] | undefined): State[] {
  const trampoline = runtime.calls.get(site.key)?.trampoline;
  const bytesFor = (value: CallValue) => reachableBytes(runtime, site, value, trampoline)?.bytes;
  const states = valueStates(runtime, site.key, listed, bytesFor, site.address);
  // Out of reach of its function, a site stays here.
  const through = trampoline === undefined ? undefined : bytesFor({ kind: 'function', address: trampoline });
  return listed || !through ? states : [...states, { bytes: through, meaning: 'its trampoline' }];
}

function trampolineStates(
  runtime: Runtime,
  call: StaticCall,
  trampoline: number,
  listed: ListedValues,
): State[] {
  const { image, support } = runtime;
  const place = placeOf(image.arch, trampoline);
  const { encodeTrampoline, branchSizes } = image.arch.instructionsOf(trampoline);
  const bytesFor = (value: CallValue) =>
    value.kind === 'external' ? undefined : encodeTrampoline(place, value, support);
  const now = image.readUpTo(place, Math.max(...branchSizes)).slice();
  return [
    ...valueStates(runtime, call.key, listed.get(call.key), bytesFor, place),
    { bytes: now, meaning: 'as it is' },
  ];
}

function valueStates(
  runtime: Runtime,
  key: number,
  listed: readonly CallTarget[] | undefined,
  bytesFor: (value: CallValue) => Uint8Array | undefined,
  from: number,
): State[] {
  const values = [readCallValue(runtime, key), ...(listed ?? openValues(runtime))];
  const states = values.flatMap((value): State[] => {
    const bytes = bytesFor(value);
    return bytes ? [{ bytes, meaning: describeValue(runtime.image, value) }] : [];
  });
  if (listed) return states;
  const any = anyFunction(runtime.image, (address) => bytesFor({ kind: 'function', address }), from);
  return any ? [...states, any] : states;
}

/** Code pointers at every distance from a place, one bit of it at a time. */
function* pointersAround({ arch }: Image, from: number): Generator<number> {
  // Functions may begin wherever the shortest instruction does: on x86, whose sizes differ, at every byte.
  const isAligned = arch.instructionsOf(0).branchSizes.every((size) => size % 4 === 0);
  for (let bit = 0; bit < 31; bit++) {
    for (const distance of [2 ** bit, -(2 ** bit)]) {
      if (!isAligned) yield from + distance;
      else if (bit >= 2) yield from - (from % 4) + distance;
      if (arch.thumbBit && bit >= 1) yield from + distance + 1;
    }
  }
}

/** What is common to branches of every distance. */
function anyFunction(
  image: Image,
  bytesFor: (address: number) => Uint8Array | undefined,
  from: number,
): State | undefined {
  let all: Uint8Array | undefined;
  let some: Uint8Array | undefined;
  for (const pointer of pointersAround(image, from)) {
    const bytes = bytesFor(pointer);
    if (!bytes) continue;
    all = all ? all.map((byte, i) => byte & (bytes[i] as number)) : bytes.slice();
    some = some ? some.map((byte, i) => byte | (bytes[i] as number)) : bytes.slice();
  }
  if (!all || !some) return undefined;
  const mask = all.map((byte, i) => 0xff & ~(byte ^ (some[i] as number)));
  return { bytes: all, mask, meaning: 'any function' };
}

function lockStates({ image }: Runtime): State[] {
  const { lock = 0, up = 0, nop = 0 } = image.arch.lockPrefix ?? {};
  return [
    { bytes: Uint8Array.of(lock), meaning: 'several CPUs' },
    { bytes: Uint8Array.of(up), meaning: 'one CPU' },
    { bytes: Uint8Array.of(nop), meaning: 'one CPU (--up-fill nop)' },
  ];
}

function barrierStates({ image }: Runtime, address: number): State[] {
  const form = barrierAt(image.instructionsAt(address), image.readUpTo(address, image.arch.maxSite), 0);
  if (!form) return [];
  return [
    { bytes: form.barrier, meaning: 'several CPUs' },
    { bytes: form.nop, meaning: 'one CPU' },
  ];
}

/** While a live patch is under way: a breakpoint in front of the old tail, then of the new one. */
function withBreakpoint(breakpoint: Uint8Array | undefined, states: readonly State[]): State[] {
  if (!breakpoint) return [];
  return states.map(({ bytes, mask, meaning }) => {
    const stage = bytes.slice();
    stage.set(breakpoint);
    const known = mask?.slice();
    known?.fill(0xff, 0, breakpoint.length);
    return { bytes: stage, mask: known, meaning: `being patched: ${meaning}` };
  });
}

function distinct(states: readonly State[]): State[] {
  const found: State[] = [];
  const same = (a: State, b: State) =>
    sameBytes(a.bytes, b.bytes) && sameBytes(a.mask ?? a.bytes, b.mask ?? b.bytes) && !a.mask === !b.mask;
  for (const state of states) if (!found.some((known) => same(known, state))) found.push(state);
  return found;
}
