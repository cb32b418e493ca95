// Whether bytes are a state of a place.
import { readS32 } from '../arch/x86-64/length.ts';
import { countUpTo } from '../bytes/search.ts';
import { ByteView } from '../bytes/view.ts';
import type {
  Policy,
  PolicyPointer,
  PolicyState,
  PolicyTargets,
  PolicyVariable,
  StateField,
} from './policy.ts';

const distanceSize = 4;
const pointerSize = 8;

/** What fields are held against. */
export interface Matching {
  readonly policy: Policy;
  readonly slide: number;
  /** The bytes of a variable; undefined: nobody knows. */
  readonly value: (variable: number) => Uint8Array | undefined;
  /** Whether code outside of the image begins at an address of the running kernel; undefined: nobody knows. */
  readonly isCode: ((address: number) => boolean) | undefined;
  /** The memory of the running kernel; undefined: nobody knows. */
  readonly memory: ((address: number, size: number) => Uint8Array | undefined) | undefined;
  /** Keeps what a variable holds. */
  readonly learn: (variable: number, value: Uint8Array) => void;
}

/**
 * Whether bytes at a place (as linked) are a state; `old` is what stood there before. `learns`: what the first place of a
 * variable holds is what the others must hold.
 */
export function matches(
  matching: Matching,
  { bytes, fields }: PolicyState,
  address: number,
  found: Uint8Array,
  old: Uint8Array,
  learns: boolean,
): boolean {
  if (found.length !== bytes.length) return false;
  let next = 0;
  for (let i = 0; i < bytes.length; ) {
    const field = fields[next];
    if (field?.at === i) {
      next++;
      if (!fits(matching, field, bytes, address, found, old, learns)) return false;
      i += field.is === 'value' ? field.size : distanceSize;
      continue;
    }
    if (bytes[i] !== found[i]) return false;
    i++;
  }
  return true;
}

function fits(
  matching: Matching,
  field: StateField,
  bytes: Uint8Array,
  address: number,
  found: Uint8Array,
  old: Uint8Array,
  learns: boolean,
): boolean {
  const { policy, slide, isCode, value: valueOfVariable, learn } = matching;
  const { at } = field;
  switch (field.is) {
    case 'address':
      return readS32(found, at) === ((readS32(bytes, at) + field.sign * slide) | 0);
    case 'distance': {
      const to = field.moves ? field.to : field.to - slide;
      return readS32(found, at) === ((to - (address + at + distanceSize + field.behind)) | 0);
    }
    case 'branch':
      return isTarget(
        policy,
        policy.targets[field.targets] as PolicyTargets,
        address + at + distanceSize + readS32(found, at),
        (to) => isCode?.(to + slide) ?? true,
      );
    case 'nearer':
      return sameFront(found, old, at) && readS32(found, at) === ((readS32(old, at) - field.by) | 0);
    case 'value': {
      const value = found.subarray(at, at + field.size);
      const known = valueOfVariable(field.variable);
      if (known) return value.every((byte, i) => byte === known[i]);
      const { pointer } = policy.variables[field.variable] as PolicyVariable;
      if (pointer && !leadsRight(matching, pointer, value)) return false;
      if (learns) learn(field.variable, value);
      return true;
    }
  }
}

/** Whether a value is a pointer to what the variable must lead to, as far as somebody tells what memory holds. */
function leadsRight(
  { policy, slide, memory }: Matching,
  { cache }: PolicyPointer,
  value: Uint8Array,
): boolean {
  const [start, end] = policy.image;
  const to = pointerIn(value);
  if (to === undefined || to % pointerSize !== 0 || to >= 0) return false;
  if (to >= start + slide && to < end + slide) return false;
  if (!cache || !memory) return true;
  const named = memory(to + cache.at, pointerSize);
  const name = named && pointerIn(named);
  const text = name === undefined ? undefined : memory(name, cache.name.length + 1);
  return text !== undefined && Buffer.from(text).equals(Buffer.from(`${cache.name}\0`));
}

/** An address of 64 bits; what the kernel allocates is exact. */
function pointerIn(bytes: Uint8Array): number | undefined {
  if (bytes.length !== pointerSize) return undefined;
  return new ByteView(bytes, true).wide64(0);
}

/** The opcode in front of a distance stays. */
function sameFront(found: Uint8Array, old: Uint8Array, at: number): boolean {
  for (let i = 0; i < at; i++) if (found[i] !== old[i]) return false;
  return true;
}

function isTarget(
  { image }: Policy,
  { addresses, before, outside }: PolicyTargets,
  to: number,
  isCode: (to: number) => boolean,
): boolean {
  if (has(addresses, to) || (before > 0 && has(addresses, to + before))) return true;
  return outside && (to < image[0] || to >= image[1]) && isCode(to);
}

function has(ascending: Float64Array, number: number): boolean {
  return ascending[countUpTo(ascending, number) - 1] === number;
}
