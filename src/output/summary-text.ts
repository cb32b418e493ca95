// The summary of dump as text: a screen that answers how much can be patched, where and by which keys; and lists of sites by
// what they have in common.
import type { FileSummary, KeyGroup } from '../dump/summary.ts';
import type { KeyState } from '../kinds/shown.ts';
import { columnsOf, layOut, measureRow, nothing, rowText } from './columns.ts';
import { countGrouped, grouped } from './count.ts';
import { allTables } from './dump.ts';
import { headOf } from './dump-text.ts';
import { countOf, type Grouping, groupsOf, type SummaryChoice } from './summary.ts';
import { type Colours, coloursOf, readable, textOf } from './text.ts';

export interface SummaryTextOptions extends SummaryChoice {
  readonly color?: boolean;
  /** Columns of the terminal; undefined: lines are as long as they are. */
  readonly width?: number | undefined;
}

/** Lines of a list in the summary, which is to fit a screen. */
const fewLines = 5;

/** Source files are not to be taken for the files that were dumped. */
const nouns = { key: 'key', function: 'function', file: 'source file', section: 'section' } as const;

/** The summary of a file, or one list of it. */
export function summaryText(summary: FileSummary, options: SummaryTextOptions = {}): string {
  const colour = coloursOf(options.color);
  const { members, problems = {} } = summary;
  const what =
    members && `${countGrouped(members.total, 'member')} of an archive, ${members.withTables} with tables`;
  const told = Object.entries(problems).flatMap(([table, list]) =>
    list.map((problem) => `  ${colour.red('problem')}: ${table}: ${problem}`),
  );
  const head = [colour.bold(headOf(summary, what)), ...told];
  const { by } = options;
  if (summary.tables.length === 0) return textOf([...head, '  no tables']);
  if (by !== undefined) return textOf([...head, ...listLines(summary, by, colour, options)]);
  const few = { ...options, limit: options.limit ?? fewLines };
  return textOf([
    ...head,
    `  ${textLine(summary)}`,
    '',
    ...tableLines(summary, colour, options.width),
    ...stateLines(summary),
    ...(['key', 'function', 'file'] as const)
      .filter((list) => countOf(summary, list) > 0)
      .flatMap((list) => ['', ...listLines(summary, list, colour, few)]),
  ]);
}

/** `20,722 sites take 85,745 of 18,965,711 bytes of text (0.45 %); 534 sites lie in init text` */
function textLine({ text }: FileSummary): string {
  const { sites, patchableBytes, bytes, initSites } = text;
  const share = bytes === 0 ? '' : ` (${((100 * patchableBytes) / bytes).toFixed(2)} %)`;
  const take = sites === 1 ? 'takes' : 'take';
  const init = initSites === 0 ? 'none' : grouped(initSites);
  return `${countGrouped(sites, 'site')} ${take} ${grouped(patchableBytes)} of ${grouped(bytes)} bytes of text${share}; ${init} in init text`;
}

function tableLines({ tables }: FileSummary, colour: Colours, width: number | undefined): string[] {
  const hasDiscarded = tables.some(({ discarded }) => discarded > 0);
  const hasMalformed = tables.some(({ malformed }) => malformed > 0);
  const heads = [
    'table',
    'entries',
    'bytes',
    'keys',
    'in init text',
    ...(hasDiscarded ? ['discarded'] : []),
    ...(hasMalformed ? ['malformed'] : []),
  ];
  const rows = tables.map(({ section, entries, bytes, keys, initSites, discarded, malformed }) => [
    section,
    ...[entries, bytes, keys, initSites].map((number) => (number === undefined ? nothing : grouped(number))),
    ...(hasDiscarded ? [grouped(discarded)] : []),
    ...(hasMalformed ? [grouped(malformed)] : []),
  ]);
  return listed(heads, rows, colour, width, (i) => i > 0);
}

/** What people call the states of keys, in this order. */
const stateWords: readonly (readonly [state: KeyState['state'], word: string])[] = [
  ['on', 'on'],
  ['off', 'off'],
  ['function', 'a function'],
  ['return 0', 'return 0'],
  ['null', 'NULL'],
  ['elsewhere', 'defined elsewhere'],
  ['unknown', 'unknown'],
];

/** `keys of __jump_table: 82 on, 5,982 off`, for each table with keys of sites. */
function stateLines({ tables, keys }: FileSummary): string[] {
  const lines = tables.flatMap(({ table, section }) => {
    const own = keys.filter((key) => table in key.tables);
    const told = stateWords.flatMap(([state, word]) => {
      const number = own.filter((key) => key.state.state === state).length;
      return number === 0 ? [] : [`${grouped(number)} ${word}`];
    });
    return own.length === 0 ? [] : [`  keys of ${section}: ${told.join(', ')}`];
  });
  return lines.length === 0 ? [] : ['', ...lines];
}

function stateText({ state }: KeyGroup): string {
  if (state.state === 'function') return state.function ?? state.state;
  const word = stateWords.find(([name]) => name === state.state)?.[1] ?? state.state;
  return state.enabled === undefined ? word : `${word} (${state.enabled})`;
}

function listLines(
  summary: FileSummary,
  by: Grouping,
  colour: Colours,
  options: SummaryTextOptions,
): string[] {
  const isWhole = options.by !== undefined;
  if (countOf(summary, by) === 0) return [`  no site has a ${nouns[by]}`];
  const groups = groupsOf(summary, by, options);
  const all = countOf(summary, by);
  const order =
    options.sort === undefined || options.sort === 'sites' ? 'with the most sites' : `by ${options.sort}`;
  const shown = groups.length < all ? `${grouped(groups.length)} of ${grouped(all)}` : grouped(all);
  const more = groups.length < all && !isWhole ? `; --by ${by} lists all` : '';
  const head = `  ${colour.bold(`${nouns[by]}s ${order}`)}: ${shown}${more}`;
  // The tables that list sites of any group; one alone says what the sites say.
  const tables = allTables.filter(({ id }) => groups.some((group) => id in group.tables));
  const byTable = isWhole && tables.length > 1 ? tables : [];
  const hasAddress = isWhole && groups.some(({ address }) => address !== undefined);
  const hasMember = groups.some(({ member }) => member !== undefined);
  const heads = [
    'sites',
    ...byTable.map(({ aliases }) => aliases[0] as string),
    ...(isWhole ? ['bytes', 'in init text'] : []),
    ...(hasAddress ? ['address'] : []),
    'name',
    ...(by === 'key' ? ['state'] : []),
    ...(hasMember ? ['member'] : []),
  ];
  const numbers = heads.indexOf(hasAddress ? 'address' : 'name');
  const rows = groups.map((group) => [
    grouped(group.sites),
    ...byTable.map(({ id }) => numberCell(group.tables[id] ?? 0)),
    ...(isWhole ? [grouped(group.bytes), numberCell(group.initSites)] : []),
    ...(hasAddress ? [group.address ?? nothing] : []),
    group.name,
    ...(by === 'key' ? [stateText(group as KeyGroup)] : []),
    ...(hasMember ? [group.member ?? nothing] : []),
  ]);
  return [head, ...listed(heads, rows, colour, options.width, (i) => i < numbers)];
}

function numberCell(number: number): string {
  return number === 0 ? nothing : grouped(number);
}

/** Rows in columns; a column of numbers ends in line. */
function listed(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  colour: Colours,
  width: number | undefined,
  isNumber: (column: number) => boolean,
): string[] {
  const cells = rows.map((row) => row.map(readable));
  const columns = columnsOf(heads);
  for (const row of cells) measureRow(columns, row);
  const layout = layOut(columns, width);
  const lines = cells.map((row) => rowText(layout, row, isNumber).trimEnd());
  return [colour.dim(rowText(layout, heads, isNumber).trimEnd()), ...lines];
}
