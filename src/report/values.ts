// What the values of one key or call write. The program goes from value to value and back to the first; what a value would
// write only after another one than the one in front of it is recorded on a way of its own.
import type { Runtime } from '../boot/runtime.ts';
import type { Change, ChangeReader } from './changes.ts';
import type {
  BytesNumber,
  ControlData,
  CountData,
  PlaceNumber,
  StoredData,
  StringNumber,
  ValueData,
} from './data.ts';
import type { InstructionTexts } from './instructions.ts';
import type { Place } from './places.ts';
import type { Pools } from './pools.ts';
import { refusalOf } from './refusal.ts';

/** A value that a control may take. */
export interface Target {
  readonly name: string;
  readonly spelling: string;
  /** Makes the change; fails as boot's operation does. */
  readonly change: () => void;
  /** Of a key that is on: one user more, or less. */
  readonly users?: { readonly more: () => void; readonly less: () => void };
}

/** Users of a key that a page counts. */
export const mostUsers = 4;

/** What recorders share. */
export interface Recording {
  readonly runtime: Runtime;
  readonly places: readonly Place[];
  readonly reader: ChangeReader;
  readonly pools: Pools;
  readonly texts: InstructionTexts;
}

type Item = ValueData['order'][number];

/** A value that the program went to. */
interface Reached {
  readonly bytes: readonly BytesNumber[];
  readonly texts: readonly StringNumber[];
  readonly reasons: (StringNumber | undefined)[];
  order: Item[];
  /** What words hold then, by their numbers; those that turned up later held what they held at first. */
  readonly held: ReadonlyMap<number, BytesNumber>;
}

/** Records the values of a control; the program stands as before afterwards. */
export class ValueRecorder {
  private readonly recording: Recording;
  private readonly targets: readonly Target[];
  private readonly initial: number;
  private readonly numbers: readonly PlaceNumber[];
  private readonly words = new Map<number, { readonly number: number; readonly bytes: BytesNumber }>();
  private readonly held = new Map<number, BytesNumber>();

  /** `numbers` are the control's places in the order of patching. */
  constructor(
    recording: Recording,
    targets: readonly Target[],
    initial: number,
    numbers: readonly PlaceNumber[],
  ) {
    this.recording = recording;
    this.targets = targets;
    this.initial = initial;
    this.numbers = numbers;
  }

  record(): Pick<ControlData, 'values' | 'words' | 'standing' | 'counts'> {
    const { pools } = this.recording;
    const first = this.standing();
    const reached = new Map<number, Reached>();
    const refused = new Map<number, string>();
    let counts: CountData[] | undefined;
    const others = this.targets.flatMap((_, i) => (i === this.initial ? [] : [i]));
    this.andBack(() => {
      for (const i of [...others, this.initial]) {
        const { change, users } = this.targets[i] as Target;
        const { changes, why } = this.go(change);
        if (why !== undefined) {
          refused.set(i, why);
          continue;
        }
        reached.set(i, this.reach(this.standing(), changes));
        if (users) counts = this.count(users);
      }
    });
    for (const value of reached.values()) this.complete(value, reached);
    const values = this.targets.map((target, i): ValueData => {
      const head = { name: pools.string(target.name), spelling: pools.string(target.spelling) };
      const { bytes, texts, reasons, order } = reached.get(i) ?? {
        ...(i === this.initial ? first : { bytes: [], texts: [] }),
        ...{ reasons: [], order: [] },
      };
      const told = reasons.map((reason) => reason ?? pools.string(''));
      const why = refused.get(i);
      return { ...head, ...(why !== undefined && { refused: why }), bytes, texts, reasons: told, order };
    });
    const words = Array.from(this.words, ([address, { bytes }]) => [address, bytes] as const);
    // A compiler's NOP may be another one than patching writes, where boot leaves it (32-bit ARM).
    const isOther = first.bytes.some((bytes, i) => bytes !== values[this.initial]?.bytes[i]);
    return { values, words, ...(isOther && { standing: first }), ...(counts && { counts }) };
  }

  /** Has more and more users, and then less and less. */
  private count({ more, less }: NonNullable<Target['users']>): CountData[] | undefined {
    const ways = Array.from({ length: 2 * (mostUsers - 1) }, (_, i) => {
      const { changes, why } = this.go(i < mostUsers - 1 ? more : less);
      if (why !== undefined || changes.some(({ what }) => what === 'place')) return undefined;
      return this.orderOf(changes).filter((item): item is StoredData => item !== -1);
    });
    if (!ways.every((way) => way !== undefined)) return undefined;
    return ways.slice(0, mostUsers - 1).map((up, i) => ({ up, down: ways.at(-1 - i) ?? [] }));
  }

  /** Does something to the program, and takes it back. */
  private andBack(body: () => void): void {
    const { runtime } = this.recording;
    const [mark, state] = [runtime.poker.records.length, runtime.state];
    body();
    runtime.poker.rollBack(mark);
    runtime.state = state;
  }

  /** Makes a change. One that is refused leaves the program as it is. */
  private go(change: () => void): { readonly changes: readonly Change[]; readonly why?: string } {
    const { runtime, reader } = this.recording;
    const { poker, state } = runtime;
    const from = poker.records.length;
    const why = refusalOf(change);
    if (why === undefined) return { changes: reader.read(poker.records.slice(from), true) };
    poker.rollBack(from);
    runtime.state = state;
    return { changes: [], why };
  }

  private reach(standing: Pick<Reached, 'bytes' | 'texts'>, changes: readonly Change[]): Reached {
    const reasons = this.reasonsOf(changes);
    const order = this.orderOf(changes);
    return { ...standing, reasons, order, held: new Map(this.held) };
  }

  /** What stands at the places now, and what it reads as. */
  private standing(): Pick<Reached, 'bytes' | 'texts'> {
    const { runtime, places, pools, texts } = this.recording;
    const found = this.numbers.map((number) => {
      const { address, size } = places[number] as Place;
      return { address, bytes: runtime.image.readUpTo(address, size) };
    });
    return {
      bytes: found.map(({ bytes }) => pools.bytes(bytes)),
      texts: found.map(({ bytes, address }) => texts.of(bytes, address)),
    };
  }

  private reasonsOf(changes: readonly Change[]): (StringNumber | undefined)[] {
    const reasons = new Map<PlaceNumber, StringNumber>();
    for (const change of changes)
      if (change.what === 'place') reasons.set(change.place, this.recording.pools.string(change.reason));
    return this.numbers.map((place) => reasons.get(place));
  }

  /** The order of what is stored and patched; words that turn up are numbered. */
  private orderOf(changes: readonly Change[]): Item[] {
    const { pools } = this.recording;
    const order: Item[] = [];
    for (const change of changes) {
      if (change.what === 'place') {
        if (!order.includes(-1)) order.push(-1);
        continue;
      }
      const { address, before, bytes, reason } = change;
      let word = this.words.get(address);
      if (!word) {
        word = { number: this.words.size, bytes: pools.bytes(before) };
        this.words.set(address, word);
      }
      this.held.set(word.number, pools.bytes(bytes));
      order.push([word.number, pools.bytes(bytes), pools.string(reason)]);
    }
    return order.includes(-1) ? order : [...order, -1];
  }

  /** Adds what the value writes when the program comes from another value than the one that was in front of it. */
  private complete(value: Reached, all: ReadonlyMap<number, Reached>): void {
    const number = [...all].find(([, of]) => of === value)?.[0] as number;
    for (const [from, other] of all) {
      if (other === value || !this.lacks(value, other)) continue;
      this.andBack(() => {
        const to = (value: number) => this.go((this.targets[value] as Target).change);
        if (from !== this.initial) to(from);
        const { changes } = to(number);
        this.reasonsOf(changes).forEach((reason, i) => {
          value.reasons[i] ??= reason;
        });
        value.order = merged(value.order, this.orderOf(changes));
      });
    }
  }

  /** True where a place or a word differs between two values, and the first one does not say how it is written. */
  private lacks(value: Reached, other: Reached): boolean {
    if (value.bytes.some((bytes, i) => value.reasons[i] === undefined && bytes !== other.bytes[i]))
      return true;
    if (this.words.size < 2) return false;
    const stored = new Set(value.order.map((item) => (item === -1 ? -1 : item[0])));
    return [...this.words.values()].some(({ number, bytes }) => {
      const hold = ({ held }: Reached) => held.get(number) ?? bytes;
      return !stored.has(number) && hold(value) !== hold(other);
    });
  }
}

/** An order with the words that another one has besides, each behind the one that it follows there. */
function merged(order: readonly Item[], other: readonly Item[]): Item[] {
  const all = [...order];
  const nameOf = (item: Item) => (item === -1 ? -1 : item[0]);
  const known = new Set(order.map(nameOf));
  other.forEach((item, i) => {
    if (known.has(nameOf(item))) return;
    const before = other.slice(0, i).reverse().map(nameOf);
    const follows = before.find((name) => all.some((of) => nameOf(of) === name));
    const at = follows === undefined ? 0 : all.findLastIndex((of) => nameOf(of) === follows) + 1;
    all.splice(at, 0, item);
  });
  return all;
}
