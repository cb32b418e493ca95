// Static branches, static calls, their trampolines and locks, as passes over the text: what each must hold is asked of the
// kinds (kinds/), with keys from memory and code as it must be.
import type { CallSupport } from '../../arch/arch.ts';
import { sameBytes } from '../../bytes/integer.ts';
import type { Address } from '../../bytes/named-numbers.ts';
import type { Demand } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import type { KeyedSite } from '../../demand/sites.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { droppedLocks, lockPatches } from '../../kinds/lock-prefix/demand.ts';
import { lockPrefix } from '../../kinds/lock-prefix/kind.ts';
import { programOf } from '../../kinds/registry.ts';
import { staticBranch } from '../../kinds/static-branch/kind.ts';
import { staticCall } from '../../kinds/static-call/kind.ts';
import { hasTrampoline, type TrampolineCall, trampolinePatch } from '../../kinds/static-call/trampoline.ts';
import { type CallValue, describeValue, readCallValue } from '../../kinds/static-call/values.ts';
import type { TextKind } from '../kind.ts';
import { isGone, type PassNote, type PassResult, type TextPass, type TextSubject } from '../pass.ts';
import type { ReplayImage } from '../replay-image.ts';
import { branchSize } from './branches.ts';
import { countedEntryOf } from './call-thunks.ts';
import type { X86State } from './state.ts';

type Subject = TextSubject<X86State>;

/** ret; int3; int3; int3; int3: what a kernel writes that returns through no thunk, or does not yet. */
const bareReturn = Uint8Array.of(0xc3, 0xcc, 0xcc, 0xcc, 0xcc);
const earlyForms =
  'it was patched before the kernel had chosen what it returns through or whether it counts calls, and not again';
const nullForms =
  'a call of NULL returns as the linker left it, or as the kernel returned when the call became NULL: before it chose a thunk, or later';

/** What the passes of keys are told besides. */
export interface Keyed {
  /** What the image lists, and the calls of all; code as it must be, data of the memory. */
  readonly program: Program;
  /** Calls were patched before the kernel had chosen what it returns through: its own, and not a module's. */
  readonly patchesEarly: boolean;
  /** Whether a function begins at an address as linked: of the image, or of a module that is loaded. */
  readonly isFunction: (address: number) => boolean;
}

/** The passes that follow keys, and the one over locks. */
export interface KeyedPasses {
  readonly branches: TextPass<X86State>;
  readonly calls: TextPass<X86State>;
  readonly trampolines: TextPass<X86State>;
  readonly locks: TextPass<X86State>;
}

/** The program of a kernel's replay: its tables are the file's. */
export const programOfReplay = (replay: ReplayImage, image: Image): Program =>
  programOf(replay, { tables: image });

/** `image` is the kernel. */
export function keyedPasses(image: Image, { program: read, patchesEarly, isFunction }: Keyed): KeyedPasses {
  const program = (subject: Subject): Program => {
    const { state } = subject;
    const support = {
      ...read.support,
      ...returnSupport(image, state),
      countedEntry: countedEntryOf(subject),
    };
    return { ...read, support };
  };
  return {
    branches: {
      kind: 'static-branch',
      name: 'static branches',
      run: (subject) =>
        keyedSites(subject, read, 'static-branch', read.sites.of(staticBranch), (site) =>
          staticBranch.demand?.(read, site, { state: 'booted' }),
        ),
    },
    calls: {
      kind: 'static-call',
      name: 'static calls',
      run: (subject) => {
        const now = program(subject);
        return keyedSites(
          subject,
          now,
          'static-call',
          now.sites.of(staticCall),
          (site) => staticCall.demand?.(now, site, { state: 'booted' }),
          patchesEarly ? (site, bytes) => earlyReturn(now, site, bytes) : undefined,
        );
      },
    },
    trampolines: {
      kind: 'trampoline',
      name: 'trampolines of static calls',
      run: (subject) => trampolines(subject, program(subject), isFunction),
    },
    locks: { kind: 'lock', name: 'locks', run: (subject) => locks(subject, read) },
  };
}

/** Sites of static calls in text that is kept. */
export function keptCallSites(image: Image): readonly KeyedSite[] {
  return programOf(image)
    .sites.of(staticCall)
    .filter(({ address }) => !image.isInitText(address));
}

/** What the kernel returns through (cpu_wants_rethunk_at). */
export function returnSupport(
  image: Image,
  state: X86State,
): Pick<CallSupport, 'returnThunk' | 'returnsInLowHalf'> {
  const rethunk = state.feature('RETHUNK');
  const wants = rethunk !== undefined && state.has(rethunk);
  const its = image.symbols.addressOf('its_return_thunk');
  const returnThunk = wants ? state.returnThunk : undefined;
  return { returnThunk, returnsInLowHalf: returnThunk !== undefined && returnThunk === its };
}

/** Only text that is compared is written to: keys of init text may be gone. */
function keyedSites<S extends KeyedSite>(
  subject: Subject,
  { image }: Program,
  kind: TextKind,
  sites: readonly S[],
  demandOf: (site: S) => Demand | undefined,
  early: (site: S, bytes: Uint8Array) => readonly Uint8Array[] = () => [],
): PassResult {
  const { texts } = subject;
  const notes: PassNote[] = [];
  let count = 0;
  for (const site of sites) {
    const { address, key } = site;
    if (isGone(subject, address)) continue;
    count++;
    try {
      const demand = demandOf(site);
      if (!demand) continue;
      if ('unpatchable' in demand) {
        notes.push({ severity: 'wrong', address, message: demand.unpatchable, input: image.describe(key) });
        continue;
      }
      const [bytes, ...others] = demand.right;
      const text = texts.holding(address, bytes.length);
      if (!text) continue;
      text.write(address, bytes, kind);
      for (const other of [...others, ...early(site, bytes)])
        text.accept({ address, bytes: other.slice(), kind, why: earlyForms });
    } catch (error) {
      if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
      notes.push({ severity: 'left', address, message: error.message, input: image.describe(key) });
    }
  }
  return { sites: count, notes };
}

/** Without a second pass over static calls, a tail call of NULL stays the bare return that it became at first. */
function earlyReturn(
  { image, profile, support }: Program,
  { key }: KeyedSite,
  bytes: Uint8Array,
): readonly Uint8Array[] {
  const isThunk = bytes[0] === 0xe9 && support.returnThunk !== undefined;
  const isNull = isThunk && image.readPointer(key).kind === 'address' && image.readWord(key) === 0;
  return isNull && !profile.forceReinit ? [bareReturn] : [];
}

function trampolines(
  subject: Subject,
  program: Program,
  isFunction: (address: number) => boolean,
): PassResult {
  const { texts } = subject;
  const { image } = program;
  const notes: PassNote[] = [];
  let count = 0;
  for (const call of program.calls.values()) {
    if (!hasTrampoline(call) || call.literal !== undefined) continue;
    const address: number = call.trampoline;
    // Up to 5.17 no signature follows the jump.
    const text = texts.holding(address, branchSize);
    if (!text || isGone(subject, address)) continue;
    count++;
    try {
      const value = readCallValue(program, call.key);
      if (value.kind === 'function' && !isFunction(value.address)) {
        const message = `${call.name} leads to ${describeValue(image, value)}, where no function begins`;
        notes.push({ severity: 'wrong', address: call.key, message, input: image.describe(call.key) });
      }
      const other = otherCall(subject, program, call.key, value);
      if (other !== undefined)
        notes.push({
          severity: 'wrong',
          address: call.key,
          message: `${call.name} ${other}`,
          input: image.describe(call.key),
        });
      const { bytes } = trampolinePatch(program, call as TrampolineCall, value, value);
      replayTrampoline(subject, value, address, bytes, program);
    } catch (error) {
      if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
      notes.push({ severity: 'left', address, message: error.message, input: image.describe(call.key) });
    }
  }
  return { sites: count, notes };
}

/** What is wrong with a function that is called in another way than the one that the file has in the call, where BTF tells. */
function otherCall(
  { image, state }: Subject,
  program: Program,
  key: number,
  value: CallValue,
): string | undefined {
  if (value.kind !== 'function' || !state.btf) return undefined;
  // As the file has it.
  const first = readCallValue({ ...program, image }, key as Address);
  if (first.kind !== 'function' || first.address === value.address) return undefined;
  const namesOf = ({ address }: { address: number }) => {
    const names = image.symbols.functionsAt(address as Address);
    return names.length > 0 ? names : [image.symbolAt(address)?.name ?? ''];
  };
  const from = namesOf(first);
  const to = namesOf(value);
  const { calls } = state.btf;
  const told = from.flatMap((one) => to.map((other) => calls.areAlike(one, other)));
  if (told.includes(true) || !told.includes(false)) return undefined;
  return `leads to ${describeValue(image, value)}, which is called in another way than ${describeValue(image, first)}`;
}

/** A trampoline of NULL is what the linker left until an update, and what an update made of it after that. */
function replayTrampoline(
  { texts }: Subject,
  value: CallValue,
  address: number,
  bytes: Uint8Array,
  program: Program,
): void {
  const text = texts.holding(address, bytes.length);
  if (!text) return;
  const before = text.at(address, bytes.length).slice();
  if (sameBytes(before, bytes)) return;
  if (value.kind !== 'null') {
    text.write(address, bytes, 'trampoline');
    return;
  }
  if (!isReturn(program, before, address)) text.write(address, bytes, 'trampoline');
  for (const other of [bytes, bareReturn])
    if (!sameBytes(other, text.at(address, other.length)))
      text.accept({ address, bytes: other, kind: 'trampoline', why: nullForms });
}

/** What a trampoline that was NULL from the start begins with. */
function isReturn({ image, support }: Program, bytes: Uint8Array, address: number): boolean {
  const { kind, displacement } = image.instructionsAt(address).readInstruction(bytes, 0, address);
  if (kind === 'return') return true;
  const to = address + displacement;
  const thunks = [support.returnThunk, support.returnStub, image.symbols.addressOf('__x86_return_thunk')];
  return kind === 'jump' && thunks.includes(to);
}

function locks(subject: Subject, program: Program): PassResult | undefined {
  const { state, texts, image } = subject;
  const sites = program.sites.of(lockPrefix);
  if (sites.length === 0) return undefined;
  const patched = state.bytes('uniproc_patched', 1);
  if (!patched) {
    const message = 'the dump does not have uniproc_patched, which says whether locks are dropped';
    return { sites: 0, notes: [{ severity: 'left', message, input: 'uniproc_patched' }] };
  }
  const of = subject.kernel ? image : program.image;
  const kept = droppedLocks(program, of, sites).filter(({ address }) => !isGone(subject, address));
  if (patched[0] === 0) return { sites: kept.length, notes: [] };
  for (const { address, bytes } of lockPatches(program, kept, 1, 'ds'))
    texts.holding(address)?.write(address, bytes, 'lock');
  return { sites: kept.length, notes: [] };
}
