// What every key and call does, as boot does it: each is switched to all of its values by the operations of boot, and what
// they write is taken down. So a page shows what the tool would do, and knows no rule of patching.
import { requireComplete } from '../boot/losses.ts';
import { callsNamed, describeCall, updateStaticCall } from '../boot/static-call.ts';
import { decrementKey, disableKey, enableKey, incrementKey } from '../boot/static-key.ts';
import { hex } from '../bytes/integer.ts';
import { readKey } from '../demand/keys.ts';
import type { Program } from '../demand/program.ts';
import { resolveStaticCall } from '../image/names.ts';
import type { StaticCall } from '../image/static-calls.ts';
import { type Kind, keyOf, type LinkedKind } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type AskedUpdate, Candidates, isPlainName, spellingOf } from './calls.ts';
import type { ControlData, PlaceNumber, StoredData, ValueData } from './data.ts';
import { KeyNames } from './names.ts';
import { trampolinesOf } from './places.ts';
import { refusalOf } from './refusal.ts';
import { type Recording, type Target, ValueRecorder } from './values.ts';

/** The keys and calls that places follow, by address, keys first. */
export interface Controlled {
  readonly keys: readonly number[];
  readonly calls: readonly StaticCall[];
  readonly names: KeyNames;
}

/** Finds them. */
export function findControls(program: Program): Controlled {
  const keys = new Set<number>();
  const calls = new Set(trampolinesOf(program).map(({ key }) => key));
  for (const kind of kinds) {
    if (!kind.link) continue;
    const found = kind.link.isTyped ? keys : calls;
    for (const site of program.sites.of(kind)) found.add(keyOf(site) as number);
  }
  const inOrder = (addresses: ReadonlySet<number>) => [...addresses].sort((a, b) => a - b);
  const [ofKeys, ofCalls] = [inOrder(keys), inOrder(calls)];
  const names = new KeyNames(program.image, ofKeys, ofCalls);
  return {
    keys: ofKeys,
    calls: ofCalls.map(
      (key) => program.calls.get(key) ?? { name: names.nameOf(key), key, trampoline: undefined },
    ),
    names,
  };
}

/** What is about to be recorded. */
interface Subject extends Pick<ControlData, 'what' | 'address' | 'initial'> {
  readonly name: string;
  readonly spelling: string;
  readonly targets: readonly Target[];
  readonly places: readonly PlaceNumber[];
}

/** Records what controls do; the program stands as boot left it, before and afterwards. */
export class ControlRecorder {
  private readonly recording: Recording;
  private readonly placeAt: ReadonlyMap<number, PlaceNumber>;

  constructor(recording: Recording, placeAt: ReadonlyMap<number, PlaceNumber>) {
    this.recording = recording;
    this.placeAt = placeAt;
  }

  /** Every control. Errors: those of the names that were asked for. */
  record({ keys, calls, names }: Controlled, asked: readonly AskedUpdate[]): ControlData[] {
    const { program } = this.recording.runtime;
    const candidates = new Candidates(program, calls, asked);
    const loss = refusalOf(() => requireComplete(program, 'of any name'));
    return withoutShared([
      ...keys.map((key) => this.recordKey(key, names, loss)),
      ...calls.map((call) => this.recordCall(call, candidates)),
    ]);
  }

  private recordKey(key: number, names: KeyNames, loss: string | undefined): ControlData {
    const { runtime } = this.recording;
    const spelling = names.spellingOf(key);
    const subject = { what: 'key', address: key, name: names.nameOf(key), spelling } as const;
    const count = readKey(runtime.image, key).enabled;
    const odd = `its count is ${count}: enable and disable change a count of 0 or 1 alone`;
    const refused = loss ?? (count === 0 || count === 1 ? undefined : odd);
    if (refused !== undefined) return this.refused(subject, refused);
    const targets = [
      { name: 'off', spelling, change: () => disableKey(runtime, key) },
      {
        ...{ name: 'on', spelling, change: () => enableKey(runtime, key) },
        users: { more: () => incrementKey(runtime, key), less: () => decrementKey(runtime, key) },
      },
    ];
    return this.recordControl({ ...subject, initial: count, targets, places: this.placesOf(key) });
  }

  private recordCall(call: StaticCall, candidates: Candidates): ControlData {
    const { runtime } = this.recording;
    const { image, program } = runtime;
    const { key, name } = call;
    const isItsName =
      isPlainName(name) && isTrue(() => resolveStaticCall(image, program.calls, name).key === key);
    const subject = { what: 'call', address: key, name, spelling: isItsName ? name : hex(key) } as const;
    const wrong = refusalOf(() => callsNamed(runtime, hex(key)));
    if (wrong !== undefined) return this.refused(subject, wrong);
    const now = describeCall(runtime, call);
    const pointer = image.readPointer(key);
    const isWord = now === 'NULL' || now === 'RET0' || pointer.kind === 'external';
    const present = { name: now, spelling: isWord ? now : spellingOf(image, now, pointer.address) };
    const values = [present, ...candidates.of(call).filter((value) => value.name !== now)];
    const targets = values.map((value) => ({
      ...value,
      change: () => updateStaticCall(runtime, call, value.spelling),
    }));
    return this.recordControl({ ...subject, initial: 0, targets, places: this.placesOf(key, call) });
  }

  /** The places of a key in the order of patching: a trampoline first. */
  private placesOf(key: number, call?: StaticCall): PlaceNumber[] {
    const { placeAt } = this;
    const { runtime } = this.recording;
    const numbers = new Set<PlaceNumber>();
    const add = (address: number) => {
      const number = placeAt.get(address);
      if (number !== undefined) numbers.add(number);
    };
    if (call?.trampoline !== undefined) for (const place of this.trampolines.get(key) ?? []) add(place);
    for (const kind of kinds) {
      if (!isLinked(kind)) continue;
      for (const site of runtime.sitesOf(kind, key)) {
        const { address } = site;
        if (runtime.isPatched(address, kind.isInit?.(site) ?? false)) add(address);
      }
    }
    return [...numbers];
  }

  private known: Map<number, number[]> | undefined;
  private get trampolines(): Map<number, number[]> {
    this.known ??= new Map(
      trampolinesOf(this.recording.runtime.program).map(({ key, place }) => [key, [place]]),
    );
    return this.known;
  }

  private refused(subject: Omit<Subject, 'targets' | 'places' | 'initial'>, refused: string): ControlData {
    const { what, address, name, spelling } = subject;
    const { pools } = this.recording;
    return {
      ...{ what, address, refused, initial: 0 },
      ...{ name: pools.string(name), spelling: pools.string(spelling) },
      ...{ values: [], places: [], words: [] },
    };
  }

  private recordControl({ what, address, name, spelling, targets, initial, places }: Subject): ControlData {
    const { pools } = this.recording;
    return {
      ...{ what, address, initial, places },
      ...{ name: pools.string(name), spelling: pools.string(spelling) },
      ...new ValueRecorder(this.recording, targets, initial, places).record(),
    };
  }
}

/**
 * Leaves out the words that several controls store: what such a one holds follows from all of them. There is one, the
 * number of leading relative relocations (DT_RELACOUNT) of a program that a loader moves.
 */
function withoutShared(controls: readonly ControlData[]): ControlData[] {
  const owners = new Map<number, number>();
  for (const { words } of controls)
    for (const [address] of words) owners.set(address, (owners.get(address) ?? 0) + 1);
  const isShared = ([address]: readonly [address: number, bytes: number]) => (owners.get(address) ?? 0) > 1;
  return controls.map((control) => {
    if (!control.words.some(isShared)) return control;
    const isOwn = ([word]: StoredData) => !isShared(control.words[word] as readonly [number, number]);
    const isKept = (item: ValueData['order'][number]) => item === -1 || isOwn(item);
    const counts = control.counts?.map(({ up, down }) => ({
      up: up.filter(isOwn),
      down: down.filter(isOwn),
    }));
    return {
      ...{ ...control, ...(counts && { counts }) },
      leftOut: control.words.filter(isShared).length,
      values: control.values.map((value) => ({ ...value, order: value.order.filter(isKept) })),
    };
  });
}

/** True for a kind whose sites follow keys. */
function isLinked(kind: Kind): kind is LinkedKind {
  return kind.link !== undefined;
}

function isTrue(body: () => boolean): boolean {
  let is = false;
  return refusalOf(() => (is = body())) === undefined && is;
}
