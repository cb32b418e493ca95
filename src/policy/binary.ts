// The compact form of a policy (docs/policy.md): a head of JSON, and behind it numbers of 7 bits a byte, each less the one in
// front of it. A kernel's policy has some 5 MB in it.
import { TextpokeError } from '../errors.ts';
import { fieldFits, headOf, isHead, type PolicyHead } from './head.ts';
import type { Policy, PolicyForm, PolicyStretch } from './policy.ts';

/** The first bytes: a name, and the version of the form. */
const magic = Uint8Array.from(Buffer.from('textpoke-policy\u0001', 'latin1'));
/** Numbers have at most 53 bits. */
const mostDigits = 8;

/** A policy as bytes. */
export function policyBytes(policy: Policy): Uint8Array {
  const { targets, stretches, addresses, formOf } = policy;
  const out = new NumberWriter();
  out.bytes(magic);
  const head = Uint8Array.from(Buffer.from(JSON.stringify(headOf(policy)), 'utf8'));
  out.number(head.length);
  out.bytes(head);
  for (const { addresses: of } of targets) out.ascending(of);
  out.ascending(addresses);
  for (const form of formOf) out.number(form);
  out.ascending(Float64Array.from(stretches, ({ address }) => address));
  for (const { bytes, added, taken } of stretches) {
    // Most stretches have no place that the loader changes.
    const isMoved = added.length + taken.length > 0;
    out.number(2 * bytes.length + (isMoved ? 1 : 0));
    out.bytes(bytes);
    if (!isMoved) continue;
    out.ascending(Float64Array.from(added));
    out.ascending(Float64Array.from(taken));
  }
  return out.finish();
}

/** The policy of such bytes. Error `policy-malformed`. */
export function readPolicy(bytes: Uint8Array): Policy {
  const input = new NumberReader(bytes);
  if (!magic.every((byte, i) => bytes[i] === byte))
    throw malformed('it does not begin like a policy of textpoke, version 1', 0);
  input.take(magic.length);
  const size = input.number();
  const head = parseHead(input.take(size), magic.length);
  const targets = head.targets.map((target) => ({ ...target, addresses: input.ascending() }));
  const addresses = input.ascending();
  const formOf = new Uint32Array(addresses.length);
  for (let i = 0; i < formOf.length; i++) {
    const form = input.number();
    if (form >= head.forms.length)
      throw malformed(`a place has form ${form} of ${head.forms.length}`, input.at);
    formOf[i] = form;
  }
  const starts = input.ascending();
  const stretches: PolicyStretch[] = [];
  for (const address of starts) {
    const number = input.number();
    const content = input.take(Math.floor(number / 2)).slice();
    const isMoved = number % 2 === 1;
    const moved = () => [...(isMoved ? input.ascending() : [])];
    const stretch = { address, bytes: content, added: moved(), taken: moved() };
    if ([...stretch.added, ...stretch.taken].some((at) => at < 0 || at + 4 > content.length))
      throw malformed('a place that the loader changes is in no stretch', input.at);
    stretches.push(stretch);
  }
  if (!input.isAtEnd) throw malformed('bytes are left behind the policy', input.at);
  return { ...head, targets, addresses, formOf, stretches };
}

function parseHead(bytes: Uint8Array, at: number): PolicyHead & { forms: readonly PolicyForm[] } {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  } catch {
    throw malformed('its head is no JSON', at);
  }
  if (!isHead(value)) throw malformed('its head is not what docs/policy.md says', at);
  const forms = value.forms.map((form) => ({
    ...form,
    states: form.states.map(({ bytes: text, fields }) => ({
      bytes: Uint8Array.from(Buffer.from(text, 'hex')),
      fields: fields ?? [],
    })),
  }));
  for (const { length, states } of forms)
    for (const { bytes: of, fields } of states)
      if (of.length !== length || !fields.every((field) => fieldFits(field, length, value)))
        throw malformed('a state does not fit its place', at);
  // JSON has no member for what is undefined.
  const variables = value.variables.map(({ address, ...rest }) => ({ ...rest, address }));
  return { ...value, variables, forms } as PolicyHead & { forms: readonly PolicyForm[] };
}

function malformed(what: string, offset: number): TextpokeError {
  return new TextpokeError('policy-malformed', `this is no policy: ${what}`, { offset });
}

class NumberWriter {
  private content = new Uint8Array(1 << 16);
  private size = 0;

  bytes(bytes: Uint8Array): void {
    if (this.size + bytes.length > this.content.length) {
      const grown = new Uint8Array(2 * (this.size + bytes.length));
      grown.set(this.content.subarray(0, this.size));
      this.content = grown;
    }
    this.content.set(bytes, this.size);
    this.size += bytes.length;
  }

  /** A number that is not negative: 7 bits a byte, the lowest first, bit 7 where more follow. */
  number(number: number): void {
    const digits: number[] = [];
    let rest = number;
    while (rest >= 0x80) {
      digits.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    digits.push(rest);
    this.bytes(Uint8Array.from(digits));
  }

  /** How many, the first (twice, and 1 more where it is negative), and how far each is from the one in front of it. */
  ascending(numbers: Float64Array): void {
    this.number(numbers.length);
    let last = 0;
    for (const [i, number] of numbers.entries()) {
      this.number(i === 0 ? 2 * Math.abs(number) + (number < 0 ? 1 : 0) : number - last);
      last = number;
    }
  }

  finish(): Uint8Array {
    return this.content.slice(0, this.size);
  }
}

class NumberReader {
  at = 0;
  private readonly content: Uint8Array;

  constructor(content: Uint8Array) {
    this.content = content;
  }

  get isAtEnd(): boolean {
    return this.at === this.content.length;
  }

  take(size: number): Uint8Array {
    if (size > this.content.length - this.at)
      throw malformed(`${size} bytes are said to follow, and ${this.content.length - this.at} do`, this.at);
    this.at += size;
    return this.content.subarray(this.at - size, this.at);
  }

  number(): number {
    let number = 0;
    for (let digit = 0; digit < mostDigits; digit++) {
      const byte = this.take(1)[0] as number;
      number += (byte & 0x7f) * 0x80 ** digit;
      if (byte < 0x80) return number;
    }
    throw malformed('a number has no end', this.at);
  }

  ascending(): Float64Array {
    const count = this.number();
    // Each has a byte at least.
    if (count > this.content.length - this.at)
      throw malformed(`${count} numbers are said to follow`, this.at);
    const numbers = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const number = this.number();
      if (i > 0) numbers[i] = (numbers[i - 1] as number) + number;
      else numbers[i] = number % 2 === 1 ? -Math.floor(number / 2) : number / 2;
    }
    return numbers;
  }
}
