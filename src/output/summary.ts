// The summary of dump as JSON (schema textpoke.summary/1). Its text is made by summary-text.ts.
import { type GroupOrder, inOrder } from '../dump/groups.ts';
import type { FileSummary, SiteGroup } from '../dump/summary.ts';
import { jsonText } from './text.ts';

const summarySchema = 'textpoke.summary/1';

/** What `textpoke dump --summary --json` prints (docs/summary.schema.json). */
export interface SummaryDocument {
  readonly schema: 'textpoke.summary/1';
  /** One for each file. */
  readonly files: readonly FileSummary[];
}

/** What sites are listed by, and the list that has them. */
const lists = { key: 'keys', function: 'functions', file: 'files', section: 'sections' } as const;
export type Grouping = keyof typeof lists;
export const groupings = Object.keys(lists) as readonly Grouping[];

/** What is listed of a summary. */
export interface SummaryChoice {
  /** One list, instead of all of them. */
  readonly by?: Grouping | undefined;
  /** Order of the lists; undefined: those with the most sites first. */
  readonly sort?: GroupOrder | undefined;
  /** How long a list may be; undefined: as long as it is. */
  readonly limit?: number | undefined;
}

/** The groups of a list: in an order, and no more of them than asked for. */
export function groupsOf(
  summary: FileSummary,
  by: Grouping,
  { sort, limit }: SummaryChoice,
): readonly SiteGroup[] {
  const groups: readonly SiteGroup[] = summary[lists[by]];
  return (sort === undefined ? groups : inOrder(groups, sort)).slice(0, limit);
}

/** How many groups there are, listed or not. */
export function countOf({ counts }: FileSummary, by: Grouping): number {
  return counts[lists[by]];
}

/** The document of some summaries. */
export function summaryDocument(files: readonly FileSummary[]): SummaryDocument {
  return { schema: summarySchema, files };
}

/** The summary as it was asked for: with `--by`, one list alone. */
function chosen(summary: FileSummary, choice: SummaryChoice): object {
  const { keys: _, functions: __, files: ___, sections: ____, problems, ...head } = summary;
  const own = choice.by === undefined ? groupings : [choice.by];
  return {
    ...head,
    ...Object.fromEntries(own.map((by) => [lists[by], groupsOf(summary, by, choice)])),
    ...(problems && { problems }),
  };
}

/** The document as text. */
export async function* summaryJson(
  summaries: AsyncIterable<FileSummary>,
  choice: SummaryChoice,
): AsyncGenerator<string> {
  const files: object[] = [];
  for await (const summary of summaries) files.push(chosen(summary, choice));
  yield `${jsonText({ schema: summarySchema, files }, 1)}\n`;
}

/** The summary of each file in a line of its own. */
export async function* summaryLines(
  summaries: AsyncIterable<FileSummary>,
  choice: SummaryChoice,
): AsyncGenerator<string> {
  for await (const summary of summaries)
    yield `${jsonText({ schema: summarySchema, ...chosen(summary, choice) })}\n`;
}
