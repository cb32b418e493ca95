// States of a policy as a line: hexadecimal digits, and fields by what they are.
import type { Policy, PolicyState, StateField } from '../../src/policy/policy.ts';
import { hexOf } from '../text/x86-64/made.ts';
import { textAt } from './kernel.ts';

/** Fields stand between brackets in place of their digits. */
export function stateText(policy: Policy, { bytes, fields }: PolicyState): string {
  const digits = hexOf(bytes);
  let text = '';
  let from = 0;
  for (const field of fields) {
    const size = field.is === 'value' ? field.size : 4;
    const own = digits.slice(2 * field.at, 2 * (field.at + size));
    text += `${digits.slice(2 * from, 2 * field.at)}[${fieldText(policy, field, own)}]`;
    from = field.at + size;
  }
  return text + digits.slice(2 * from);
}

function fieldText(policy: Policy, field: StateField, digits: string): string {
  switch (field.is) {
    case 'address':
      return `${digits} ${field.sign > 0 ? '+' : '-'} slide`;
    case 'distance':
      return `to ${(field.to - textAt).toString(16)}${field.moves ? '' : ' that stays'}, ${field.behind} behind`;
    case 'branch':
      return policy.targets[field.targets]?.name ?? 'no set';
    case 'nearer':
      return `${field.by} less`;
    case 'value':
      return policy.variables[field.variable]?.name ?? 'no variable';
  }
}
