// Static calls at boot and run time (kernel/static_call_inline.c, arch/x86/kernel/static_call.c).

import type { CallSupport } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { hex, largestOf, sameBytes } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { keySize, requireCallKey } from '../demand/keys.ts';
import type { Patch } from '../demand/patch.ts';
import { MismatchError, TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { resolveStaticCalls } from '../image/names.ts';
import type { StaticCall } from '../image/static-calls.ts';
import { callKindOf, callPatch } from '../kinds/static-call/demand.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import { type CallSite, callFields } from '../kinds/static-call/table.ts';
import {
  goesWhere,
  hasTrampoline,
  literalFunction,
  type TrampolineCall,
  trampolinePatch,
} from '../kinds/static-call/trampoline.ts';
import {
  type CallValue,
  describeValue,
  parseCallValue,
  readCallValue,
  sameValue,
} from '../kinds/static-call/values.ts';
import { linkKeys } from './link-keys.ts';
import type { Module, Runtime } from './runtime.ts';
import { sortTable } from './sort-table.ts';
import { storeFunction, storePointer } from './store-function.ts';
import { made } from './text-poke.ts';

const { table } = staticCall;

/** Sorts the entries of a part with their init bits as they are at run time; the sites come back with them. */
function sort(runtime: Runtime, image: Image, sites: readonly CallSite[]): CallSite[] {
  const flagged = (site: CallSite) => {
    const init = runtime.image.isInitText(site.address);
    return init === site.init ? site : { ...site, init };
  };
  return sortTable(image, runtime.poker, table, sites, flagged, callFields);
}

/** Stores what a call is to do; what the loader decides stays its own. */
function storeValue(runtime: Runtime, call: StaticCall, value: CallValue): void {
  if (value.kind === 'external') return;
  const address = value.kind === 'null' ? 0 : value.address;
  storeFunction(runtime, call, address, describeValue(runtime.image, value));
}

/** `callPatch`, whose note goes into the log. */
function patchTo(
  { program, log }: Runtime,
  site: CallSite,
  before: readonly CallValue[],
  after: CallValue,
): Patch {
  const patch = callPatch(program, site, before, after);
  log.note(patch.note);
  return patch;
}

/** Throws unless every site lies in code and holds what the runtime can patch: `table-malformed`, `kernel-bug`. */
function checkSites(runtime: Runtime, sites: readonly CallSite[]): void {
  const { image, profile } = runtime.program;
  for (const site of sites) {
    if (!image.codeAt(site.address)) {
      throw new TextpokeError(
        'table-malformed',
        `the site ${image.describe(site.address)} of a static call entry is not in executable code`,
        { file: image.file.path, section: table.name, offset: site.entry.address },
      );
    }
    if (!profile.conditionalTails && callKindOf(image, site) === 'conditional tail') {
      const [opcode] = image.readUpTo(site.address, 1);
      runtime.bug(
        `unexpected static_call insn opcode 0x${opcode?.toString(16)} at ${image.describe(site.address)}`,
      );
    }
  }
}

/** static_call_init: sort by key, mark init sites, bring every site from its trampoline to its function. */
export function staticCallInit(runtime: Runtime): void {
  const { program, poker } = runtime;
  const sites = program.sites.of(staticCall);
  checkSites(runtime, sites);
  poker.poke(
    made(sites, (site) => {
      const value = readCallValue(program, site.key);
      return patchTo(runtime, site, [value], value);
    }),
  );
  const sorted = sort(runtime, program.image, sites);
  runtime.replaceSites(staticCall, sorted);
  linkKeys(runtime, sorted, 1);
  storeSymbolic(runtime);
  if (program.profile.initPatchesTrampolines) followKeys(runtime, program.calls.values());
}

/**
 * static_call_force_reinit, and the static_call_init behind it: every site is made anew. Error `step-refused` where
 * the kernel does not have it, or init text is gone.
 */
export function forceReinit(runtime: Runtime): void {
  const { poker, program } = runtime;
  const { profile } = program;
  const why = !profile.forceReinit
    ? `profile ${profile.name} does not have this function`
    : runtime.state.initFreed
      ? 'the function is in init text, which is freed'
      : undefined;
  if (why) throw new TextpokeError('step-refused', `static_call_force_reinit: ${why}`);
  const { phase, live } = poker;
  Object.assign(poker, { phase: staticCall.phase, live: false });
  try {
    staticCallInit(runtime);
  } finally {
    Object.assign(poker, { phase, live });
  }
}

/**
 * The same at start-up, once the kernel has chosen what it returns through: sites hold what `early` made of them, or what
 * they are to hold.
 */
export function reinitStaticCalls(runtime: Runtime, early: CallSupport): void {
  const { program, poker } = runtime;
  const sites = program.sites.of(staticCall);
  const before = { ...program, support: early };
  poker.poke(
    made(sites, (site) => {
      const value = readCallValue(program, site.key);
      const patch = patchTo(runtime, site, [value], value);
      const first = callPatch(before, site, [value], value);
      const { bytes, reason: meaning } = first;
      return { ...patch, allowed: [...patch.allowed, { bytes, meaning }] };
    }),
  );
}

/** static_call_add_module: what `staticCallInit` does, for the sites of a module. Returns them with new entries. */
export function addModuleCalls(runtime: Runtime, { image, sites: lists, calls }: Module): CallSite[] {
  const { poker, program } = runtime;
  const sites = lists.of(staticCall);
  checkSites(runtime, sites);
  const patches = sites.map((site) => {
    const value = readCallValue(program, site.key);
    return patchTo(runtime, site, [value], value);
  });
  poker.check(patches);
  const sorted = sort(runtime, image, sites);
  poker.poke(patches);
  if (program.profile.initPatchesTrampolines) followKeys(runtime, calls.values());
  return sorted;
}

/**
 * Sites now go to this image's own functions, so `func` must not be bound to another object's by name: symbolic
 * relocations of patched calls become relative ones.
 */
function storeSymbolic(runtime: Runtime): void {
  const { program } = runtime;
  const { image } = program;
  for (const key of new Set(program.sites.of(staticCall).map((site) => site.key))) {
    if (image.dynamic.at(key)?.type !== image.arch.dynamic.symbolic) continue;
    const value = readCallValue(program, key);
    const call = program.calls.get(key) ?? { name: hex(key), key, trampoline: undefined };
    storeValue(runtime, call, value);
  }
}

/**
 * Brings trampolines to the values of their keys. Sites no longer go through stubs, so trampolines must not either, or
 * a function that another object overrides would run by the one way and not by the other. A NULL trampoline takes the
 * form that an update to NULL writes: from here on the bytes of a trampoline follow from the value of its key alone.
 */
function followKeys({ program, poker }: Runtime, calls: Iterable<StaticCall>): void {
  const { image } = program;
  const patches: Patch[] = [];
  for (const call of calls) {
    if (!hasTrampoline(call) || !image.contains(call.key, keySize(image))) continue;
    if (call.literal !== undefined) continue;
    const value = readCallValue(program, call.key);
    const isHere = image.contains(placeOf(image.arch, call.trampoline), image.arch.trampolineSize);
    if (value.kind === 'external' || !isHere) continue;
    const patch = trampolinePatch(program, call, value, value);
    // Without a signature (before 5.17), or gone elsewhere: it stays as it is, and verify has its say.
    if (patch.allowed.length > 0) patches.push(patch);
  }
  poker.poke(patches);
}

/**
 * static_call_update to what a text names: key, then trampoline, then every site. Errors: `site-mismatch`,
 * `store-refused`, `branch-range`, those of names.
 */
export function updateStaticCall(runtime: Runtime, call: StaticCall, text: string): void {
  const { program, poker, log } = runtime;
  const value = parseCallValue(program, text);
  const before = readCallValue(program, call.key);
  // A kernel looks at nothing else then.
  if (program.profile.version !== undefined && sameValue(before, value)) return;
  const patches: Patch[] = [];
  const { literal } = call;
  if (literal !== undefined && hasTrampoline(call)) requireLiteral(runtime, call, literal, before);
  else if (hasTrampoline(call)) {
    checkSignature(runtime, call.trampoline);
    patches.push(trampolinePatch(program, call, before, value));
  }
  const sites = runtime
    .sitesOf(staticCall, call.key)
    .filter((site) => runtime.isPatched(site.address, site.init));
  if (sites.length === 0 && literal === undefined) log.note(`the static call ${call.name} has no site`);
  for (const site of sites) patches.push(patchTo(runtime, site, [before], value));
  poker.check(patches);
  storeValue(runtime, call, value);
  if (literal !== undefined) storeLiteral(runtime, call, literal, value);
  poker.poke(patches);
}

/** Error `site-mismatch` unless the literal of a trampoline holds what the key has. */
function requireLiteral(
  { program, image }: Runtime,
  call: TrampolineCall,
  literal: Address,
  before: CallValue,
): void {
  if (goesWhere(program, call, before)) return;
  const must = describeValue(image, before);
  const mismatch = {
    address: literal,
    name: image.describe(literal),
    found: image.read(literal, image.arch.wordSize).slice(),
    allowed: [],
    reason: `the literal of the trampoline of ${call.name}, whose key is ${must}`,
  };
  throw new MismatchError([mismatch], { file: image.file.path });
}

/** Stores the function that a trampoline loads (arch/arm64/kernel/static_call.c). Errors as `storePointer`. */
function storeLiteral(runtime: Runtime, call: StaticCall, literal: Address, value: CallValue): void {
  const address = literalFunction(runtime.program, value);
  if (address === undefined) return; // The loader's own.
  storePointer(
    runtime,
    literal,
    address,
    `literal of __SCT__${call.name} = ${runtime.image.describe(address)}`,
    call.key,
  );
}

/** __static_call_validate of a trampoline: error `kernel-bug` where the bytes behind it are not this kernel's. */
function checkSignature(runtime: Runtime, trampoline: number): void {
  const { image, profile } = runtime.program;
  if (profile.signature === 'any' || profile.signature === undefined) return;
  const { branchSizes } = image.arch.instructionsOf(trampoline);
  const at = placeOf(image.arch, trampoline) + largestOf(branchSizes);
  if (sameBytes(image.readUpTo(at, profile.signature.length), profile.signature)) return;
  runtime.bug(`trampoline signature fail at ${image.describe(trampoline)}`);
}

/** The static calls that a person's name or pattern means, in the order of their keys. Errors: those of names. */
export function callsNamed(runtime: Runtime, text: string): StaticCall[] {
  const { image, calls } = runtime.program;
  const named = resolveStaticCalls(image, calls, text);
  for (const { key } of named)
    requireCallKey(image, key, calls.has(key) || runtime.sitesOf(staticCall, key).length > 0);
  return named;
}

/** What a call goes to now, as people name it. */
export function describeCall({ program }: Runtime, { key }: StaticCall): string {
  return describeValue(program.image, readCallValue(program, key));
}

/** What a text means that names a value of a call, named the same way. */
export function describeNamedValue({ program }: Runtime, text: string): string {
  return describeValue(program.image, parseCallValue(program, text));
}
