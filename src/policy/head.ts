// What a policy says besides its places: the same in its document and in its compact form.
import { hexBytes } from '../bytes/integer.ts';
import { type Policy, policyKinds, type StateField } from './policy.ts';

/** As JSON has it; addresses are numbers with a sign. */
export interface PolicyHead
  extends Pick<Policy, 'banner' | 'buildId' | 'image' | 'kept' | 'order' | 'variables'> {
  readonly targets: readonly { readonly name: string; readonly before: number; readonly outside: boolean }[];
}

interface WrittenHead extends PolicyHead {
  readonly forms: readonly {
    readonly kind: string;
    readonly when: string;
    readonly times: number;
    readonly length: number;
    readonly states: readonly { readonly bytes: string; readonly fields?: readonly StateField[] }[];
  }[];
}

export function headOf(policy: Policy): WrittenHead {
  const { banner, buildId, image, kept, order, variables, targets, forms } = policy;
  return {
    ...{ banner, buildId, image, kept, order, variables },
    targets: targets.map(({ name, before, outside }) => ({ name, before, outside })),
    forms: forms.map(({ kind, when, times, length, states }) => ({
      ...{ kind, when, times, length },
      states: states.map(({ bytes, fields }) => ({
        bytes: hexBytes(bytes),
        ...(fields.length > 0 && { fields }),
      })),
    })),
  };
}

type Check = (value: unknown) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const shaped =
  (members: Record<string, Check>): Check =>
  (value) =>
    isObject(value) && Object.entries(members).every(([name, check]) => check(value[name]));
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const isText: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => Number.isSafeInteger(value);
const isSize: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 255;
const isOffset: Check = (value) => isNumber(value) && (value as number) >= 0;
const isMaybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const isBoolean: Check = (value) => typeof value === 'boolean';
const isKind: Check = (value) => (policyKinds as readonly unknown[]).includes(value);
const isPair: Check = (value) => Array.isArray(value) && value.length === 2 && value.every(isNumber);
const isHex: Check = (value) => typeof value === 'string' && /^([0-9a-f]{2})+$/.test(value);
const isField: Check = (value) =>
  isObject(value) &&
  isSize(value.at) &&
  ((value.is === 'address' && (value.sign === 1 || value.sign === -1)) ||
    (value.is === 'branch' && isNumber(value.targets)) ||
    (value.is === 'nearer' && isSize(value.by)) ||
    (value.is === 'distance' && isNumber(value.to) && isSize(value.behind) && isBoolean(value.moves)) ||
    (value.is === 'value' && isSize(value.size) && isNumber(value.variable)));

const isPointer: Check = shaped({ cache: isMaybe(shaped({ name: isText, at: isOffset })) });

const check = shaped({
  banner: isText,
  buildId: isMaybe(isText),
  image: isPair,
  kept: isPair,
  order: list(isKind),
  variables: list(
    shaped({ name: isText, size: isSize, address: isMaybe(isNumber), pointer: isMaybe(isPointer) }),
  ),
  targets: list(shaped({ name: isText, before: isSize, outside: isBoolean })),
  forms: list(
    shaped({
      kind: isKind,
      when: (value) => value === 'start-up' || value === 'always',
      times: isSize,
      length: isSize,
      states: list(shaped({ bytes: isHex, fields: isMaybe(list(isField)) })),
    }),
  ),
});

/** Whether JSON is the head of a policy. */
export function isHead(value: unknown): value is WrittenHead {
  return check(value);
}

/** Whether a field lies in a state of so many bytes, and names what there is. */
export function fieldFits(
  field: StateField,
  length: number,
  { targets, variables }: Pick<PolicyHead, 'targets' | 'variables'>,
): boolean {
  const size = field.is === 'value' ? field.size : 4;
  if (field.at + size > length) return false;
  if (field.is === 'branch') return targets[field.targets] !== undefined;
  return field.is !== 'value' || variables[field.variable]?.size === field.size;
}
