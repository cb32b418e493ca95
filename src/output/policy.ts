// The document of a policy (docs/policy.schema.json), in pieces: it has some 30 MB.
import { hex, hexBytes } from '../bytes/integer.ts';
import type { Policy, PolicyForm, StateField } from '../policy/policy.ts';
import { inPieces } from './pieces.ts';
import { jsonText } from './text.ts';

/** A policy as `textpoke states` prints it; `file` names the kernel. */
export function policyJson(file: string, policy: Policy): Generator<string> {
  return inPieces(parts(file, policy));
}

function* parts(file: string, policy: Policy): Generator<string> {
  const { banner, buildId, image, kept, order, targets, variables, forms, stretches } = policy;
  const range = ([start, end]: readonly [number, number]) => ({ start: hex(start), end: hex(end) });
  const head = {
    schema: 'textpoke.policy/1',
    file,
    banner,
    ...(buildId !== undefined && { buildId }),
    image: range(image),
    keptText: range(kept),
    order,
    variables: variables.map(({ name, size, address, pointer }) => ({
      name,
      size,
      ...(address !== undefined && { address: hex(address) }),
      ...(pointer && { pointer }),
    })),
  };
  yield jsonText(head).slice(0, -1);
  yield* list('targets', targets, ({ name, before, outside, addresses }) => ({
    name,
    before,
    outside,
    addresses: [...addresses].map((address) => hex(address)),
  }));
  yield* list('forms', forms, (form) => formJson(form));
  yield* list('stretches', stretches, ({ address, bytes, added, taken }) => ({
    address: hex(address),
    bytes: hexBytes(bytes),
    ...(added.length > 0 && { added }),
    ...(taken.length > 0 && { taken }),
  }));
  yield* list('places', places(policy), (place) => place);
  yield '}\n';
}

function* list<T>(name: string, items: Iterable<T>, make: (item: T) => unknown): Generator<string> {
  yield `,${jsonText(name)}:[`;
  let between = '\n';
  for (const item of items) {
    yield `${between}${jsonText(make(item))}`;
    between = ',\n';
  }
  yield '\n]';
}

function* places({ addresses, formOf }: Policy): Generator<readonly [string, number]> {
  for (let i = 0; i < addresses.length; i++) yield [hex(addresses[i] as number), formOf[i] as number];
}

function formJson({ kind, when, times, length, states }: PolicyForm) {
  return {
    kind,
    when,
    times,
    length,
    states: states.map(({ bytes, fields }) => ({
      bytes: hexBytes(bytes),
      ...(fields.length > 0 && { fields: fields.map(fieldJson) }),
    })),
  };
}

function fieldJson(field: StateField) {
  return field.is === 'distance' ? { ...field, to: hex(field.to) } : field;
}
