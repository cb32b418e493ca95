// What verify can find, as stable rules; the rows are in rules/, by what they are about.
import { comparisonRules } from './rules/comparison.ts';
import { coverageRules } from './rules/coverage.ts';
import { entryRules } from './rules/entries.ts';
import { executableRules } from './rules/executable.ts';
import { linkageRules } from './rules/linkage.ts';
import { siteRules } from './rules/sites.ts';
import { textRules } from './rules/text.ts';

/** Every rule. An id never changes its meaning. */
export const rules = {
  ...entryRules,
  ...siteRules,
  ...coverageRules,
  ...comparisonRules,
  ...linkageRules,
  ...textRules,
  ...executableRules,
} as const;

/** Id of a rule: `TP007`. */
export type RuleId = keyof typeof rules;

/** Every id, in order. */
export const ruleIds = (Object.keys(rules) as RuleId[]).sort();
