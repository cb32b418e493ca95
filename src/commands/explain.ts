// textpoke explain: what a rule of verify means, or what a place or a key of a file is.
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

/** Single letters to change, put in or take out to make one word of another. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The rule that an id or a name means, in either case. Error `usage`, with the nearest one. */
function ruleNamed(text: string): RuleId {
  const wanted = text.slice(0, 64).toLowerCase();
  const words = ruleIds.flatMap((id) => [
    { id, word: id.toLowerCase() },
    { id, word: rules[id].name as string },
  ]);
  const known = words.find(({ word }) => word === wanted);
  if (known) return known.id;
  const away = words.map(({ word }) => distance(wanted, word));
  const nearest = away.reduce((least, one) => Math.min(least, one));
  const meant = nearest <= 3 ? words[away.indexOf(nearest)] : undefined;
  const advice = meant
    ? `did you mean ${meant.word === rules[meant.id].name ? meant.word : meant.id}?`
    : 'textpoke explain lists all rules; for a place or a key give its file too';
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
