// Collects places with what may stand there, and brings what many of them share together.
import { hexBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { RelocationLists } from '../kernel/relocation-lists.ts';
import type {
  Policy,
  PolicyForm,
  PolicyKind,
  PolicyState,
  PolicyTargets,
  PolicyVariable,
  StateField,
  When,
} from './policy.ts';
import { stretchesOf } from './stretches.ts';

/** Four bytes that are no fixed ones, at an offset of the state. */
export const distanceSize = 4;
/** Far more than a kernel has: 520,000 places (7.3). */
const mostPlaces = 1 << 23;

export class PolicyBuilder {
  private readonly addresses: number[] = [];
  private readonly numbers: number[] = [];
  private readonly forms: PolicyForm[] = [];
  private readonly known = new Map<string, number>();
  private readonly targets: PolicyTargets[] = [];
  private readonly knownTargets = new Map<string, number>();
  private readonly variables: PolicyVariable[] = [];
  /** What was added last: many places in a row have the same states. */
  private last:
    | {
        readonly states: readonly PolicyState[];
        readonly kind: PolicyKind;
        readonly when: When;
        readonly times: number;
        readonly number: number;
      }
    | undefined;

  /** The number of a set of targets; the same name is the same set. */
  targetsOf(name: string, make: () => Omit<PolicyTargets, 'name'>): number {
    const known = this.knownTargets.get(name);
    if (known !== undefined) return known;
    const number = this.targets.push({ name, ...make() }) - 1;
    this.knownTargets.set(name, number);
    return number;
  }

  target(number: number): PolicyTargets {
    return this.targets[number] as PolicyTargets;
  }

  /** The number of a variable. */
  variable(variable: PolicyVariable): number {
    return this.variables.push(variable) - 1;
  }

  /** A place, what may stand there, and when it may be written. States that say the same are one. */
  add(
    address: number,
    kind: PolicyKind,
    when: When,
    states: readonly PolicyState[],
    times = timesOf(kind, when),
  ): void {
    if (this.addresses.length >= mostPlaces)
      throw new TextpokeError('too-large', `the tables of the kernel name more than ${mostPlaces} places`);
    this.addresses.push(address);
    const { last } = this;
    if (last?.states !== states || last.kind !== kind || last.when !== when || last.times !== times)
      this.last = { states, kind, when, times, number: this.numberOf(kind, when, times, states) };
    this.numbers.push(this.last?.number as number);
  }

  private numberOf(kind: PolicyKind, when: When, times: number, states: readonly PolicyState[]): number {
    const length = states[0]?.bytes.length ?? 0;
    const distinct = new Map<string, PolicyState>();
    for (const state of states) distinct.set(keyOf(state), state);
    const key = `${kind} ${when} ${times} ${[...distinct.keys()].sort().join(' | ')}`;
    let number = this.known.get(key);
    if (number === undefined) {
      number = this.forms.push({ kind, when, times, length, states: [...distinct.values()] }) - 1;
      this.known.set(key, number);
    }
    return number;
  }

  /** The policy of all that was added. */
  finish(
    image: Image,
    lists: RelocationLists | undefined,
    rest: Pick<Policy, 'banner' | 'buildId' | 'image' | 'kept' | 'order'>,
  ): Policy {
    const { forms, numbers } = this;
    const order = Uint32Array.from(numbers.keys()).sort(
      (a, b) =>
        (this.addresses[a] as number) - (this.addresses[b] as number) ||
        (numbers[a] as number) - (numbers[b] as number),
    );
    // A place that a table names twice is one.
    const kept = order.filter(
      (one, i) =>
        i === 0 ||
        this.addresses[one] !== this.addresses[order[i - 1] as number] ||
        numbers[one] !== numbers[order[i - 1] as number],
    );
    const addresses = Float64Array.from(kept, (one) => this.addresses[one] as number);
    const formOf = Uint32Array.from(kept, (one) => numbers[one] as number);
    const lengthOf = (i: number) => (forms[formOf[i] as number] as PolicyForm).length;
    return {
      ...rest,
      targets: this.targets,
      variables: this.variables,
      forms,
      stretches: stretchesOf(image, lists, addresses, lengthOf),
      addresses,
      formOf,
    };
  }
}

/** Most steps of start-up come once to a place. */
function timesOf(kind: PolicyKind, when: When): number {
  const isRepeated: readonly PolicyKind[] = ['static-branch', 'static-call', 'trampoline', 'ftrace'];
  return when === 'start-up' && !isRepeated.includes(kind) ? 1 : 0;
}

function keyOf({ bytes, fields }: PolicyState): string {
  return `${hexBytes(bytes)} ${JSON.stringify(fields)}`;
}

/** A state of fixed bytes alone. */
export function fixed(bytes: Uint8Array): PolicyState {
  return { bytes: bytes.slice(), fields: [] };
}

/** A state with fields; the bytes of these are cleared, as whatever stands there says nothing. */
export function withFields(bytes: Uint8Array, fields: readonly StateField[]): PolicyState {
  const cleared = bytes.slice();
  for (const field of fields) {
    if (field.is === 'address') continue;
    const size = field.is === 'value' ? field.size : distanceSize;
    cleared.fill(0, field.at, field.at + size);
  }
  return { bytes: cleared, fields };
}

/** A state that ends with a branch to one of some targets. */
export function branching(bytes: Uint8Array, targets: number, at = bytes.length - distanceSize): PolicyState {
  return withFields(bytes, [{ at, is: 'branch', targets }]);
}
