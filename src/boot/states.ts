// Every byte string that may stand at a patchable place of the program as it runs: an allow-list for whoever watches
// its text.
import type { CallTarget } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { sameBytes } from '../bytes/integer.ts';
import type { ListedValues, State } from '../demand/patch.ts';
import type { Program } from '../demand/program.ts';
import { resolveStaticCalls } from '../image/names.ts';
import { type Kind, keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { hasTrampoline, trampolineStates } from '../kinds/static-call/trampoline.ts';
import { parseCallValue } from '../kinds/static-call/values.ts';
import type { Part, Runtime } from './runtime.ts';
import type { BootStep } from './steps.ts';

export interface PlaceStates {
  readonly address: number;
  /** `static branch`, `trampoline` and so on. */
  readonly kind: string;
  /** Address of the key that decides, where one does. */
  readonly key?: number;
  readonly states: readonly State[];
}

/** The states of every place, in order of address. Errors as those of patching. */
export function patchableStates(runtime: Runtime, listed: ListedValues): PlaceStates[] {
  const { program } = runtime;
  const { image } = program;
  const places: PlaceStates[] = [];
  const add = (address: number, kind: string, states: readonly State[], key: number | undefined) => {
    const live = withBreakpoint(image.arch.breakpoint, states);
    places.push({
      address,
      kind,
      ...(key === undefined ? {} : { key }),
      states: distinct([...states, ...live]),
    });
  };
  const addSites = (part: Part, kind: Kind) => {
    for (const site of runtime.patchedSites(kind, part)) {
      if (kind.isInit && !runtime.isPatched(site.address, kind.isInit(site))) continue;
      add(site.address, kind.group?.state ?? kind.name, kind.states(program, site, listed), keyOf(site));
    }
  };
  const patched = kinds.filter(({ group }) => group);
  for (const part of runtime.parts) {
    for (const kind of patched) if (kind.isInModules) addSites(part, kind);
  }
  for (const call of program.calls.values()) {
    if (!hasTrampoline(call) || !image.contains(call.key)) continue;
    const place = placeOf(image.arch, call.trampoline);
    add(place, 'trampoline', trampolineStates(program, call, listed), call.key);
  }
  for (const kind of patched) if (!kind.isInModules) addSites(program, kind);
  return places.sort((a, b) => a.address - b.address);
}

/**
 * While a live patch is under way: a breakpoint in front of the old tail, then of the new one. A place of one byte is
 * changed by one store.
 */
function withBreakpoint(breakpoint: Uint8Array | undefined, states: readonly State[]): State[] {
  if (!breakpoint) return [];
  return states
    .filter(({ bytes }) => bytes.length > breakpoint.length)
    .map(({ bytes, mask, meaning }) => {
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

/** The values that steps give to static calls, by the address of the key. Errors of the names. */
export function listedValues(program: Program, steps: readonly BootStep[]): Map<number, CallTarget[]> {
  const listed = new Map<number, CallTarget[]>();
  for (const step of steps) {
    if (step.do !== 'update') continue;
    const value = parseCallValue(program, step.value);
    for (const { key } of resolveStaticCalls(program.image, program.calls, step.call)) {
      listed.set(key, [...(listed.get(key) ?? []), value]);
    }
  }
  return listed;
}
