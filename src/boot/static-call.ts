// Static calls at boot and run time (kernel/static_call_inline.c, arch/x86/kernel/static_call.c).
import type { CallKind, CallSiteBytes, CallTarget } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { hex, parseAddress, sameBytes } from '../bytes/integer.ts';
import { callInit, callTail, staticCallSites } from '../bytes/schema.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { Pointer } from '../image/dynamic.ts';
import type { Image } from '../image/image.ts';
import { resolveSymbol } from '../image/names.ts';
import type { CallSite, StaticCall } from '../image/sites.ts';
import { type Module, type Runtime, requireKey } from './runtime.ts';
import { sortTable } from './sort-table.ts';
import { type Allowed, made, type Patch } from './text-poke.ts';

/** What a call is to do; `external` is a function of another object, whose address only the loader knows. */
export type CallValue = CallTarget | { readonly kind: 'external'; readonly name: string };

/** What a `func` pointer means. */
export function callValue(pointer: Pointer, returnZero: number | undefined): CallValue {
  if (pointer.kind === 'external') return { kind: 'external', name: pointer.name };
  if (pointer.address === 0) return { kind: 'null' };
  if (pointer.address === returnZero) return { kind: 'return 0', address: pointer.address };
  return { kind: 'function', address: pointer.address };
}

/** Reads the `func` of a `struct static_call_key`; error `table-malformed` outside the image, `key-unaligned`. */
export function readCallValue(runtime: Runtime, key: number): CallValue {
  const { image } = runtime;
  requireKey(image, key, staticCallSites);
  return callValue(image.readPointer(key), runtime.returnZero);
}

export function describeValue(image: Image, value: CallValue): string {
  switch (value.kind) {
    case 'null':
      return 'NULL';
    case 'return 0':
      return 'RET0';
    case 'external':
      return value.name;
    case 'function':
      return image.describe(value.address);
  }
}

/** Which kind of site it is: the table knows tail calls, the instruction knows conditional ones. */
export function kindOfSite(image: Image, site: CallSite): CallKind {
  if (!site.tail) return 'call';
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const { isCallSite } = image.instructionsAt(site.address);
  return isCallSite(current, 'conditional tail') ? 'conditional tail' : 'tail';
}

/** Where the branch at an address goes once stubs are seen through; undefined for another instruction. */
export function branchTargetAt(image: Image, address: number): Pointer | undefined {
  return branchTargetOf(image, image.readUpTo(address, image.arch.maxSite), address);
}

/** The same for bytes that are to stand at an address. */
function branchTargetOf(image: Image, bytes: Uint8Array, address: number): Pointer | undefined {
  const instruction = image.instructionsAt(address).readInstruction(bytes, 0, address);
  if (instruction.kind !== 'call' && instruction.kind !== 'jump' && instruction.kind !== 'conditional jump') {
    return undefined;
  }
  return image.stubs.callee(image.addressAt(address, instruction.displacement));
}

/** True when the branch at `address` goes to `trampoline`, directly or through a stub. */
function goesTo(image: Image, address: number, trampoline: number): boolean {
  const target = branchTargetAt(image, address);
  return target?.kind === 'address' && target.address === trampoline;
}

/**
 * The bytes a site holds for `value`; a site of an external function, or one out of reach, stays on its trampoline.
 * Undefined when neither is in reach and the site does not go to its trampoline already.
 */
export function reachableBytes(
  runtime: Runtime,
  site: CallSite,
  value: CallValue,
  trampoline: number | undefined,
): CallSiteBytes | undefined {
  const { image, support } = runtime;
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const kind = kindOfSite(image, site);
  if (trampoline === undefined && (value.kind === 'external' || kind === 'conditional tail')) {
    throw new TextpokeError(
      'site-unpatchable',
      `${image.describe(site.address)}: the call needs its trampoline, but the image has no symbol for it`,
      { file: image.file.path },
    );
  }
  const target: CallTarget =
    value.kind === 'external' ? { kind: 'function', address: trampoline as number } : value;
  const instructions = image.instructionsAt(site.address);
  const encoded = instructions.encodeCallSite({
    address: site.address,
    kind,
    target,
    trampoline: trampoline ?? site.address,
    veneers: trampoline === undefined ? undefined : image.stubs.veneersTo(trampoline, site.address),
    current,
    support,
  });
  if (encoded && !encoded.onTrampoline) return encoded;
  const to = encoded && branchTargetOf(image, encoded.bytes, site.address);
  if (trampoline !== undefined && to?.kind === 'address' && to.address === trampoline) return encoded;
  if (!onOwnTrampoline(runtime, site, runtime.calls.get(site.key))) return undefined;
  // Out of every branch's reach but a veneer's: what stands there is right.
  const { size } = instructions.readInstruction(current, 0, site.address);
  return { bytes: current.slice(0, size), onTrampoline: true };
}

/** The same; error `branch-range` where there are none. */
export function siteBytes(
  runtime: Runtime,
  site: CallSite,
  value: CallValue,
  trampoline: number | undefined,
): CallSiteBytes {
  const bytes = reachableBytes(runtime, site, value, trampoline);
  if (bytes) return bytes;
  const { image } = runtime;
  throw new TextpokeError(
    'branch-range',
    `${image.describe(site.address)}: neither ${describeValue(image, value)} nor the call's trampoline is in reach`,
    { file: image.file.path },
  );
}

function patchTo(runtime: Runtime, site: CallSite, before: readonly CallValue[], after: CallValue): Patch {
  const { image } = runtime;
  const call = runtime.calls.get(site.key);
  const name = call?.name ?? hex(site.key);
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const what = describeValue(image, after);
  const { bytes, onTrampoline } = siteBytes(runtime, site, after, call?.trampoline);
  const allowed: Allowed[] = before.flatMap((value) => {
    const found = reachableBytes(runtime, site, value, call?.trampoline);
    return found ? [{ bytes: found.bytes, meaning: `${name} = ${describeValue(image, value)}` }] : [];
  });
  const calledFirst = onOwnTrampoline(runtime, site, call);
  const valid = image.instructionsAt(site.address).isCallSite(current, kindOfSite(image, site));
  if (valid && calledFirst)
    allowed.push({ bytes: current.slice(0, bytes.length), meaning: `${name}'s trampoline` });
  const stays =
    onTrampoline && after.kind !== 'null'
      ? ` (stays on the trampoline: ${what} ${whyNot(image, site, after)})`
      : '';
  if (stays) runtime.notes.push(`${image.describe(site.address)}: ${name}${stays}`);
  return { address: site.address, allowed, bytes, reason: `${name} = ${what}` };
}

/** Why a site cannot go to a function itself. */
function whyNot(image: Image, site: CallSite, value: CallValue): string {
  if (value.kind === 'external') return 'is a function of another object';
  if (value.kind === 'null') return 'is no function';
  const sameState = image.arch.instructionsOf(value.address) === image.instructionsAt(site.address);
  return sameState
    ? 'is out of reach'
    : 'is in the other state or out of reach, and a jump cannot change state';
}

/** Whether the site goes to its trampoline; without a symbol for that, to anything shaped like one. */
export function onOwnTrampoline(runtime: Runtime, site: CallSite, call: StaticCall | undefined): boolean {
  const { image } = runtime;
  if (call?.trampoline !== undefined) return goesTo(image, site.address, call.trampoline);
  const target = branchTargetAt(image, site.address);
  return target?.kind === 'address' && isTrampolineAt(image, target.address);
}

/** True when a trampoline stands where a code pointer leads. */
export function isTrampolineAt(image: Image, pointer: number): boolean {
  const { isTrampoline, trampolineSize } = image.arch.instructionsOf(pointer);
  return isTrampoline(image.readUpTo(placeOf(image.arch, pointer), trampolineSize), 0);
}

/** The entry of a site with its init bit as it is at run time. */
function flagged(runtime: Runtime, site: CallSite): { site: CallSite; fields: readonly number[] } {
  const init = runtime.image.isInitText(site.address);
  const flags = (site.tail ? callTail : 0) + (init ? callInit : 0);
  return { site: { ...site, init }, fields: [site.address, site.key + flags] };
}

/** Throws unless every site lies in code and holds what the runtime can patch: `table-malformed`, `kernel-bug`. */
function checkSites(runtime: Runtime, sites: readonly CallSite[]): void {
  const { image, profile } = runtime;
  for (const site of sites) {
    if (!image.codeAt(site.address)) {
      throw new TextpokeError(
        'table-malformed',
        `the site ${image.describe(site.address)} of a static call entry does not lie in executable code`,
        { file: image.file.path, section: staticCallSites.name, offset: site.entry.address },
      );
    }
    if (!profile.conditionalTails && kindOfSite(image, site) === 'conditional tail') {
      const [opcode] = image.readUpTo(site.address, 1);
      runtime.bug(
        `unexpected static_call insn opcode 0x${opcode?.toString(16)} at ${image.describe(site.address)}`,
      );
    }
  }
}

/** static_call_init: sort by key, mark init sites, bring every site from its trampoline to its function. */
export function staticCallInit(runtime: Runtime): void {
  const { image, poker } = runtime;
  poker.phase = 'static_call_init';
  checkSites(runtime, runtime.callSites);
  poker.poke(
    made(runtime.callSites, (site) => {
      const value = readCallValue(runtime, site.key);
      return patchTo(runtime, site, [value], value);
    }),
  );
  runtime.callSites = sortTable(image, poker, staticCallSites, runtime.callSites, (site) =>
    flagged(runtime, site),
  );
  settleSymbolic(runtime);
  if (runtime.profile.settlesTrampolines) settleTrampolines(runtime, runtime.calls.values());
}

/**
 * static_call_force_reinit, and the static_call_init behind it: every site is made anew. Error `step-refused` where
 * the kernel does not have it, or init text is gone.
 */
export function forceReinit(runtime: Runtime): void {
  const { profile, poker } = runtime;
  const why = !profile.forceReinit
    ? `profile ${profile.name} does not have it`
    : runtime.initFreed
      ? 'it lies in init text, which is gone'
      : undefined;
  if (why) throw new TextpokeError('step-refused', `static_call_force_reinit: ${why}`);
  const { phase, live } = poker;
  poker.live = false;
  try {
    staticCallInit(runtime);
  } finally {
    Object.assign(poker, { phase, live });
  }
}

/** static_call_add_module: what `staticCallInit` does, for the sites of a module. Returns them with new entries. */
export function addModuleCalls(runtime: Runtime, module: Module): CallSite[] {
  const { poker } = runtime;
  checkSites(runtime, module.callSites);
  const patches = module.callSites.map((site) => {
    const value = readCallValue(runtime, site.key);
    return patchTo(runtime, site, [value], value);
  });
  poker.check(patches);
  const sorted = sortTable(module.image, poker, staticCallSites, module.callSites, (site) =>
    flagged(runtime, site),
  );
  poker.poke(patches);
  if (runtime.profile.settlesTrampolines) settleTrampolines(runtime, module.calls.values());
  return sorted;
}

/**
 * Sites now go to this image's own functions, so `func` must not be bound to another object's by name: symbolic
 * relocations of patched calls become relative ones.
 */
function settleSymbolic(runtime: Runtime): void {
  const { image } = runtime;
  for (const key of new Set(runtime.callSites.map((site) => site.key))) {
    if (image.dynamic.at(key)?.type !== image.arch.dynamic.symbolic) continue;
    const value = readCallValue(runtime, key);
    const call = runtime.calls.get(key) ?? { name: hex(key), key, trampoline: undefined };
    storeFunction(runtime, call, value);
  }
}

/**
 * Sites no longer go through stubs, so trampolines must not either, or a function that another object overrides
 * would run by the one way and not by the other. A NULL trampoline takes the form that an update to NULL writes:
 * from here on the bytes of a trampoline follow from the value of its key alone.
 */
function settleTrampolines(runtime: Runtime, calls: Iterable<StaticCall>): void {
  const patches: Patch[] = [];
  for (const call of calls) {
    if (call.trampoline === undefined || !runtime.image.contains(call.key, 2 * runtime.image.arch.wordSize))
      continue;
    const value = readCallValue(runtime, call.key);
    const { trampolineSize } = runtime.image.arch;
    if (
      value.kind === 'external' ||
      !runtime.image.contains(placeOf(runtime.image.arch, call.trampoline), trampolineSize)
    )
      continue;
    const patch = trampolinePatch(runtime, call, call.trampoline, value, value);
    // Without a signature (before 5.17), or gone elsewhere: it stays as it is, and verify has its say.
    if (patch.allowed.length > 0) patches.push(patch);
  }
  runtime.poker.poke(patches);
}

/** What `--update CALL=…` names: NULL, RET0, a function's symbol or an address. */
export function parseCallValue(runtime: Runtime, text: string): CallTarget {
  const { image, returnZero } = runtime;
  if (text === 'NULL') return { kind: 'null' };
  if (text === 'RET0') {
    const address = image.symbols.addressOf('__static_call_return0');
    if (address !== undefined) return callValue({ kind: 'address', address }, returnZero) as CallTarget;
    throw new TextpokeError(
      'unknown-key',
      'RET0 needs __static_call_return0, which the image does not have',
      { file: image.file.path },
    );
  }
  const address = parseAddress(text) ?? resolveSymbol(image, text, 'function');
  if (!image.codeAt(address)) {
    throw new TextpokeError('unknown-key', `${text} is not code of the image, so no call can go there`, {
      file: image.file.path,
    });
  }
  return callValue({ kind: 'address', address }, returnZero) as CallTarget;
}

function sameValue(a: CallValue, b: CallValue): boolean {
  return a.kind === b.kind && ('address' in a ? a.address : 0) === ('address' in b ? b.address : 0);
}

/** static_call_update: key, then trampoline, then every site. Errors: `site-mismatch`, `store-refused`, `branch-range`. */
export function updateStaticCall(runtime: Runtime, call: StaticCall, value: CallTarget): void {
  const before = readCallValue(runtime, call.key);
  // A kernel looks at nothing else then.
  if (runtime.profile.version !== undefined && sameValue(before, value)) return;
  const patches: Patch[] = [];
  if (call.trampoline !== undefined) checkSignature(runtime, call.trampoline);
  if (call.trampoline !== undefined)
    patches.push(trampolinePatch(runtime, call, call.trampoline, before, value));
  const sites = runtime.callSitesOf(call.key).filter((site) => runtime.isPatched(site.address, site.init));
  if (sites.length === 0) runtime.notes.push(`no site calls ${call.name}`);
  for (const site of sites) patches.push(patchTo(runtime, site, [before], value));
  runtime.poker.check(patches);
  storeFunction(runtime, call, value);
  runtime.poker.poke(patches);
}

/** __static_call_validate of a trampoline: error `kernel-bug` where the bytes behind it are not this kernel's. */
function checkSignature(runtime: Runtime, trampoline: number): void {
  const { image, profile } = runtime;
  if (profile.signature === 'any' || profile.signature === undefined) return;
  const { branchSizes } = image.arch.instructionsOf(trampoline);
  const at = placeOf(image.arch, trampoline) + Math.max(...branchSizes);
  if (sameBytes(image.readUpTo(at, profile.signature.length), profile.signature)) return;
  runtime.bug(`trampoline signature fail at ${image.describe(trampoline)}`);
}

function trampolinePatch(
  runtime: Runtime,
  call: StaticCall,
  trampoline: number,
  before: CallValue,
  value: CallTarget,
): Patch {
  const { image, support } = runtime;
  const what = describeValue(image, value);
  const place = placeOf(image.arch, trampoline);
  const { encodeTrampoline, branchSizes } = image.arch.instructionsOf(trampoline);
  const bytes =
    encodeTrampoline(place, value, support) ??
    throughVeneer(runtime, trampoline, value) ??
    (before === value && trampolineDoes(runtime, call.key, trampoline, value)
      ? image.readUpTo(place, Math.max(...branchSizes)).slice()
      : undefined);
  if (!bytes) {
    throw new TextpokeError('branch-range', `the trampoline of ${call.name} cannot reach ${what}`, {
      file: image.file.path,
    });
  }
  const current = image.readUpTo(place, image.arch.trampolineSize);
  const allowed: Allowed[] = [];
  const signed = runtime.profile.signature === undefined || isTrampolineAt(image, trampoline);
  if (signed && trampolineDoes(runtime, call.key, trampoline, before)) {
    allowed.push({
      bytes: current.slice(0, bytes.length),
      meaning: `the trampoline of ${call.name} = ${describeValue(image, before)}`,
    });
  }
  return { address: place, allowed, bytes, reason: `trampoline of ${call.name} = ${what}` };
}

/** A trampoline's branch to a veneer that leads to a function out of its reach. */
function throughVeneer(runtime: Runtime, trampoline: number, value: CallTarget): Uint8Array | undefined {
  if (value.kind === 'null') return undefined;
  const { image, support } = runtime;
  for (const address of image.stubs.veneersTo(value.address, trampoline)) {
    const { encodeTrampoline } = image.arch.instructionsOf(trampoline);
    const bytes = encodeTrampoline(placeOf(image.arch, trampoline), { kind: 'function', address }, support);
    if (bytes) return bytes;
  }
  return undefined;
}

/** True when the trampoline goes where `value` says, whatever stub the linker put between. */
export function trampolineDoes(runtime: Runtime, key: number, trampoline: number, value: CallValue): boolean {
  const { image } = runtime;
  const place = placeOf(image.arch, trampoline);
  const { trampolineSlot } = image.arch.instructionsOf(trampoline);
  const slot = trampolineSlot(image.readUpTo(place, image.arch.trampolineSize), 0, place);
  if (slot !== undefined) return value.kind !== 'null' && slot === key;
  const target = branchTargetAt(image, place);
  if (!target) return value.kind === 'null';
  if (value.kind === 'external') return target.kind === 'external' && target.name === value.name;
  if (value.kind === 'null')
    return target.kind === 'address' && target.address === runtime.support.returnThunk;
  return target.kind === 'address' && target.address === value.address;
}

/** An address or a count as a word of the image. */
function wordBytes(image: Image, value: number): Uint8Array {
  const word = new Uint8Array(image.arch.wordSize);
  const view = new ByteView(word, image.file.header.little);
  if (word.length === 8) view.setS64(0, value);
  else view.setU32(0, value >>> 0);
  return word;
}

/**
 * Stores `func`. In a position-independent image the loader makes the pointer, so its relocation changes: to a
 * relative one for an address, to none for NULL. Error `store-refused` where there is no relocation to change.
 */
function storeFunction(runtime: Runtime, call: StaticCall, value: CallValue): void {
  const { image, poker } = runtime;
  const { arch, dynamic } = image;
  if (value.kind === 'external') return;
  const address = value.kind === 'null' ? 0 : value.address;
  const reason = `__SCK__${call.name}.func = ${describeValue(image, value)}`;
  const refuse = (why: string): never => {
    throw new TextpokeError('store-refused', `${reason}: ${why}`, { file: image.file.path });
  };
  const relocation = dynamic.at(call.key);
  let word = wordBytes(image, address);
  if (dynamic.isPacked(call.key)) {
    if (address === 0)
      refuse(
        'a packed relative relocation (DT_RELR) adds the load base; link without -z pack-relative-relocs',
      );
  } else if (relocation) {
    const type = address === 0 ? arch.dynamic.none : arch.dynamic.relative;
    const record = dynamic.encode(arch, relocation, type, call.key, address);
    poker.store(relocation.record, record, `relocation of ${reason}`);
    const relative = dynamic.relativeCount(arch);
    if (relative) {
      poker.store(
        relative.at,
        wordBytes(image, relative.count),
        'the number of leading relative relocations',
      );
    }
    image.forgetDynamic();
    // The loader leaves a pointer without relocation as it stands, so NULL has to stand there. Else it ignores what
    // does, and the linker's habit is kept: GNU ld repeats the addend there, lld writes zero.
    if (address !== 0 && !dynamic.repeatsAddends(arch)) word = wordBytes(image, 0);
  } else if (address !== 0 && image.isPositionIndependent) {
    refuse(
      'the image is position-independent and has no dynamic relocation for the pointer that could hold it',
    );
  }
  poker.store(call.key, word, reason);
}
