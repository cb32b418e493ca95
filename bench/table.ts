// The table that npm run bench prints.
import type { Earlier, Measured } from './measure.ts';
import type { Limit, Measure, Missing, Row } from './rows.ts';
import { median } from './statistics.ts';

const titles: Readonly<Record<Measure, string>> = { cpu: 'CPU', wall: 'time', memory: 'memory' };

/** The widths of the columns of words. */
export type Widths = readonly [work: number, anchor: number];

export function widthsOf(rows: readonly (Row | Missing)[]): Widths {
  const widest = (texts: readonly string[]) => Math.max(...texts.map((text) => text.length));
  return [
    widest(rows.map((row) => row.work)),
    widest(rows.map((row) => ('anchor' in row && row.anchor) || '')),
  ];
}

type Cells = readonly [
  ...[work: string, measure: string, ours: string, anchor: string, beside: string],
  ...[ratio: string, budget: string, met: string, change: string],
];

function line(
  [work, measure, ours, anchor, beside, ratio, budget, met, change]: Cells,
  widths: Widths,
): string {
  const [first, second] = [`${work.padEnd(widths[0])}  ${measure.padEnd(6)}`, anchor.padEnd(widths[1])];
  const numbers = `${beside.padStart(9)}${ratio.padStart(8)}${budget.padStart(10)}`;
  return `${first}${ours.padStart(10)}   ${second}${numbers}  ${met.padEnd(4)}${change}`.trimEnd();
}

export function headOf(widths: Widths, against: Earlier): string {
  const change = against.tree ?? (against.saved && 'before');
  return line(
    [
      'work',
      '',
      'ours',
      'anchor',
      '',
      'ratio',
      'budget',
      'met',
      change === undefined ? '' : `  against ${change}`,
    ],
    widths,
  );
}

/** 24.1 ms, 1.23 s, 45 MB. */
function shown(value: number, measure: Measure): string {
  if (measure === 'memory') return `${value.toFixed(0)} MB`;
  const units = [
    ['s', 1],
    ['ms', 1e-3],
    ['us', 1e-6],
    ['ns', 1e-9],
  ] as const;
  const [unit, one] = units.find(([, one]) => value >= one) ?? ['ns', 1e-9];
  return `${Number((value / one).toPrecision(3))} ${unit}`;
}

const limitOf = (limit: Limit | undefined, measure: Measure) => {
  if (!limit) return '';
  return 'times' in limit ? `${limit.times} x` : shown(limit.most, measure);
};

function changeOf({ change }: Measured): string {
  if (!change) return '';
  const { middle, bounds } = change.times;
  const by = (times: number) => `${times < 1 ? '-' : '+'}${(Math.abs(times - 1) * 100).toFixed(1)} %`;
  const between = bounds ? `${by(bounds[0])} to ${by(bounds[1])}` : 'too few runs';
  return `  ${change.verdict === 'noise' ? 'noise ' : change.verdict} ${by(middle)} (${between})`;
}

/** The lines of a row, one for each measure. */
export function linesOf(measured: readonly Measured[], widths: Widths): string[] {
  return measured.map((row, i) => {
    const { measure, ours, beside, anchor, ratio, limit, met } = row;
    return line(
      [
        ...([i === 0 ? row.work : '', titles[measure], shown(median(ours), measure)] as const),
        ...([i === 0 && anchor ? anchor : '', beside ? shown(median(beside), measure) : ''] as const),
        ...([ratio === undefined ? '' : ratio.toFixed(2), limitOf(limit, measure)] as const),
        ...([met === undefined ? '' : met ? 'yes' : 'NO', changeOf(row)] as const),
      ],
      widths,
    );
  });
}
