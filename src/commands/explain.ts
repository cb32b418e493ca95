// textpoke explain: what a rule of verify means, or what a place or a key of a file is.
import { nearestNames } from '../bytes/nearest.ts';
import { TextpokeError } from '../errors.ts';
import { explain } from '../library/explain.ts';
import { isOutputColoured, print } from '../output/console.ts';
import { explainJson, explainRule, listRules } from '../output/explain.ts';
import { explainText } from '../output/explain-place.ts';
import { jsonText } from '../output/text.ts';
import { type RuleId, ruleIds, rules } from '../verify/rules.ts';

export interface ExplainArguments {
  json?: boolean;
  expandLimit?: number;
  debugDir?: string[];
}

/** The rule that an id or a name means, in either case. Error `usage`, with the nearest one. */
function ruleNamed(text: string): RuleId {
  const wanted = text.toLowerCase();
  const known = ruleIds.find((id) => id.toLowerCase() === wanted || rules[id].name === wanted);
  if (known) return known;
  const [meant] = nearestNames(wanted, [...ruleIds, ...ruleIds.map((id) => rules[id].name)]);
  const advice =
    meant === undefined
      ? 'textpoke explain lists all rules; for a place or a key give its file too'
      : `did you mean ${meant}?`;
  throw new TextpokeError('usage', `unknown rule ${JSON.stringify(text)}; ${advice}`);
}

/** Runs the command. */
export async function runExplain(
  asked: string | undefined,
  file: string | undefined,
  args: ExplainArguments,
): Promise<number> {
  if (asked === undefined || file === undefined) return explainRules(asked, args);
  const { expandLimit, debugDir } = args;
  const document = await explain(file, asked, { expandLimit, debugDirectories: debugDir });
  print(args.json ? jsonText(document, 2) : explainText(document, isOutputColoured()));
  return 0;
}

function explainRules(rule: string | undefined, { json }: ExplainArguments): number {
  const id = rule === undefined ? undefined : ruleNamed(rule);
  if (json) print(jsonText(explainJson(id === undefined ? ruleIds : [id]), 2));
  else print(id === undefined ? listRules() : explainRule(id));
  return 0;
}
