// The rules of verify, for people and for machines.

import type { Rule } from '../verify/rules/rule.ts';
import { type RuleId, ruleIds, rules } from '../verify/rules.ts';
import { outputColours } from './console.ts';
import { textOf } from './text.ts';

/** Columns of a paragraph. */
const width = 79;

function wrap(text: string): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1] as string;
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}

/** A line a rule. */
export function listRules(): string {
  return ruleIds
    .map((id) => `${id} ${rules[id].severity.padEnd(7)} ${rules[id].name.padEnd(24)} ${rules[id].summary}\n`)
    .join('');
}

/** Name, severity, summary and explanation. */
export function explainRule(id: RuleId): string {
  const { name, severity, summary, help } = rules[id];
  const paint = severity === 'error' ? outputColours().red : outputColours().yellow;
  const sentence = `${summary[0]?.toUpperCase()}${summary.slice(1)}.`;
  return textOf([`${id} ${name} (${paint(severity)})`, '', ...wrap(sentence), '', ...wrap(help)]);
}

/** `textpoke.explain/1` (docs/explain.schema.json). */
export function explainJson(ids: readonly RuleId[]): unknown {
  return {
    schema: 'textpoke.explain/1',
    rules: ids.map((id) => {
      const { name, severity, summary, help, needs }: Rule = rules[id];
      return { id, name, severity, summary, help, ...(needs === undefined ? {} : { needs }) };
    }),
  };
}
